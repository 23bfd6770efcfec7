"""The train stage: pinned examples -> an artifact a fit, its row in `models`, its MLflow run.

Two fits: *evaluate* trains on the train part and picks its epochs on validation; *refit* and *production* then train on
more, for as many epochs. Every later fit names the evaluate fit that vouches for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from pyspark.sql import functions as F

from recsys_spark import storage
from recsys_spark.errors import MissingTableError, TrainingError
from recsys_spark.features.context_sources import CONTEXT
from recsys_spark.features.knowledge import knowledge, those_of
from recsys_spark.feed.shards import plan_epoch
from recsys_spark.interactions.index import index_ids
from recsys_spark.retriever import retriever_config
from recsys_spark.runs import Run
from recsys_spark.schemas import MODELS
from recsys_spark.settings import Config, Fit
from recsys_spark.training.artifact import meaning_of, model_version, save_artifact
from recsys_spark.training.assemble import ignored_features, job_of
from recsys_spark.training.checkpoint import CATALOGUE
from recsys_spark.training.distributed import launch
from recsys_spark.training.finder import find_rate
from recsys_spark.training.folding import folding
from recsys_spark.training.job import Job, Outcome
from recsys_spark.training.loop import fit as fit_on_rank
from recsys_spark.training.owner import claim
from recsys_spark.training.tracking import TrackedRun, record, tracking_uri
from recsys_spark.training.validation import NDCG
from recsys_spark.training.warm import EarlierModel, earlier_model, warm_job

_HALVES = ("gmf", "mlp")
FOLDING: Final = "folding"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Trained:
    """A fit that is trained and not published: its last phase, the best epoch of each, the seconds of all epochs, and the model
    that it went on from."""

    job: Job
    outcome: Outcome
    epochs: Mapping[str, int]
    seconds: float
    earlier: EarlierModel | None = None


@dataclass(frozen=True)
class Fitted:
    """A fit that is done, as the later ones need to know it."""

    version: str
    epochs: Mapping[str, int]  # by phase: the halves, if they were trained first, and the model


def run(run: Run) -> None:
    """Train every configured fit, the evaluate fit first. O(epochs x examples); the driver holds the model at most.

    With `training.find_rate` nothing is trained: the rates are tested on the evaluate fit's examples.
    """
    if run.config.training.find_rate:
        find_rate(run, job_of(run, "evaluate", "", run.config.model.name, (), None))
        return
    tracking_uri(run.config.storage.tracking_uri, run.root, run.tables.in_catalog)  # better now than after training
    claim(run)
    run.notes += ignored_features(run.config)
    vouching: Fitted | None = None
    for fit in sorted(run.config.examples.fits, key=("evaluate", "refit", "production").index):
        fitted = _fit(run, fit, vouching)
        vouching = fitted if fit == "evaluate" else vouching
    retriever = retriever_config(run.config)
    if retriever is not None and "production" in run.config.examples.fits:
        _train_retriever(run, retriever)
    run.notes.append("next: jobs/evaluate.py for its quality on the test split, jobs/recommend.py to publish lists")


def _train_retriever(run: Run, config: Config) -> None:
    """Train the production fit of the second model: so many epochs as its settings say, as no evaluate fit chooses them."""
    own = dataclasses.replace(run, config=config, counts={})
    own.tables = run.tables
    _fit(own, "production", None)
    run.counts |= {f"retriever_{what}": count for what, count in own.counts.items()}


def _fit(run: Run, fit: Fit, vouching: Fitted | None) -> Fitted:
    """Train one fit, save the artifact and enter it in `models`."""
    version = model_version(run.config.model.name, run.as_of, fit, meaning_of(run.config))
    trained = train_fit(run, fit, version, vouching)
    if trained.outcome.error:
        raise TrainingError(trained.outcome.error)
    _publish(run, fit, version, trained, vouching)
    return Fitted(version, trained.epochs)


def train_fit(
    run: Run, fit: Fit, version: str, vouching: Fitted | None = None, floors: tuple[float, ...] = ()
) -> Trained:
    """Train each phase of one fit and publish nothing; `outcome.error` says why a phase had to stop, the last one then.

    Checkpoints are left under `version`. `floors` hold for the last phase, see `Job`.

    Raises:
        TrainingError: the ranks could not be started, or one of them died.
    """
    config, name = run.config, run.config.model.name
    earlier = earlier_model(run, fit) if run.training == "warm" else None
    in_phases = name == "neumf" and config.model.neumf.pretrain and earlier is None
    phases = (*_HALVES, name) if in_phases else (name,)
    epochs: dict[str, int] = {}
    halves: tuple[str, ...] = ()
    seconds = 0.0
    for phase in phases:
        joined = halves if phase == name else ()
        job = job_of(run, fit, version, phase, joined, vouching.epochs.get(phase) if vouching else None)
        job = dataclasses.replace(job, floors=floors if phase == name else ())
        job = warm_job(job, earlier, config.night.warm_epochs) if earlier else job
        run.say(_opening(job, config.training.ranks))
        outcome = launch(run.spark, config.training.ranks, partial(fit_on_rank, job), config.training.threads)
        seconds += sum(epoch.seconds for epoch in outcome.history)
        for line in outcome.summary.splitlines() if fit == "evaluate" else ():
            run.say(line)
        if outcome.error:
            break
        epochs[phase] = outcome.best_epoch
        halves = (*halves, outcome.weights) if phase in _HALVES and phase != name else halves
    return Trained(job, outcome, epochs, seconds, earlier)


def _publish(run: Run, fit: Fit, version: str, trained: Trained, vouching: Fitted | None) -> None:
    """Save the artifact under a folder of this run's own, then enter it in `models`: readers see all of it or none."""
    config, path = run.config, storage.join(run.artifacts, "models", version, run.run_id)
    outcome, known = trained.outcome, knowledge(run, fit, config.model.chosen.sides)
    best = outcome.history[outcome.best_epoch - 1]
    evaluated_by = version if fit == "evaluate" else vouching.version if vouching else None
    folded = _folding(run, fit, outcome)
    manifest = {
        "model_version": version,
        "as_of_date": run.as_of.isoformat(),
        "fit": fit,
        "evaluated_by": evaluated_by,
        "started_from": trained.earlier.version if trained.earlier else None,
        "model": dataclasses.asdict(trained.job.model) | {"settings": dict(trained.job.model.settings)},
        "scoring": dict(outcome.scoring),
        "context": those_of(known, CONTEXT),
        "training": config.training.model_dump(),
        "features": config.features.model_dump(mode="json"),
        "versions": dict(run.tables.versions_read),
        "index": index_ids(run.tables),
        "history": [dataclasses.asdict(epoch) for epoch in outcome.history],
        "best_epoch": outcome.best_epoch,
        "parameters": outcome.parameters,
        "training_seconds": trained.seconds,
        FOLDING: folded,
        "environment": dict(outcome.environment),
        "config_hash": config.digest(),
        "run_id": run.run_id,
    }
    save_artifact(path, manifest, outcome.weights, those_of(known, "user", "item"))
    row = (
        version,
        config.model.name,
        run.as_of,
        fit,
        path,
        evaluated_by,
        trained.earlier.version if trained.earlier else None,
        outcome.best_epoch,
        best.validation.get(NDCG),
        config.digest(),
        _entered_at(run),
        run.run_id,
    )
    run.tables.upsert_latest(MODELS, run.spark.createDataFrame([row], MODELS.schema), newest="created_at")
    uri = tracking_uri(config.storage.tracking_uri, run.root, run.tables.in_catalog)
    settings, figures = config.model_dump(mode="json"), {FOLDING: folded}
    record(uri, config.dataset, version, settings, outcome, path, figures, _where(run))
    storage.delete_folder(storage.join(run.artifacts, "checkpoints", version))
    run.counts[f"epochs_{fit}"], run.counts["parameters"] = outcome.best_epoch, outcome.parameters
    run.notes.append(
        f"{fit} fit: {version}"
        + "".join(f", validation {name} {value:.4f}" for name, value in best.validation.items() if name != "loss")
    )
    if folded is not None:
        run.notes.append(
            f"{fit} fit: folding {folded:.4f}, the share of items' nearest neighbours that share no user with them"
        )
    run.notes.append(f"artifact: {path}")


def _where(run: Run) -> TrackedRun:
    """What MLflow is told of the run: tables with the versions that it read, and how its lists are made."""
    read = {name: (run.tables.path(name), version) for name, version in run.tables.versions_read.items()}
    return TrackedRun(run.run_id, run.root, read, run.config.recommend.exclude_seen)


def _entered_at(run: Run) -> datetime:
    """Now, or just after the latest model that is there: the newest is the one entered last, though the clock was set back."""
    now = datetime.now(UTC)
    if not run.tables.exists(MODELS.name):
        return now
    models = run.tables.read_version(MODELS.name, run.tables.version(MODELS.name))
    latest = models.agg(F.max(F.unix_micros("created_at"))).head()
    assert latest is not None
    return now if latest[0] is None else max(now, _EPOCH + timedelta(microseconds=latest[0] + 1))


def _folding(run: Run, fit: Fit, outcome: Outcome) -> float | None:
    """The measure for models that retrieve, where it is asked for."""
    if outcome.scoring.get("by") != "query" or not run.config.training.folding_items:
        return None
    try:
        return folding(run, fit, storage.load_arrays(outcome.weights)[CATALOGUE])
    except MissingTableError as missing:  # no reason to lose what was trained
        run.notes.append(f"{fit} fit: folding is not measured: {missing}")
        return None


def _opening(job: Job, ranks: int) -> str:
    plan = plan_epoch(job.draws[0], ranks, job.training.batch_rows)
    samples = plan.rows * job.layout.samples
    return (
        f"{job.title}: {job.model.name}, {job.model.n_users:,} users x {job.model.n_items:,} items, {samples:,} samples an "
        f"epoch in {plan.steps:,} steps on {ranks} rank(s), at most {job.epochs} epochs"
    )
