"""The jobs that the ranks are given: which files, which model of which sizes, and what its settings take from the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from math import isnan
from typing import Any

from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import MissingTableError, UserError
from recsys_spark.feature_settings import AnyFeature
from recsys_spark.features.learning import length_of
from recsys_spark.features.spec import FeatureSpec, feature_specs
from recsys_spark.files import LiveFile
from recsys_spark.interactions.index import index_ids, index_sizes
from recsys_spark.interactions.split import VALIDATION
from recsys_spark.model_settings import (
    IMPRESSIONS,
    PAIRS,
    RATED_PAIRS,
    RATINGS,
    SEQUENCES,
    EmbeddingMLPModel,
    Kind,
)
from recsys_spark.runs import Run
from recsys_spark.settings import Config, Fit
from recsys_spark.tables import SliceKey
from recsys_spark.training.clicks import click_loss
from recsys_spark.training.job import Job, ModelSpec

_READ = (
    *(
        "interactions",
        "train_examples",
        "train_sequences",
        "eval_examples",
        "sequences",
        "item_features",
    ),
    *("train_impressions", "shown_positions"),
    *("user_encoded", "item_encoded", "event_contexts", "feature_specs"),
)


def job_of(run: Run, fit: Fit, version: str, phase: str, halves: tuple[str, ...], epochs: int | None) -> Job:
    """One phase of one fit. Counts and names of files come to the driver, and a row a declared feature.

    Args:
        phase: the model to train, which is a half of NeuMF before they are joined.
        halves: folders of pretrained halves to start from.
        epochs: how many, where an earlier fit has chosen; None: those of the configuration.

    Raises:
        MissingTableError: a table or its slice is missing; the message names the job that makes it.
        UserError: the model learns values that no event has, or conversions that all or none have, or the encoded features
            are not those declared.
    """
    config, kind = run.config, run.config.model.chosen.examples
    of_fit: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: fit}
    validation = _validation_files(run) if fit == "evaluate" and not config.training.find_rate else ()
    settings = config.model.chosen.arguments() | {"seed": config.run.seed} | _from_data(run, kind, of_fit)
    n_users, n_items = index_sizes(run.tables)
    draws = _draws(run, kind, of_fit)
    in_order = kind == SEQUENCES
    histories = _live(run, "sequences", {c.AS_OF_DATE: run.as_of, c.FIT: "evaluate"}) if validation and in_order else ()
    leaves_out = validation and config.training.validation == "full" and config.recommend.exclude_seen
    seen = _live(run, "interactions", {c.AS_OF_DATE: run.as_of}) if leaves_out else ()
    side = {of: _live(run, f"{of}_encoded", of_fit) if f"{of}_side" in settings else () for of in ("user", "item")}
    item_features = _live(run, "item_features", of_fit) if in_order else ()
    of_held_out: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: "evaluate", c.PART: VALIDATION}
    contexts = _live(run, "event_contexts", of_held_out) if validation and "context_side" in settings else ()
    versions = {name: run.tables.pin(name) for name in _READ if name in run.tables.versions_read}
    # an index only grows, and a run that takes the lease of a killed one leaves an empty version of it
    index = (sorted(index_ids(run.tables).items()), n_users, n_items)
    return Job(
        title=f"{fit} fit" + (f", {phase}" if config.model.neumf.pretrain else ""),
        model=ModelSpec(phase, settings, n_users, n_items),
        training=config.training,
        kind=kind,
        negatives=config.examples.negatives,
        window=config.examples.window,
        baskets=config.examples.baskets,
        draws=draws,
        validation=validation,
        epochs=epochs or config.training.epochs,
        seed=config.run.seed,
        checkpoint=storage.join(run.artifacts, "checkpoints", version, phase),
        identity=f"{version}/{phase}/{config.run.seed}/{sorted(versions.items())}/{index}",
        halves=halves,
        alpha=config.model.neumf.pretrain_alpha,
        histories=histories,
        seen=seen,
        item_features=item_features,
        contexts=contexts,
        user_encoded=side["user"],
        item_encoded=side["item"],
        exclude_seen=config.recommend.exclude_seen,
        learning_rate=config.model.neumf.finetune_rate if halves else config.training.learning_rate,
    )


def _from_data(run: Run, kind: Kind, of_fit: SliceKey) -> dict[str, Any]:
    """Settings of the model that follow from the examples and the declared features."""
    settings: dict[str, Any] = {}
    if kind == SEQUENCES:
        settings["length"] = run.config.examples.window
    if kind in (RATINGS, RATED_PAIRS):
        settings |= _moments(run, kind, of_fit)
    if kind == RATED_PAIRS:
        settings["conversions"] = _has_conversions(run, of_fit)
    if kind == IMPRESSIONS:
        rows = run.tables.read_slice("shown_positions", of_fit)
        known = collect_rows(rows, "the positions of impressions", run.config.run.driver_bytes)
        settings["clicks"] = click_loss([row.asDict() for row in known], run.config.training)
    taken = run.config.model.chosen.sides
    if any(feature.of in taken for feature in run.config.features.declared):
        rows = run.tables.read_slice("feature_specs", of_fit)
        collected = collect_rows(rows.drop(c.VOCABULARY, c.IDF), "the declared features", run.config.run.driver_bytes)
        specs = feature_specs([row.asDict() for row in collected])
        _check_declared(run.config.features.declared, specs)
        for of in taken:
            own = [dataclasses.asdict(spec) for spec in specs if spec.of == of]
            settings |= {f"{of}_side": own} if own else {}
    return settings


def _check_declared(declared: Sequence[AnyFeature], specs: Sequence[FeatureSpec]) -> None:
    """Raise where what was encoded is not what is declared."""
    wanted = {feature.name: (feature.of, feature.kind, length_of(feature)) for feature in declared}
    encoded = {spec.name: (spec.of, spec.kind, spec.length) for spec in specs}
    for name in wanted | encoded:
        if wanted.get(name) != encoded.get(name):
            raise UserError(
                f"feature `{name}` is {_described(wanted.get(name))} in features.declared, but "
                f"{_described(encoded.get(name))} in table `feature_specs`: run jobs/features.py again"
            )


def _described(feature: tuple[str, str, int] | None) -> str:
    if feature is None:
        return "missing"
    of, kind, length = feature
    return f"{kind} of length {length} of {of}s"


def ignored_features(config: Config) -> list[str]:
    """A line each for users, items and the context, where features are declared that the model does not take; others of
    the same root may."""
    lines = []
    for of, whose in (("user", "users"), ("item", "items"), ("context", "the context")):
        names = [feature.name for feature in config.features.declared if feature.of == of]
        if names and of not in config.model.chosen.sides:
            takers = [name for name, section in config.model if of in getattr(section, "features_of", ())]
            lines.append(
                f"warning: {config.model.name} takes no features of {whose}, so it learns nothing from {', '.join(names)}; "
                f"these do: {', '.join(takers)}"
            )
    return lines


def _moments(run: Run, kind: Kind, of_fit: SliceKey) -> dict[str, float]:
    """Mean, and for several tasks deviation, of the values in the examples. One pass over a draw.

    Raises:
        UserError: no example has a value, or `embedding_mlp` has some that it could never predict.
    """
    values = run.tables.read_slice("train_examples", {**of_fit, c.DRAW: 0}).where(~F.isnan(c.VALUE))
    row = values.agg(
        F.avg(c.VALUE).alias("mean"),
        F.stddev_pop(c.VALUE).alias("std"),
        F.min(c.VALUE).alias("least"),
        F.max(c.VALUE).alias("most"),
    ).head()
    if row is None or row["mean"] is None:
        raise UserError(
            f"model {run.config.model.name} learns the events' values, and no training event has one: map a column to "
            "event_value in ingest, or choose a model or objective without ratings (docs/choosing.md)"
        )
    section = run.config.model.chosen
    if isinstance(section, EmbeddingMLPModel) and not section.low <= row["least"] <= row["most"] <= section.high:
        raise UserError(
            f"the training events' values go from {row['least']:g} to {row['most']:g}, but model.embedding_mlp predicts from "
            f"{section.low:g} to {section.high:g} alone: set model.embedding_mlp.low and model.embedding_mlp.high to hold them "
            "all, high a little above the greatest; or, where values are no ratings, model.embedding_mlp.objective=implicit"
        )
    return {"mean_value": row["mean"]} | ({"std_value": row["std"]} if kind == RATED_PAIRS else {})


def _has_conversions(run: Run, of_fit: SliceKey) -> bool:
    """Whether the positives say if they converted. One pass over a draw."""
    types = run.config.examples.conversion_types
    if not types and run.config.model.multitask.rank_by == "conversion":
        raise UserError(
            "model.multitask.rank_by is conversion, but examples.conversion_types names no type of event that converts a pair"
        )
    if not types:
        return False
    row = run.tables.read_slice("train_examples", {**of_fit, c.DRAW: 0}).agg(F.avg(c.CONVERTED).alias("share")).head()
    share = float("nan") if row is None or row["share"] is None else float(row["share"])
    if isnan(share):
        raise UserError(
            "the examples do not say which pairs converted: run jobs/examples.py with examples.conversion_types"
        )
    if not 0.0 < share < 1.0:
        raise UserError(
            f"{share:.0%} of the positives have an event of examples.conversion_types ({', '.join(types)}), so there is nothing "
            "to learn of conversion: check the types, and interactions.positive_types, which say what a positive is"
        )
    return True


def table_of(kind: Kind) -> str:
    """The table that holds a kind of example."""
    return {SEQUENCES: "train_sequences", IMPRESSIONS: "train_impressions"}.get(kind, "train_examples")


def _draws(run: Run, kind: Kind, of_fit: SliceKey) -> tuple[tuple[LiveFile, ...], ...]:
    """The files of each draw: pairs have several, the other kinds one."""
    if kind in (SEQUENCES, IMPRESSIONS):
        return (_live(run, table_of(kind), of_fit),)
    draws = range(run.config.examples.draws if kind in (PAIRS, RATED_PAIRS) else 1)
    return tuple(_live(run, table_of(kind), {**of_fit, c.DRAW: draw}) for draw in draws)


def _validation_files(run: Run) -> tuple[LiveFile, ...]:
    """The held-out lists, or nothing where the split holds none out for validation."""
    try:
        return _live(run, "eval_examples", {c.AS_OF_DATE: run.as_of, c.PART: VALIDATION})
    except MissingTableError:
        run.notes.append("the split has no validation part: all epochs are trained, none is chosen")
        return ()


def _live(run: Run, name: str, where: SliceKey) -> tuple[LiveFile, ...]:
    return tuple(run.tables.live_files(name, where))
