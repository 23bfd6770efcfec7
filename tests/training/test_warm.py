"""Warm starts: weights of an earlier model in the tables of a larger one."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.models import build_model
from recsys_spark.training.distributed import OneRank
from recsys_spark.training.growth import go_on_from
from recsys_spark.training.loop import fit
from recsys_spark.training.warm import EarlierModel, warm_job

SETTINGS = {"width": 3, "seed": 1}


def named(model):
    return {f"{place} {variable.path}": np.asarray(variable) for place, variable in enumerate(model.weights)}


def test_known_rows_are_taken_over_and_new_ones_keep_their_own():
    old = build_model("matrix_factorization", SETTINGS, 2, 3)
    new = build_model("matrix_factorization", {**SETTINGS, "seed": 2}, 4, 5)
    before = named(new)
    go_on_from(new, named(old))
    for variable, was, earlier in zip(new.weights, before.values(), named(old).values(), strict=True):
        now = np.asarray(variable)
        if not now.ndim:
            np.testing.assert_array_equal(now, earlier)
            continue
        np.testing.assert_array_equal(now[: len(earlier)], earlier)
        np.testing.assert_array_equal(now[len(earlier) :], was[len(earlier) :])


@pytest.mark.parametrize(("width", "users"), [(4, 2), (3, 9)])
def test_a_model_of_another_width_or_of_more_users_is_refused(width, users):
    old = build_model("matrix_factorization", {**SETTINGS, "width": width}, users, 3)
    new = build_model("matrix_factorization", SETTINGS, 4, 5)
    with pytest.raises(ValueError, match="that of the earlier model"):
        go_on_from(new, named(old))


def test_a_warm_start_goes_on_where_the_last_model_stood(make_job):
    cold = fit(make_job("training.epochs=4"), OneRank())
    job = warm_job(make_job(checkpoint="warm"), EarlierModel("m-1", cold.weights), 1)
    warm = fit(job, OneRank())
    assert [epoch.number for epoch in warm.history] == [1]
    assert warm.history[0].loss < cold.history[1].loss
    assert job.identity != make_job().identity  # checkpoints of a training from scratch are not its own
