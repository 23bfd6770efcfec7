"""The tune job: trainings of the evaluate fit with settings of `tune.space` -> `tune_trials`, and the best as YAML.

A trial trains on the train part and is judged on validation; the test part is not read. Nothing is published. In MLflow the study
is a run, and each trial one below it.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.config import changed
from recsys_spark.errors import UserError
from recsys_spark.interactions.split import VALIDATION
from recsys_spark.runs import Run
from recsys_spark.schemas import TUNE_TRIALS
from recsys_spark.training.artifact import model_version
from recsys_spark.training.assemble import table_of
from recsys_spark.training.job import curve_of, is_below
from recsys_spark.training.nested import Nested
from recsys_spark.training.stage import train_fit
from recsys_spark.training.validation import RMSE
from recsys_spark.tuning.space import as_yaml, dimensions, study_name
from recsys_spark.tuning.study import Trial, Tried, best_of, open_study, search, study_uri, trials_of


def run(run: Run) -> None:
    """Go on with the study up to `tune.trials` trials in all. O(trials x epochs x examples).

    Raises:
        UserError: the search space does not hold, the split has no validation part, or all trials failed.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # warns that each model is compiled anew, as it must be
    tune, space = run.config.tune, dimensions(run.config)
    uri = study_uri(tune.storage, run.root, run.tables.in_catalog)
    run.tables.read_slice(table_of(run.config.model.chosen.examples), {c.AS_OF_DATE: run.as_of, c.FIT: "evaluate"})
    if run.tables.read("eval_examples", {c.AS_OF_DATE: run.as_of, c.PART: VALIDATION}).isEmpty():
        raise UserError(
            "the split holds out no validation part, and settings are never chosen on test: nothing to tune on"
        )
    name = study_name(run.config, run.as_of, space)
    study = open_study(uri, name)
    earlier = trials_of(study)
    run.say(f"study {name}: {len(earlier)} of {tune.trials} trials are done; {uri}")
    if earlier:
        _write(run, name, earlier)
    tracked = Nested(run, name, tune.metric)
    for trial in search(study, space, tune.trials, run.seed, run.run_id, partial(_train, run), tune.pruner == "median"):
        run.say(_line(trial, tune.metric))
        _write(run, name, trials_of(study))
        told = {tune.metric: trial.value, "epochs": trial.epochs, "seconds": trial.seconds}
        tracked.child(f"trial {trial.number}", trial.settings, told, trial.curve, trial.error)
    _summarise(run, name, trials_of(study))


def _train(run: Run, settings: Mapping[str, Any], floors: tuple[float, ...]) -> Tried:
    """The evaluate fit with those settings, and no trace of it but its figures."""
    config = changed(run.config, settings, "tune.space")
    trial = dataclasses.replace(run, config=config, counts={}, notes=[])
    trial.tables = run.tables  # every trial reads the versions that the first one pinned
    version = model_version(config.model.name, run.as_of, "tune", config.digest("examples", "model", "training"))
    run.say("trying " + ", ".join(f"{key}={_text(value)}" for key, value in settings.items()))
    outcome = train_fit(trial, "evaluate", version, floors=floors).outcome
    storage.delete_folder(storage.join(run.artifacts, "checkpoints", version))
    curve = tuple(curve_of(outcome.history))
    if outcome.error:
        return Tried(None, len(outcome.history), curve, error=outcome.error)
    figures, metric = outcome.history[outcome.best_epoch - 1].validation, run.config.tune.metric
    if metric not in figures:
        raise UserError(
            f"tune.metric is {metric}, but {config.model.name} is validated by {', '.join(figures)}: set tune.metric to one "
            "of these"
        )
    best = -figures[metric] if metric == RMSE else figures[metric]  # trials are compared by what is higher
    return Tried(best, len(outcome.history), curve, is_below(curve, floors))


def _write(run: Run, study: str, trials: Sequence[Trial]) -> None:
    """Put the study's trials in the place of its rows: a row that an earlier run could not write is made up for."""
    rows = [
        (
            study,
            trial.number,
            trial.status,
            trial.value,
            {key: _text(value) for key, value in trial.settings.items()},
            trial.epochs,
            trial.seconds,
            trial.error,
            trial.run_id,
        )
        for trial in trials
    ]
    run.tables.replace(TUNE_TRIALS, run.spark.createDataFrame(rows, TUNE_TRIALS.schema), {"study": study})


def _summarise(run: Run, study: str, trials: Sequence[Trial]) -> None:
    """Write the best settings where `--config` finds them, and say what a person wants to know."""
    best, metric = best_of(trials), run.config.tune.metric
    if best is None:
        raise UserError(f"all {len(trials)} trials of {study} failed, the last with: {trials[-1].error}")
    snippet = as_yaml(best.settings)
    head = f"# validation {metric} {best.value:.4f}: the best of {len(trials)} trials of {study}\n"
    path = storage.join(run.artifacts, "tuning", f"{study}.yaml")
    storage.save_file(path, (head + snippet).encode())
    failed = sum(trial.error is not None for trial in trials)
    run.counts |= {"trials": len(trials), "failed": failed}
    seconds = sum(trial.seconds for trial in trials)
    run.notes.append(
        f"trials took {seconds:.1f} s in all, every one: SELECT * FROM {run.tables.sql_name('tune_trials')}"
    )
    run.notes.append(f"best: validation {metric} {best.value:.4f}, trial {best.number}, with")
    run.notes += [f"  {line}" for line in snippet.splitlines()]
    run.notes.append(f"to train with it: jobs/train.py with your --config, then --config {path}")


def _line(trial: Trial, metric: str) -> str:
    what = f"{trial.status}: {trial.error}" if trial.value is None else f"{trial.status}, {metric} {trial.value:.4f}"
    return f"trial {trial.number} {what} ({trial.epochs} epochs, {trial.seconds:.1f} s)"


def _text(value: Any) -> str:
    return json.dumps(value)
