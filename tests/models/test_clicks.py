"""The loss of clicks by hand, and the order that it finds in a log whose truth is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from recsys_spark.config import load_config
from recsys_spark.feed.layouts import layout_of
from recsys_spark.models import build_model
from recsys_spark.models.clicks import ClickLoss
from recsys_spark.models.users import Users
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.storage import save_folder
from recsys_spark.training.optimizers import Adam, make_step
from recsys_spark.training.setup import scoring_of

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"
SEED = tf.constant([1, 2], tf.int64)
LOGITS = tf.constant([1.0, -0.5, 0.25])
BATCH = {"clicked": tf.constant([1.0, 0.0, 1.0]), "position": tf.constant([2, 0, 3])}
SMALL: dict[str, dict[str, Any]] = {
    "matrix_factorization": {"width": 4, "loss_name": "clicks"},
    "neumf": {"gmf_width": 4, "mlp_width": 4, "mlp_layers": [8, 4], "objective": "clicks"},
    "embedding_mlp": {"width": 4, "layers": [8], "objective": "clicks"},
}
TOWER = {"position": "tower", "codes": 4, "dropout": 0.0}


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def loss(layer: ClickLoss) -> float:
    layer.build()
    return float(layer(LOGITS, BATCH, SEED))


def test_without_positions_it_is_the_mean_of_the_cross_entropies() -> None:
    assert loss(ClickLoss()) == pytest.approx((softplus(-1.0) + softplus(-0.5) + softplus(-0.25)) / 3)


def test_a_click_weighs_the_inverse_of_its_positions_propensity() -> None:
    layer = ClickLoss("weights", codes=4, propensities=[0.5, 1.0, 0.8, 0.25])
    by_hand = (1.25 * softplus(-1.0) + softplus(-0.5) + 4.0 * softplus(-0.25)) / 6.25
    assert loss(layer) == pytest.approx(by_hand)


def test_the_tower_is_added_to_the_logits_and_learns_with_them() -> None:
    layer = ClickLoss(**TOWER)
    assert loss(layer) == loss(ClickLoss())  # it starts at nothing
    layer.tower.assign([[0.3], [9.0], [-1.0], [0.5]])
    by_hand = (softplus(-(1.0 - 1.0)) + softplus(-0.5 + 0.3) + softplus(-(0.25 + 0.5))) / 3
    assert float(layer(LOGITS, BATCH, SEED)) == pytest.approx(by_hand)


def test_rows_that_are_dropped_are_not_told_their_position() -> None:
    layer, rows = ClickLoss("tower", codes=4, dropout=0.25), 20_000
    layer.build()
    layer.tower.assign(np.full((4, 1), 2.0))
    batch = {"clicked": tf.ones(rows), "position": tf.zeros(rows, tf.int32)}
    told = 0.75 * softplus(-2.0) + 0.25 * softplus(0.0)
    assert float(layer(tf.zeros(rows), batch, SEED)) == pytest.approx(told, abs=0.01)
    assert float(layer(tf.zeros(rows), batch, SEED)) == float(layer(tf.zeros(rows), batch, SEED))


@pytest.mark.parametrize(
    "arguments",
    [{"position": "other"}, {"position": "weights", "codes": 3, "propensities": [1.0, 0.5]},
     {"position": "weights", "codes": 2, "propensities": [1.0, 0.0]}],
)  # fmt: skip
def test_settings_that_do_not_hold_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ClickLoss(**arguments)


def make(name: str, **clicks: Any) -> Any:
    chosen = load_config(settings=[f"model.name={name}"]).model.chosen
    return build_model(name, chosen.arguments() | SMALL[name] | {"seed": 3, "clicks": clicks}, 6, 5)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_model_of_clicks_learns_its_tower_and_scores_without_it(name: str, tmp_path: Path) -> None:
    model, layout = make(name, **TOWER), layout_of("impressions", 0, 0)
    block = layout.block([np.array(column, np.int32) for column in ([0, 1, 2], [4, 3, 0], [1, 0, 1], [2, 0, 3])])
    batch = layout.batch(tf.constant(block))
    optimizer = Adam(0.05)
    optimizer.build(model.trainable_variables)
    step = tf.function(make_step(model, optimizer), autograph=False)
    losses = [float(step(batch, tf.constant([1, n], tf.int64))) for n in range(20)]
    assert losses[-1] < losses[0]
    tower = np.asarray(model.clicks.tower)[:, 0]
    assert tower[1] == 0.0 and tower[0] < 0.0 < min(tower[2], tower[3])

    shown = {"user": np.arange(6, dtype=np.int32), "items": np.tile(np.arange(5, dtype=np.int32), (6, 1))}
    expected = np.asarray(model(shown))
    model.clicks.tower.assign(np.full((4, 1), 100.0))
    np.testing.assert_array_equal(model(shown), expected)
    again = type(model).from_config(model.get_config())
    again.build()
    assert [tuple(v.shape) for v in again.weights] == [tuple(v.shape) for v in model.weights]

    arrays = {f"{n:03d} {v.path}": np.asarray(v) for n, v in enumerate(model.weights)}
    arrays |= {"catalogue": np.asarray(model.catalogue())} if model.retrieves else {}
    settings = {**model.get_config(), "clicks": TOWER}
    settings = {
        key: settings[key]
        for key in settings
        if key not in ("n_users", "n_items", "name", "dtype", "trainable", "mode")
    }
    spec = {"name": name, "settings": settings, "n_users": 6, "n_items": 5}
    manifest = {"format": 1, "model_version": "v", "model": spec, "scoring": dict(scoring_of(model))}
    assert manifest["scoring"]["logits"] is False
    save_folder(str(tmp_path / "artifact"), manifest, arrays)
    scores = load_scorer(str(tmp_path / "artifact")).all_scores(Users.without_history(shown["user"]))
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_true_order_is_found_better_with_tower_or_weights_than_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import position_bias

    log = position_bias.click_log(seed=0, eta=1.0)
    losses = position_bias.click_losses(log)

    def found(way: str, l2: float) -> dict[str, float]:
        return position_bias.order_found(position_bias.learnt(log, losses[way], 0, l2), log.wanted)

    ignoring = [found("ignore", l2) for l2 in position_bias.L2S]  # whatever suits it best
    for corrected in (found("tower", 0.003), found("weights, known", 0.01), found("weights, estimated", 0.01)):
        for measure in ("tau", "NDCG@10"):
            assert corrected[measure] > max(each[measure] for each in ignoring) + 0.02
    np.testing.assert_allclose(losses["weights, estimated"]["propensities"], log.looked_at, atol=0.05)
