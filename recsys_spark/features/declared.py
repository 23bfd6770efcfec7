"""Declared features of a run: learnt for every fit before anything is written, then encoded for everyone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pyspark.sql import DataFrame

from recsys_spark import columns as c
from recsys_spark.feature_settings import Of
from recsys_spark.features.encoding import ENCODED, encoded, unknown
from recsys_spark.features.learning import Learnt, learn
from recsys_spark.features.sources import ATTRIBUTES, INDEX, values
from recsys_spark.runs import Run
from recsys_spark.schemas import FEATURE_SPECS
from recsys_spark.settings import Fit


@dataclass(frozen=True)
class Known:
    """What a fit knows of users, or of items: everyone's values, kept in memory or on disk, and what was learnt."""

    fit: Fit
    of: Of
    values: DataFrame
    learnt: list[Learnt]


@contextmanager
def learnt_features(run: Run, counted: Mapping[Fit, Mapping[Of, DataFrame]]) -> Iterator[list[Known]]:
    """Learn `features.declared` for each fit, from entities with events in its parts alone; nothing where none is.

    Within, the values that were learnt from stay at hand to be encoded. See `learning.learn` for what it costs.

    Args:
        counted: `user_features` and `item_features` of each fit.

    Raises:
        UserError: a declaration does not fit the data; nothing has been written yet.
    """
    with ExitStack() as kept:
        known = []
        for fit, of_fit in counted.items():
            for of, features in of_fit.items():
                declared = [feature for feature in run.config.features.declared if feature.of == of]
                if declared:
                    attributes = run.tables.read_or_empty(ATTRIBUTES[of])
                    index = run.tables.read(INDEX[of].name)
                    everyone = index.transform(values(of, declared, attributes, features)).persist()
                    kept.callback(everyone.unpersist)
                    learnt = learn(everyone, declared, attributes, run.config.run.driver_bytes)
                    known.append(Known(fit, of, everyone, learnt))
        yield known


def write_encoded(run: Run, known: Sequence[Known], contexts: Mapping[Fit, Sequence[Learnt]]) -> None:
    """Encode every user and item of the index, and write what the codes and numbers mean, a slice a fit. O(entities).

    Args:
        contexts: what each fit learnt of the context, which is encoded elsewhere.
    """
    rows: dict[Fit, list[tuple[object, ...]]] = {}
    for one in known:
        table, where = ENCODED[one.of], {c.AS_OF_DATE: run.as_of, c.FIT: one.fit}
        everyone = one.values.transform(encoded(run.as_of, one.fit, one.of, one.learnt, run.seed))
        written = run.tables.replace(table, everyone, where)
        run.counts[f"{table.name}_{one.fit}"] = written
        odd = unknown(run.tables.read(table.name, where), one.learnt)
        rows.setdefault(one.fit, []).extend(_row(run, one.fit, learnt, odd[learnt.spec.name]) for learnt in one.learnt)
        run.notes += [_note(one, learnt, written, odd[learnt.spec.name]) for learnt in one.learnt]
    for fit, of_context in contexts.items():
        rows.setdefault(fit, []).extend(_row(run, fit, learnt, 0) for learnt in of_context)
    for fit, of_fit in rows.items():
        specs = run.spark.createDataFrame(of_fit, FEATURE_SPECS.schema)
        run.tables.replace(FEATURE_SPECS, specs, {c.AS_OF_DATE: run.as_of, c.FIT: fit})


def _row(run: Run, fit: Fit, learnt: Learnt, odd: int) -> tuple[object, ...]:
    spec = learnt.spec
    names = [feature.name for feature in run.config.features.declared]
    place = (names.index(spec.name), spec.first, spec.length, spec.size)
    weights = None if learnt.weights is None else learnt.weights.tolist()
    content = (
        dict(learnt.vocabulary) if learnt.vocabulary is not None else None,
        learnt.mean,
        learnt.std,
        weights,
        run.seed,
    )
    return (run.as_of, fit, spec.name, spec.of, spec.kind, *place, *content, learnt.missing, odd, learnt.learnt_from)


def _note(one: Known, learnt: Learnt, entities: int, odd: int) -> str:
    """`evaluate: feature genres of 3,883 items: 18 values, 2 missing, 5 unknown, 1 with more than 8 values`."""
    spec = learnt.spec
    parts = [] if learnt.vocabulary is None else [f"{len(learnt.vocabulary):,} values learnt"]
    parts += [f"{learnt.missing:,} missing", f"{odd:,} unknown"]
    parts += [f"{learnt.cut:,} with more than {spec.length} values, cut"] if learnt.cut else []
    return f"{one.fit}: feature {spec.name} of {entities:,} {one.of}s: {', '.join(parts)}"
