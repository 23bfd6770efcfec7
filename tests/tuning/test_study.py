"""The search with a training that is a formula: what is tried, counted, resumed and stopped early."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from recsys_spark.errors import UserError
from recsys_spark.tuning.space import Dimension
from recsys_spark.tuning.study import DONE, FAILED, PRUNED, Tried, best_of, open_study, search, study_uri, trials_of

SPACE = [
    Dimension("model.neumf.mlp_layers", choices=([8], [16, 8])),
    Dimension("training.epochs", low=1, high=9, whole=True),
    Dimension("training.learning_rate", low=1e-4, high=1e-1, log=True),
]


class Killed(BaseException):
    """What a kill looks like from within."""


def quality(settings: Any, floors: tuple[float, ...] = ()) -> Tried:
    """Best at a rate of 0.01 and nine epochs."""
    rate = -((math.log10(settings["training.learning_rate"]) + 2) ** 2)
    return Tried(rate + settings["training.epochs"] / 10, settings["training.epochs"])


def searched(
    trials: int, train: Any = quality, folder: Path | None = None, seed: int = 7, prunes: bool = False
) -> list[Any]:
    """The trials of a study, kept in the folder or nowhere."""
    kept = open_study(study_uri("", str(folder), in_catalog=False), "study") if folder else None
    study = kept or optuna.create_study(direction="maximize")
    list(search(study, SPACE, trials, seed, "run", train, prunes))
    return trials_of(study)


def test_the_same_seed_tries_the_same_settings():
    first, second = searched(14), searched(14)
    assert [trial.settings for trial in first] == [trial.settings for trial in second]
    assert [trial.value for trial in first] == [trial.value for trial in second]
    other = searched(3, seed=8)
    assert other[0].settings != first[0].settings
    for trial in first:
        assert trial.settings["model.neumf.mlp_layers"] in ([8], [16, 8])
        assert isinstance(trial.settings["training.epochs"], int) and 1 <= trial.settings["training.epochs"] <= 9
        assert 1e-4 <= trial.settings["training.learning_rate"] <= 1e-1
    assert len({trial.settings["training.learning_rate"] for trial in first}) == 14


def test_it_finds_better_settings_than_the_first_ones_that_chance_drew():
    trials = searched(40)
    assert best_of(trials).value > best_of(trials[:5]).value
    assert best_of(trials).value > 0.7  # the greatest there is: 0.9


def test_a_killed_search_goes_on_with_the_settings_that_it_would_have_tried(tmp_path):
    whole = searched(13)
    trained: list[Any] = []

    def killed_twice(settings: Any, floors: tuple[float, ...]) -> Tried:
        trained.append(settings)
        if len(trained) in (3, 12):
            raise Killed
        return quality(settings)

    for _ in range(2):
        with pytest.raises(Killed):
            searched(13, killed_twice, tmp_path)
    resumed = searched(13, killed_twice, tmp_path)
    assert [trial.settings for trial in resumed] == [trial.settings for trial in whole]
    assert trained[2] == trained[3] and len(trained) == 15
    assert searched(13, killed_twice, tmp_path) == resumed and len(trained) == 15  # there is nothing left to do
    assert len(searched(14, killed_twice, tmp_path)) == 14


def test_a_failed_trial_counts_and_does_not_end_the_study():
    def diverges(settings: Any, floors: tuple[float, ...]) -> Tried:
        if settings["training.learning_rate"] > 3e-3:
            return Tried(None, 0, error="the loss was not finite at step 3")
        return quality(settings)

    trials = searched(12, diverges)
    failed = [trial for trial in trials if trial.status == FAILED]
    assert 0 < len(failed) < 12 and len(trials) == 12
    assert {(trial.value, trial.error) for trial in failed} == {(None, "the loss was not finite at step 3")}
    assert best_of(trials).settings["training.learning_rate"] <= 3e-3
    assert best_of(failed) is None


def test_floors_are_the_median_of_finished_curves_once_there_are_five():
    curves = [(0.1, 0.2), (0.3, 0.3), (0.2, 0.4, 0.5), (0.5, 0.1), (0.4, 0.6), (0.2, 0.3), (0.9, 0.9)]
    given = []

    def train(settings: Any, floors: tuple[float, ...]) -> Tried:
        given.append(floors)
        curve = curves[len(given) - 1]
        return Tried(max(curve), len(curve), curve, pruned=len(given) == 6)

    trials = searched(7, train, prunes=True)
    assert given[:5] == [()] * 5
    # the sixth is pruned: only finished curves count
    assert given[5] == given[6] == pytest.approx((0.3, 0.3, 0.5))
    assert [trial.status for trial in trials] == [DONE] * 5 + [PRUNED, DONE]
    assert best_of(trials).value == 0.9


def test_the_best_of_equals_is_the_first():
    trials = searched(4, lambda settings, floors: Tried(0.5, 1))
    assert best_of(trials).number == 0


def test_a_root_that_is_no_local_path_needs_a_database():
    assert study_uri("", "/data/shop", in_catalog=False) == "sqlite:////data/shop/tune.db"
    assert study_uri("postgresql://host/db", "main.shop", in_catalog=True) == "postgresql://host/db"
    for root, in_catalog in (("main.shop", True), ("s3://bucket/shop", False)):
        with pytest.raises(UserError, match=r"tune\.storage is empty"):
            study_uri("", root, in_catalog)
