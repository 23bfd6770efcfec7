"""What a fit learnt of declared features, as plain data: a model's artifact carries it, so that values are encoded the same at
scoring, whatever became of table `feature_specs`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.feature_settings import AnyFeature
from recsys_spark.features.learning import Learnt, read_back
from recsys_spark.runs import Run
from recsys_spark.settings import Fit

Knowledge = Sequence[Mapping[str, Any]]

_LEARNT: Final = (c.FIRST, c.LENGTH, c.SIZE, c.MEAN, c.STD, c.VOCABULARY, c.IDF, c.SEED)
_DECLARED: Final[TypeAdapter[AnyFeature]] = TypeAdapter(AnyFeature)


def knowledge(run: Run, fit: Fit, whose: Collection[str]) -> list[dict[str, Any]]:
    """What a fit learnt of the features of users, items or the context: as declared, where each lies, and what encodes it.

    A row a feature comes to the driver: its vocabulary, or a number a hash bucket of a text. JSON gives the same back.

    Args:
        whose: some of `user`, `item` and `context`.

    Raises:
        UserError: a feature is declared that the fit has not learnt.
    """
    declared = [feature for feature in run.config.features.declared if feature.of in whose]
    if not declared:
        return []
    rows = run.tables.read_slice("feature_specs", {c.AS_OF_DATE: run.as_of, c.FIT: fit})
    rows = rows.where(F.col(c.OF).isin(*whose))
    found = {
        row[c.FEATURE]: row for row in collect_rows(rows, "what was learnt of features", run.config.run.driver_bytes)
    }
    new = [feature.name for feature in declared if feature.name not in found]
    if new:
        raise UserError(
            f"feature `{new[0]}` is new in features.declared: run jobs/features.py and jobs/examples.py again"
        )
    return [
        {c.FEATURE: feature.model_dump(), **{name: found[feature.name][name] for name in _LEARNT}}
        for feature in declared
    ]


def those_of(known: Knowledge, *whose: str) -> list[Mapping[str, Any]]:
    """What is known of the features of some of users, items and the context, in its order."""
    return [one for one in known if one[c.FEATURE][c.OF] in whose]


def learnt_of(known: Knowledge) -> list[Learnt]:
    """`knowledge` as what values are encoded by."""
    return [read_back(_DECLARED.validate_python(one[c.FEATURE]), one) for one in known]
