"""What a user takes again, against loops in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from recsys_spark.config import load_config
from recsys_spark.feed.validation import HeldOut
from recsys_spark.models import repeats
from recsys_spark.models.retrieval import Own, add_own
from recsys_spark.models.users import Users
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.storage import save_folder
from recsys_spark.training.checkpoint import CATALOGUE
from recsys_spark.training.distributed import OneRank
from recsys_spark.training.job import Job, ModelSpec
from recsys_spark.training.optimizers import Adam, make_step
from recsys_spark.training.setup import scoring_of
from recsys_spark.training.validation import Validation
from tests.models.test_contract import ITEMS, LENGTH, SMALL, USERS, make

NAMES = ["sasrec", "softmax_dnn", "gru4rec"]
WINDOW = np.array([[-1, -1, 3, 5, 3, 3], [7, 7, 2, 9, 2, 7], [1, 2, 3, 4, 5, 6]], np.int32)
NEXT = np.array([[-1, 3, 5, 3, 3, 8], [7, 2, 9, 2, 7, 7], [2, 3, 4, 5, 6, 1]], np.int32)
WEIGHTS = np.array([2.0, 1.0, 0.5, 0.4, 0.3, 0.2], np.float32)


def taken(window: Any, item: int, place: int) -> float:
    """The weights of the places of the item up to this one."""
    return float(sum(WEIGHTS[place - t] for t in range(place + 1) if window[t] == item and item >= 0))


def test_how_much_is_taken_as_of_each_place():
    found, last = (np.asarray(each) for each in repeats.at_places(tf.constant(WINDOW), tf.constant(WEIGHTS)))
    for row, window in enumerate(WINDOW):
        for place in range(6):
            where = {int(window[j]): j for j in range(place + 1) if window[j] >= 0}
            assert sorted(np.flatnonzero(last[row, place])) == sorted(where.values())
            for item, j in where.items():
                assert found[row, place, j] == pytest.approx(taken(window, item, place), rel=1e-5)


def test_how_much_was_taken_of_what_follows_and_of_candidates():
    everywhere = tf.tile(tf.range(6)[tf.newaxis], [3, 1])
    of_next = np.asarray(repeats.of_next(tf.constant(WINDOW), tf.constant(NEXT), everywhere, tf.constant(WEIGHTS)))
    earlier = tf.maximum(everywhere - 1, 0)
    read_earlier = repeats.of_next(tf.constant(WINDOW), tf.constant(NEXT), earlier, tf.constant(WEIGHTS))
    candidates = np.array([[3, 5, 0], [7, 9, 2], [6, 0, 1]], np.int32)
    of_candidates = repeats.of_candidates(tf.constant(WINDOW), tf.constant(candidates), tf.constant(WEIGHTS))
    at_end = np.asarray(repeats.at_end(tf.constant(WINDOW), tf.constant(WEIGHTS)))
    for row, window in enumerate(WINDOW):
        expected = [taken(window, NEXT[row, place], place) for place in range(6)]
        np.testing.assert_allclose(of_next[row], expected, rtol=1e-5)
        expected = [taken(window, NEXT[row, place], max(place - 1, 0)) for place in range(6)]
        np.testing.assert_allclose(read_earlier[row], expected, rtol=1e-5)
        expected = [taken(window, item, 5) for item in candidates[row]]
        np.testing.assert_allclose(of_candidates[row], expected, rtol=1e-5)
        where = {int(item): place for place, item in enumerate(window) if item >= 0}
        expected = np.zeros(6)
        expected[list(where.values())] = [taken(window, item, 5) for item in where]
        np.testing.assert_allclose(at_end[row], expected, rtol=1e-5)


# where each next item is read at, one line a window: its own place, or that before its basket
ITS_OWN = np.tile(np.arange(6, dtype=np.int32), (3, 1))
BASKETS = np.array([[-1, -1, 2, 2, 2, 5], [0, 0, 0, 3, 3, 5], [-1, -1, -1, -1, 4, 4]], np.int32)


@pytest.mark.parametrize("read_at", [ITS_OWN, BASKETS])
def test_the_loss_is_a_softmax_over_the_next_item_the_window_and_the_drawn(monkeypatch, read_at):
    model = make("softmax_dnn", repeats=True, negatives=4)
    model.repeat_ages.assign(np.linspace(0.1, -0.1, LENGTH))
    drawn = np.array([2, 8, 0, 11])
    monkeypatch.setattr(model, "_draw", lambda rows, seed: tf.constant(drawn, tf.int32))
    window = np.concatenate([WINDOW, NEXT[:, -1:]], axis=1)
    users = np.zeros(3, np.int32)
    batch = {"user": tf.constant(users), "window": tf.constant(window)}
    if read_at is BASKETS:
        batch["read_at"] = tf.constant(read_at)
    loss = float(model.training_loss(batch, tf.constant([1, 2])))

    items, ages = np.asarray(model.items), np.exp(np.linspace(1.0, -1.0, LENGTH))
    encoded = model.encode(tf.constant(WINDOW), training=False)
    queries = np.asarray(model.head(encoded, tf.constant(users), None, training=False))
    each = []
    for row in range(3):
        for place in range(LENGTH):
            at = read_at[row, place]
            if at < 0 or WINDOW[row, at] < 0 or NEXT[row, place] < 0:
                continue
            seen = WINDOW[row, : at + 1]

            def logit(item: int, seen: Any = seen, query: Any = queries[row, at]) -> float:
                own = sum(ages[len(seen) - 1 - t] for t in np.flatnonzero(seen == item))
                return float(np.log(np.exp(query @ items[item]) + own))

            target = int(NEXT[row, place])
            others = [logit(int(item)) for item in set(seen[seen >= 0].tolist()) - {target}]
            others += [logit(int(item)) + np.log(ITEMS / 4) for item in drawn if item not in window[row]]
            each.append(np.logaddexp.reduce([logit(target), *others]) - logit(target))
    assert loss == pytest.approx(np.mean(each), rel=1e-4)


def test_two_ways_to_an_item_join():
    dots, of_taken = np.array([[0.5, -3.0, 80.0, -80.0]], np.float32), np.array([[2.0, 0.0, 1.0, 1e-3]], np.float32)
    expected = [np.log(np.exp(0.5) + 2.0), -3.0, 80.0, np.log(1e-3)]
    np.testing.assert_allclose(np.asarray(repeats.joined(dots, of_taken))[0], expected, rtol=1e-5)
    with tf.GradientTape() as tape:
        both = (tf.constant(dots), tf.constant(of_taken))
        tape.watch(both)
        total = tf.reduce_sum(repeats.joined(*both))
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(total, both))


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_what_is_taken_again_and_an_artifact_scores_so(name: str, tmp_path: Any) -> None:
    model, rng = make(name, repeats=True, bar_window=False), np.random.default_rng(5)
    optimizer = Adam(0.02)
    optimizer.build(model.trainable_variables)
    step = tf.function(make_step(model, optimizer), autograph=False)

    def windows(rows: int) -> Any:
        """Two staples a user, one taken three times as often, whatever items they are."""
        staples = np.stack([rng.permutation(ITEMS)[:2] for _ in range(rows)])
        return np.take_along_axis(staples, (rng.random((rows, LENGTH + 1)) < 0.25).astype(int), 1).astype(np.int32)

    for number in range(150):
        batch = {"user": rng.integers(0, USERS, 32).astype(np.int32), "window": windows(32)}
        step(batch, tf.constant([7, number], tf.int64))

    history = windows(64)[:, 1:]
    items = np.tile(np.arange(ITEMS, dtype=np.int32), (64, 1))
    batch = {"user": np.zeros(64, np.int32), "history": history, "items": items}
    scores = np.asarray(model(batch))
    counts = (history[:, :, None] == np.arange(ITEMS)).sum(axis=1)
    assert (np.take_along_axis(counts, scores.argmax(axis=1)[:, None], 1) > 0).mean() > 0.95

    settings = {key: model.get_config()[key] for key in (*SMALL[name], "seed", "length", "loss_name", "repeats")}
    settings |= {"bar_window": False, "shared": True}
    spec = {"name": name, "settings": settings, "n_users": USERS, "n_items": ITEMS}
    arrays = {f"{n:03d} {v.path}": np.asarray(v) for n, v in enumerate(model.weights)}
    arrays |= {CATALOGUE: np.asarray(model.catalogue())}
    save_folder(
        str(tmp_path / "a"),
        {"format": 1, "model_version": "v", "model": spec, "scoring": dict(scoring_of(model))},
        arrays,
    )
    scorer, users = load_scorer(str(tmp_path / "a")), Users(batch["user"], history)
    np.testing.assert_allclose(scorer.all_scores(users), scores, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scorer.scores(users, items[:, 3:9]), scores[:, 3:9], rtol=1e-4, atol=1e-4)
    best, values = scorer.top_n(users, 3, None)
    np.testing.assert_allclose(values, -np.sort(-scores, axis=1)[:, :3], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(scores, best, 1), values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("of_its_own", [True, False])
def test_a_full_validation_ranks_by_the_models_scores(of_its_own: bool) -> None:
    model, rng = make("sasrec", repeats=of_its_own, bar_window=False), np.random.default_rng(8)
    users, none = np.arange(16, dtype=np.int32), np.empty((16, 0), np.int32)
    history = rng.integers(-1, ITEMS // 2, (16, LENGTH + 2)).astype(np.int32)
    items = np.tile(np.arange(ITEMS, dtype=np.int32), (16, 1))
    scores = np.asarray(model({"user": users, "history": history, "items": items}))
    targets = rng.integers(0, ITEMS, (16, 1)).astype(np.int32)
    better = (scores > np.take_along_axis(scores, targets, 1)).sum(axis=1)

    config = load_config(settings=["training.validation=full"])
    spec = ModelSpec("sasrec", {}, USERS, ITEMS)
    job = Job("test", spec, config.training, "sequences", 1, LENGTH, (), (), 1, 0, "", "", exclude_seen=False)
    held_out = HeldOut(users, targets, none, np.full((16, 1), np.nan), history, none, none)
    figures = Validation(model, held_out, job).measure(OneRank())
    assert figures["hr@10"] == pytest.approx(np.mean(better < 10))
    assert figures["ndcg@10"] == pytest.approx(np.mean(np.where(better < 10, 1.0 / np.log2(better + 2.0), 0.0)))


def test_values_are_of_the_latest_items_and_none_of_none():
    history, zeros = np.array([[5, 2, 7], [-1, -1, 3]], np.int32), np.zeros((2, 4), np.float32)
    values = np.array([[0.5, 2.0], [0.0, 1.0]], np.float32)
    own = Own.latest(history, values)
    assert add_own(zeros.copy(), 0, own).tolist() == [[0, 0, 0.5, 0], [0, 0, 0, 1]]
    assert add_own(zeros.copy(), 4, own).tolist() == [[0, 0, 0, 2], [0, 0, 0, 0]]  # items 4 to 7
    nothing = Own.latest(history, values[:, :0])
    assert nothing.items.shape == (2, 0)
    assert not add_own(zeros.copy(), 0, nothing).any()


def test_repeats_need_a_loss_that_compares(name: str = "sasrec") -> None:
    with pytest.raises(ValueError, match="repeats needs the loss sampled_softmax with shared negatives, not bce"):
        make(name, repeats=True, loss_name="bce")
