"""Folding and quality of `softmax_dnn` by the number of its negatives and by how they are drawn, by the very train job.

    .venv/bin/python benchmarks/folding.py --made 20 --root .data/folding [--seeds 42 43] [--negatives 1 16 256] \\
        [--set training.epochs=30]
    .venv/bin/python benchmarks/folding.py --config conf/ml-1m.yaml --root .data/ml-1m

Folding is the share of items' ten nearest neighbours that share no user with them (Xin et al. 2017, "Folding: Why Good Models
Sometimes Make Spurious Recommendations"), who name negatives as the remedy. With `--made` so many groups of users are made, each
with items of its own, so that a neighbour of another group is folding and nothing else is. A root that is given must have been
ingested and indexed, and have features and examples of sequences (`examples.kinds=[sequences]`); there, rare items that lie well
count as well, for want of users, so read it beside the quality and beside what neighbours drawn by chance have. Only the
evaluate fit is trained; both figures are of the epoch that was best on validation, and are read from the artifact.

Prints Markdown: a line a training, and the medians over the seeds.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench import header, seconds_of, spread, submitted
from deltalake import DeltaTable
from pyarrow.dataset import dataset, field

from recsys_spark import columns as c
from recsys_spark.config import load_config
from recsys_spark.models.folding import share_a_user

SAMPLING = ("popularity", "uniform")
GROUP_USERS, GROUP_ITEMS, HISTORY = 200, 50, 20
MADE = ("examples.kinds=[sequences]", "ingest.event_type=event")
NDCG = "ndcg@10"


def main() -> None:
    """Train each setting with each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=[], action="append", help="as the jobs take it")
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--made", type=int, metavar="GROUPS", help="make such events below the root first")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43])
    parser.add_argument("--negatives", type=int, nargs="+", default=[1, 16, 256])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()
    if options.made:
        make(options)
    print(header(options.seeds[0], *options.settings) + "\n", flush=True)
    print(f"- ten neighbours drawn by chance: {by_chance(options):.4f} share no user\n", flush=True)
    print("| sampling | negatives | seed | epochs | train job, s | folding | validation NDCG@10 |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    found: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for sampling, negatives, seed in product(SAMPLING, options.negatives, options.seeds):
        seconds = seconds_of(lambda: train(options, sampling, negatives, seed))  # noqa: B023
        epochs, folding, ndcg = figures_of(options.root)
        found[sampling, negatives].append((folding, ndcg))
        line = f"| {sampling} | {negatives} | {seed} | {epochs} | {seconds:.0f} | {folding:.4f} | {ndcg:.4f} |"
        print(line, flush=True)
    for (sampling, negatives), each in found.items():
        shown = " | ".join(spread(values, ".4f") for values in zip(*each, strict=True))
        print(f"| {sampling} | {negatives} | median of {len(each)} | | | {shown} |")


def make(options: argparse.Namespace) -> None:
    """Groups of users with items of their own, as a shop would deliver their events, and the stages up to the examples."""
    rng, events = np.random.default_rng(options.seeds[0]), options.made * GROUP_USERS * HISTORY
    user = np.repeat(np.arange(options.made * GROUP_USERS), HISTORY)
    chances = 1.0 / np.arange(1, GROUP_ITEMS + 1)  # Zipf's
    item = (user // GROUP_USERS) * GROUP_ITEMS + rng.choice(GROUP_ITEMS, events, p=chances / chances.sum())
    times = np.datetime64("2024-01-01", "us") + rng.integers(0, 365 * 86_400, events).astype("timedelta64[s]")
    table = pa.table({c.USER_ID: user.astype(str), c.ITEM_ID: item.astype(str), c.EVENT_TIME: times})
    options.root.mkdir(parents=True, exist_ok=True)
    path = (options.root / "made.parquet").resolve()
    pq.write_table(table, path)
    columns = "{user_id: user_id, item_id: item_id, event_time: event_time}"
    source = [f"ingest.path={path}", "ingest.mapping.file_format=parquet", f"ingest.mapping.columns={columns}"]
    options.config, options.settings = ["conf/events.yaml"], [*MADE, *options.settings]
    settings = [*source, *options.settings, "model.name=softmax_dnn", "examples.fits=[evaluate]"]
    root = str(options.root.resolve())
    submitted("pipeline", "--root", root, "--until", "examples", files=options.config, settings=settings)


def train(options: argparse.Namespace, sampling: str, negatives: int, seed: int) -> None:
    """The evaluate fit, with these negatives and this seed."""
    chosen = [f"model.softmax_dnn.sampling={sampling}", f"model.softmax_dnn.negatives={negatives}", f"run.seed={seed}"]
    settings = ["model.name=softmax_dnn", "examples.fits=[evaluate]", *chosen, *options.settings]
    submitted("train", "--root", str(options.root.resolve()), files=options.config, settings=settings)


def by_chance(options: argparse.Namespace) -> float:
    """The folding of vectors that say nothing, over all items of `training.folding_users` or more."""
    config = load_config(options.config, options.settings)
    sequences = dataset(DeltaTable(str(options.root / "sequences")).file_uris(), partitioning="hive")
    histories = sequences.to_table(columns=[c.ITEMS], filter=field(c.FIT) == "evaluate")[c.ITEMS].to_pylist()
    users = np.repeat(np.arange(len(histories)), [len(own) for own in histories])
    _, items, counts = np.unique(np.concatenate(histories), return_inverse=True, return_counts=True)
    often = counts >= config.training.folding_users
    place = np.cumsum(often) - 1
    nearest = np.random.default_rng(config.run.seed).integers(0, often.sum(), (often.sum(), 10))
    return 1.0 - float(share_a_user(users[often[items]], place[items][often[items]], nearest).mean())


def figures_of(root: Path) -> tuple[int, float, float]:
    """Of the newest model: its best epoch, folding, and NDCG@10 on validation there."""
    files = DeltaTable(str(root / "models")).file_uris()
    models = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    newest = max(models, key=lambda row: row["created_at"])
    manifest = json.loads((Path(newest["path"]) / "manifest.json").read_text(encoding="utf-8"))
    best = next(epoch for epoch in manifest["history"] if epoch["number"] == manifest["best_epoch"])
    return manifest["best_epoch"], manifest["folding"], best["validation"][NDCG]


if __name__ == "__main__":
    main()
