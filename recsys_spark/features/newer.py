"""Users and items that came after a fit, encoded by what that fit learnt: its vocabularies, means and weights of words."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.feature_settings import Of
from recsys_spark.features.encoding import encoded
from recsys_spark.features.knowledge import Knowledge, learnt_of, those_of
from recsys_spark.features.sources import ATTRIBUTES, IDX, INDEX, values
from recsys_spark.runs import Run
from recsys_spark.settings import Fit


def encoded_newer(run: Run, of: Of, fit: Fit, known: Knowledge, first: int, end: int) -> DataFrame:
    """`(idx, codes, numbers)` of the users or items of the index from `first` on, before `end`. O(them), three joins by id.

    Attributes are the latest known.

    Args:
        fit: of the model.
        known: what it learnt, of these and perhaps of others.

    Raises:
        UserError: a source of the features is gone.
    """
    own = those_of(known, of)
    learnt = learnt_of(own)
    counted = run.tables.read(f"{of}_features", {c.AS_OF_DATE: run.as_of, c.FIT: fit})
    index = run.tables.read(INDEX[of].name).where(F.col(IDX[of]).between(first, end - 1))
    declared = [one.feature for one in learnt]
    named = index.transform(values(of, declared, run.tables.read_or_empty(ATTRIBUTES[of]), counted))
    return named.transform(encoded(run.as_of, fit, of, learnt, own[0][c.SEED]))
