"""Users and items that came after a fit, encoded by what that fit learnt: its vocabularies, means and weights of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.feature_settings import AnyFeature, Of
from recsys_spark.features.encoding import encoded
from recsys_spark.features.learning import read_back
from recsys_spark.features.sources import ATTRIBUTES, IDX, INDEX, values
from recsys_spark.runs import Run
from recsys_spark.settings import Features, Fit
from recsys_spark.spark_errors import SparkFailure


@dataclass(frozen=True)
class Origin:
    """Where what a model knows of features was learnt: the slice of `feature_specs`, in the version of that day."""

    as_of: date
    fit: Fit
    version: int
    declared: Sequence[AnyFeature]

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Origin:
        """That of an artifact, by its manifest."""
        return cls(
            as_of=date.fromisoformat(manifest["as_of_date"]),
            fit=manifest["fit"],
            version=manifest["versions"]["feature_specs"],
            declared=Features.model_validate(manifest["features"]).declared,
        )


def encoded_newer(run: Run, of: Of, origin: Origin, first: int, end: int) -> DataFrame:
    """`(idx, codes, numbers)` of the users or items of the index from `first` on, before `end`. O(them), three joins by id.

    Attributes are the latest known.

    Raises:
        UserError: what was learnt is gone, or a source of the features is.
    """
    declared = [feature for feature in origin.declared if feature.of == of]
    rows = _rows(run, origin)
    learnt = [read_back(feature, rows[feature.name]) for feature in declared]
    seed = rows[declared[0].name][c.SEED]
    counted = run.tables.read(f"{of}_features", {c.AS_OF_DATE: run.as_of, c.FIT: origin.fit})
    index = run.tables.read(INDEX[of].name).where(F.col(IDX[of]).between(first, end - 1))
    named = index.transform(values(of, declared, run.tables.read_or_empty(ATTRIBUTES[of]), counted))
    return named.transform(encoded(run.as_of, origin.fit, of, learnt, seed))


def _rows(run: Run, origin: Origin) -> dict[str, Mapping[str, Any]]:
    """The rows of `feature_specs`, by the feature's name."""
    where = {c.AS_OF_DATE: origin.as_of, c.FIT: origin.fit}
    try:
        frame = run.tables.read_version("feature_specs", origin.version, where)
        rows = collect_rows(frame, "what was learnt of features", run.config.run.driver_bytes)
    except SparkFailure as error:
        raise UserError(
            f"version {origin.version} of table `feature_specs` cannot be read any more: run jobs/train.py again"
        ) from error
    return {row[c.FEATURE]: row.asDict() for row in rows}
