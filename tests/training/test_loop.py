from __future__ import annotations

import sys
from functools import partial

import cloudpickle
import numpy as np
import pytest

from recsys_spark import storage
from recsys_spark.errors import TrainingError
from recsys_spark.feed.shards import plan_epoch
from recsys_spark.training import loop
from recsys_spark.training.checkpoint import set_weights
from recsys_spark.training.distributed import OneRank, launch
from recsys_spark.training.setup import build
from tests.training.conftest import ITEMS, USERS


def weights_of(outcome):
    return storage.load_arrays(outcome.weights)


def test_it_learns_the_checkerboard_and_keeps_the_best_weights(make_job):
    job = make_job("training.patience=0", "training.epochs=8")
    outcome = loop.fit(job, OneRank())
    assert outcome.error == ""
    assert [epoch.number for epoch in outcome.history] == list(range(1, 9))
    assert outcome.history[-1].loss < 0.4 * outcome.history[0].loss
    scores = [epoch.validation["ndcg@10"] for epoch in outcome.history]
    assert outcome.best_epoch == scores.index(max(scores)) + 1
    model, _ = build(job, OneRank())
    set_weights(model.weights, weights_of(outcome))
    logits = np.asarray(model({"user": np.arange(USERS), "items": np.tile(np.arange(ITEMS), (USERS, 1))}))
    own = (np.arange(USERS)[:, None] + np.arange(ITEMS)) % 2 == 0
    assert (logits[own].min() > logits[~own].max()) or ((logits > 0) == own).mean() > 0.95


def test_the_same_seed_gives_the_same_weights(make_job):
    first, second = (loop.fit(make_job("training.epochs=2", checkpoint=name), OneRank()) for name in "ab")
    for one, other in zip(weights_of(first).values(), weights_of(second).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_a_training_goes_on_after_its_last_whole_epoch_as_if_never_stopped(make_job):
    whole = loop.fit(make_job("training.epochs=4", checkpoint="whole"), OneRank())
    loop.fit(make_job("training.epochs=2", checkpoint="stopped"), OneRank())
    resumed = loop.fit(make_job("training.epochs=4", checkpoint="stopped"), OneRank())
    assert [e.loss for e in resumed.history] == pytest.approx([e.loss for e in whole.history], rel=1e-4)
    for one, other in zip(weights_of(whole).values(), weights_of(resumed).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_a_checkpoint_of_other_data_is_not_resumed(make_job):
    loop.fit(make_job("training.epochs=2"), OneRank())
    fresh = loop.fit(make_job("training.epochs=1", identity="other"), OneRank())
    assert len(fresh.history) == 1


def test_it_stops_when_validation_gets_no_better(make_job):
    outcome = loop.fit(make_job("training.epochs=40", "training.patience=2", "training.learning_rate=0.1"), OneRank())
    assert len(outcome.history) < 40
    assert len(outcome.history) - outcome.best_epoch == 2


def test_a_loss_that_is_not_finite_stops_it_and_says_where_and_what_to_try(make_job):
    outcome = loop.fit(make_job("training.learning_rate=1e30"), OneRank())
    assert "not finite at step" in outcome.error and "learning_rate" in outcome.error
    assert outcome.history == ()


def test_scores_that_are_not_finite_stop_it_in_words_of_its_own(make_job, monkeypatch):
    def wild(validation, block, catalogue):
        return np.full(4, np.nan)

    monkeypatch.setattr("recsys_spark.training.validation.Validation._sums", wild)
    outcome = loop.fit(make_job("training.epochs=2"), OneRank())
    assert "the scores on validation are not finite: try a lower training.learning_rate" in outcome.error
    assert outcome.history == ()


def test_ranks_whose_weights_differ_are_an_error(make_job, monkeypatch):
    class Two(OneRank):
        size = 2

        def gathered(self, value):
            return [value, value + 1] if value > 1_000_000 else [value, value]

    monkeypatch.setattr(loop, "plan_epoch", lambda files, ranks, rows: plan_epoch(files, 1, rows))
    outcome = loop.fit(make_job("training.epochs=1"), Two())
    assert "weights differ" in outcome.error


def test_pretrained_halves_are_joined(make_job):
    halves = []
    for name in ("gmf", "mlp"):
        job = make_job("training.epochs=2", checkpoint=name)
        job = make_job("training.epochs=2", checkpoint=name, model=type(job.model)(name, *_sizes(job)))
        halves.append(loop.fit(job, OneRank()).weights)
    joined, _ = build(make_job(halves=tuple(halves)), OneRank())
    gmf, mlp = (storage.load_arrays(folder) for folder in halves)
    ours = {variable.name: np.asarray(variable) for variable in joined.weights}
    theirs = {name.split("/")[-1]: array for arrays in (gmf, mlp) for name, array in arrays.items()}
    np.testing.assert_array_equal(ours["user_gmf"], theirs["user_gmf"])
    np.testing.assert_allclose(ours["output_mlp"], 0.5 * theirs["output_mlp"])


def _sizes(job):
    return job.model.settings, job.model.n_users, job.model.n_items


def exchange_and_fit(job, ranks):
    """What one rank sees of every exchange, and then a training."""
    import tensorflow as tf

    mine = float(ranks.rank + 1)
    rows = tf.IndexedSlices(tf.constant([[mine], [10 * mine]]), tf.constant([ranks.rank, 5]), tf.constant([6, 1]))
    dense, sparse = ranks.average([tf.constant([mine, 3 * mine]), rows])
    variable = tf.Variable([mine])
    ranks.broadcast([variable])
    seen = {
        "dense": dense.numpy().tolist(),
        "sparse": tf.math.unsorted_segment_sum(sparse.values, sparse.indices, 6).numpy()[:, 0].tolist(),
        "broadcast": variable.numpy().tolist(),
        "total": ranks.total(np.array([mine, 1.0])).tolist(),
        "gathered": ranks.gathered(ranks.rank + 40),
        "shared": ranks.share({"rank": ranks.rank}),
    }
    return seen, loop.fit(job, ranks)


def test_two_horovod_ranks_exchange_and_train_with_equal_weights(spark, make_job):
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    job = make_job("training.epochs=3", "training.patience=0", "training.ranks=2", "training.batch_rows=32")
    seen, outcome = launch(spark, 2, partial(exchange_and_fit, job), threads=1)
    assert seen == {
        "dense": [1.5, 4.5],
        "sparse": [0.5, 1.0, 0.0, 0.0, 0.0, 15.0],
        "broadcast": [1.0],
        "total": [3.0, 2.0],
        "gathered": [40, 41],
        "shared": {"rank": 0},
    }
    assert outcome.error == ""  # the loop itself compares the ranks' weights after every epoch
    assert len(outcome.history) == 3
    assert outcome.history[-1].loss < 0.5 * outcome.history[0].loss


def fit_and_die(job, ranks):
    """Rank 1 is killed once the first epoch is safe."""
    import os
    import signal
    import threading
    import time

    def die():
        while not storage.has_folder(f"{job.checkpoint}/last-1"):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)

    if ranks.rank == 1:
        threading.Thread(target=die, daemon=True).start()
    return loop.fit(job, ranks)


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_the_training_and_the_next_one_goes_on(spark, make_job):
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    settings = ("training.patience=0", "training.ranks=2", "training.batch_rows=32")
    with pytest.raises(TrainingError, match=r"ended early.*the last whole epoch is kept.*Run the job again"):
        launch(spark, 2, partial(fit_and_die, make_job("training.epochs=5000", *settings)), threads=1)
    left = max(
        storage.load_manifest(place)["epoch"]
        for turn in (0, 1)
        if storage.has_folder(place := f"{make_job().checkpoint}/last-{turn}")
    )
    assert left >= 1
    outcome = loop.fit(make_job(f"training.epochs={left + 1}", *settings), OneRank())
    assert outcome.error == ""
    assert len(outcome.history) == left + 1
