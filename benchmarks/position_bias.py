"""What position bias costs, and what the tower and the weights win back: a simulated click log whose truth is known.

    .venv/bin/python benchmarks/position_bias.py [--seeds 5] [--eta 0.5,1.0]

A user wants an item with probability g, a sigmoid of hidden factors and the item's quality. A page holds ten items drawn by
lot, in the order of an older ranking, which is half right, with errors of its own about each item and luck on each page.
Position k is looked at with probability 1 / k^eta, and what is looked at and wanted is clicked.
 `matrix_factorization` learns that log with the code of
training (`models/clicks.py`, `training/optimizers.py`): ignoring positions, with the tower, with weights by the known
propensities, and with weights by those that `examples/propensities.py` estimates from the log.

Prints Markdown: how well each finds the order of g over all items, as Kendall's tau and NDCG@10 with gains g, means over
users; the mean over the seeds, and in brackets the least and the greatest. Each way has the `l2` of three that suits it best
by the NDCG, since weights want more of it. The last column is the old ranking, without luck.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from bench import header

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

USERS, ITEMS, FACTORS = 200, 40, 4
PAGES, PLACES = 60, 10  # of each user, and items on each
ERRORS = 1.5  # standard deviation of the old ranking's errors
WIDTH, EPOCHS, ROWS, RATE = 8, 5, 512, 0.01
L2S = (0.001, 0.003, 0.01)
WAYS = ("ignore", "tower", "weights, known", "weights, estimated")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Log:
    """Impressions as rows (user, item, clicked, position from 0), and what nobody is told: g and the old scores (U, I)."""

    rows: Ints
    wanted: Floats
    old: Floats
    looked_at: Floats  # (positions,)


def main() -> None:
    """Print a Markdown table of each measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--eta", default="0.5,1.0", help="how steeply attention falls, with commas between")
    options = parser.parse_args()
    found = {eta: [measured(seed, eta) for seed in range(options.seeds)] for eta in map(float, options.eta.split(","))}
    best = {(eta, way): best_l2(runs, way) for eta, runs in found.items() for way in WAYS}
    print(header(0, f"{options.seeds} seeds from it", f"{USERS * PAGES * PLACES:,} impressions"))
    for measure in ("tau", "NDCG@10"):
        print(f"\n| {measure}, eta | {' | '.join((*WAYS, 'the old ranking'))} |\n| ---: |{' --- |' * (len(WAYS) + 1)}")
        for eta, runs in found.items():
            cells = [[run[way][best[eta, way]][measure] for run in runs] for way in WAYS]
            cells.append([run["old"][measure] for run in runs])
            figures = [f"{statistics.mean(each):.3f} ({min(each):.3f} to {max(each):.3f})" for each in cells]
            print(f"| {eta} | {' | '.join(figures)} |")
    for eta, runs in found.items():
        estimated = np.mean([run["propensities"] for run in runs], axis=0)
        print(f"\neta {eta}: l2 {[best[eta, way] for way in WAYS]}")
        print(f"looked at {(1.0 / np.arange(1, PLACES + 1) ** eta).round(2).tolist()}")
        print(f"estimated {estimated.round(2).tolist()}, mean")


def measured(seed: int, eta: float) -> dict[str, Any]:
    """One log, learnt in each way with each `l2`."""
    log = click_log(seed, eta)
    found: dict[str, Any] = {
        way: {l2: order_found(learnt(log, loss, seed, l2), log.wanted) for l2 in L2S}
        for way, loss in click_losses(log).items()
    }
    return found | {"old": order_found(log.old, log.wanted), "propensities": estimated_propensities(log)}


def best_l2(runs: Sequence[Mapping[str, Any]], way: str) -> float:
    """The one with the best NDCG@10, as a mean over the runs."""
    return max(L2S, key=lambda l2: statistics.mean(run[way][l2]["NDCG@10"] for run in runs))


def click_losses(log: Log) -> dict[str, dict[str, Any]]:
    """Arguments of `ClickLoss`, by way."""
    return {
        "ignore": {"position": "ignore"},
        "tower": {"position": "tower", "dropout": 0.1},
        "weights, known": {"position": "weights", "propensities": log.looked_at.tolist()},
        "weights, estimated": {"position": "weights", "propensities": estimated_propensities(log).tolist()},
    }


def click_log(seed: int, eta: float) -> Log:
    """A log of `PAGES` pages of each user."""
    draw = np.random.default_rng(seed)
    taste = draw.normal(size=(USERS, FACTORS)) @ draw.normal(size=(FACTORS, ITEMS)) / np.sqrt(FACTORS)
    utility = taste + draw.normal(size=ITEMS)
    wanted = 1.0 / (1.0 + np.exp(1.0 - utility))
    old = utility / 2.0 + ERRORS * draw.normal(size=ITEMS)  # an item is wronged on every page alike
    looked_at = 1.0 / np.arange(1, PLACES + 1) ** eta
    drawn = np.argsort(draw.random((USERS, PAGES, ITEMS)), axis=2)[..., :PLACES]
    users, positions = np.broadcast_to(np.arange(USERS)[:, None, None], drawn.shape), np.arange(PLACES)
    luck = draw.gumbel(size=drawn.shape)
    items = np.take_along_axis(drawn, np.argsort(-(old[users, drawn] + luck), axis=2), axis=2)
    clicked = draw.random(items.shape) < looked_at * wanted[users, items]
    columns = (users, items, clicked, np.broadcast_to(positions, items.shape))
    return Log(np.stack([each.ravel() for each in columns], axis=1).astype(np.int32), wanted, old, looked_at)


def estimated_propensities(log: Log) -> Floats:
    """What the log itself tells of the positions, the first being 1."""
    from recsys_spark.examples.propensities import propensities_of

    shown, clicked = np.zeros((2, ITEMS, PLACES))
    _, items, clicks, positions = log.rows.T
    np.add.at(shown, (items, positions), 1.0)
    np.add.at(clicked, (items, positions), clicks)
    return propensities_of(shown, clicked)


def learnt(log: Log, loss: Mapping[str, Any], seed: int, l2: float) -> Floats:
    """The scores (U, I) of a model that has learnt the log."""
    import tensorflow as tf

    from recsys_spark.feed.layouts import layout_of
    from recsys_spark.models import build_model
    from recsys_spark.training.optimizers import Adam, make_step

    settings = {"width": WIDTH, "loss_name": "clicks", "l2": l2, "seed": seed, "clicks": {"codes": PLACES, **loss}}
    model = build_model("matrix_factorization", settings, USERS, ITEMS)
    optimizer = Adam(RATE)
    optimizer.build(model.trainable_variables)
    layout, step = layout_of("impressions", 0, 0), make_step(model, optimizer, dense_rows=USERS)

    def epoch(batches: Any) -> None:
        for place in tf.range(tf.shape(batches)[0]):
            step(layout.batch(batches[place]), tf.stack([tf.constant(seed, tf.int64), optimizer.step]))

    compiled, draw = tf.function(epoch), np.random.default_rng(seed)
    whole = len(log.rows) - len(log.rows) % ROWS
    for _ in range(EPOCHS):
        shuffled = log.rows[draw.permutation(len(log.rows))[:whole]]
        compiled(tf.constant(shuffled.reshape(-1, ROWS, layout.width)))
    return np.asarray(np.asarray(model.queries({"user": np.arange(USERS)})) @ np.asarray(model.catalogue()).T)


def order_found(scores: Floats, wanted: Floats) -> dict[str, float]:
    """Means over users: Kendall's tau of the scores with g over all items, and NDCG@10 with gains g."""
    above, below = np.triu_indices(scores.shape[1], 1)
    agree = np.sign(scores[:, above] - scores[:, below]) * np.sign(wanted[:, above] - wanted[:, below])
    discounts = 1.0 / np.log2(np.arange(2, 12))
    chosen = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    gained = np.take_along_axis(wanted, chosen, axis=1) @ discounts
    best = -np.sort(-wanted, axis=1)[:, :10] @ discounts
    return {"tau": float(agree.mean()), "NDCG@10": float((gained / best).mean())}


if __name__ == "__main__":
    main()
