"""Optuna, all of it: a study in its database, its sampler, its trials. Nothing else imports it.

The sampler of a trial is seeded by the run's seed and the number of trials finished before it, so that a study that was
stopped goes on with the settings that it would have tried (TPE: Bergstra et al., 2011, "Algorithms for hyper-parameter
optimization").
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from recsys_spark.errors import UserError
from recsys_spark.hashing import hash_of
from recsys_spark.tuning.space import Dimension

DONE: Final = "done"
PRUNED: Final = "pruned"
FAILED: Final = "failed"

_STATUS: Final = {"COMPLETE": DONE, "PRUNED": PRUNED, "FAIL": FAILED}
_TOLD: Final = "told"  # the trial's attribute: what Optuna has no place for
_CURVES_BEFORE_PRUNING: Final = 5


@dataclass(frozen=True)
class Tried:
    """What a training with some settings came to: its figure on validation, or None and why there is none."""

    value: float | None
    epochs: int
    curve: tuple[float, ...] = ()  # by epoch: what the pruner compares
    pruned: bool = False
    error: str = ""


@dataclass(frozen=True)
class Trial:
    """One finished trial. `settings` by key; `value` is None for one that failed; `curve`, by epoch, is what is pruned by."""

    number: int
    status: str
    value: float | None
    settings: Mapping[str, Any]
    epochs: int
    seconds: float
    error: str | None
    run_id: str
    curve: tuple[float, ...] = ()


# Trains with some settings, by key; the floors, by epoch, are those of `training.job.Job`.
Train = Callable[[Mapping[str, Any], tuple[float, ...]], Tried]


def study_uri(configured: str, root: str, in_catalog: bool) -> str:
    """Where studies are kept: what is configured, or a SQLite file below a local root.

    Raises:
        UserError: nothing is configured and the root is no local path.
    """
    if configured:
        return configured
    if in_catalog or "://" in root:
        raise UserError(f"tune.storage is empty and the root {root} is no local path: name a database, as Optuna does")
    return f"sqlite:///{Path(root).absolute()}/tune.db"


def open_study(uri: str, name: str) -> Any:
    """The study of that name, new or with the trials that earlier runs finished; what they left unfinished is closed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=uri, study_name=name, direction="maximize", load_if_exists=True)
    for killed in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(killed.number, state=optuna.trial.TrialState.FAIL)
    return study


def search(
    study: Any, space: Sequence[Dimension], trials: int, seed: int, run_id: str, train: Train, prunes: bool
) -> Iterator[Trial]:
    """Try settings until the study has so many trials in all; each trial as soon as it is in the study.

    A training that came to an error is a failed trial, and counts. Whatever `train` raises ends the search; that
    trial does not count, and the next search tries its settings again.
    """
    import optuna

    distributions = {dimension.key: _distribution(dimension) for dimension in space}
    while (finished := len(trials_of(study))) < trials:
        own = int(hash_of(seed, finished)[0]) >> 32
        study.sampler = optuna.samplers.TPESampler(seed=own, constant_liar=False)
        asked = study.ask(distributions)
        clock = time.monotonic()
        tried = train(_settings(asked), _floors(study) if prunes else ())
        _tell(study, asked, tried, time.monotonic() - clock, run_id)
        yield trials_of(study)[-1]


def trials_of(study: Any) -> list[Trial]:
    """The study's finished trials, in the order in which they were begun."""
    return [_trial(each) for each in study.get_trials(deepcopy=False) if _is_finished(each)]


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the greatest value, the first among equals; None where all failed."""
    valued = [trial for trial in trials if trial.value is not None]
    return max(valued, key=lambda trial: (trial.value, -trial.number)) if valued else None


def _distribution(dimension: Dimension) -> Any:
    from optuna import distributions as d

    if dimension.choices:
        return d.CategoricalDistribution(
            [json.dumps(choice) for choice in dimension.choices]
        )  # lists are none to Optuna
    low, high = dimension.ends
    of = d.IntDistribution if dimension.whole else d.FloatDistribution
    return of(low, high, log=dimension.log)


def _settings(trial: Any) -> dict[str, Any]:
    return {key: json.loads(value) if isinstance(value, str) else value for key, value in sorted(trial.params.items())}


def _floors(study: Any) -> tuple[float, ...]:
    """By epoch, the median of the finished curves that reach it: the median stopping rule (Golovin et al., 2017)."""
    from optuna.trial import TrialState

    curves = [each.intermediate_values for each in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
    if len(curves) < _CURVES_BEFORE_PRUNING:
        return ()
    epochs = range(1, max(map(len, curves)) + 1)
    return tuple(median(curve[epoch] for curve in curves if epoch in curve) for epoch in epochs)


def _tell(study: Any, asked: Any, tried: Tried, seconds: float, run_id: str) -> None:
    from optuna.trial import TrialState

    for epoch, figure in enumerate(tried.curve, start=1):
        asked.report(figure, epoch)
    told = {"value": tried.value, "epochs": tried.epochs, "seconds": seconds, "error": tried.error, "run_id": run_id}
    asked.set_user_attr(_TOLD, told)
    if tried.error:
        study.tell(asked, state=TrialState.FAIL)
    elif tried.pruned:
        study.tell(asked, state=TrialState.PRUNED)
    else:
        study.tell(asked, tried.value)


def _is_finished(each: Any) -> bool:
    """Not those that a killed run left behind, which `open_study` closes as failed, without an error."""
    return each.state.name in _STATUS and (
        each.state.name != "FAIL" or bool(each.user_attrs.get(_TOLD, {}).get("error"))
    )


def _trial(each: Any) -> Trial:
    told = each.user_attrs[_TOLD]
    return Trial(
        number=each.number,
        status=_STATUS[each.state.name],
        value=told["value"],
        settings=_settings(each),
        epochs=told["epochs"],
        seconds=told["seconds"],
        error=told["error"] or None,
        run_id=told["run_id"],
        curve=tuple(value for _, value in sorted(each.intermediate_values.items())),
    )
