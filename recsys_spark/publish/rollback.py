"""The rollback stage: an earlier date's lists become the live ones again."""

from __future__ import annotations

from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.publish.gates import PASSED, Checked
from recsys_spark.publish.stage import latest_of, move, record
from recsys_spark.recommend.publish import problems
from recsys_spark.runs import Run
from recsys_spark.serving.fill import kept_night
from recsys_spark.tables import SliceKey


def run(run: Run) -> None:
    """Publish the slice of the run's date as it was live, without gates but that of form. O(rows).

    Raises:
        MissingTableError: the date has no lists.
        UserError: its lists are broken, were never live, or were made again since.
    """
    where: SliceKey = {c.AS_OF_DATE: run.as_of, c.VARIANT: run.config.recommend.variant}
    lists = run.tables.read_slice("recommendations", where)
    _hold_against_published(run, where)
    as_it_was = lists.agg(F.max(c.RANK).alias("n"), F.count_distinct(c.USER_ID).alias("users")).head()
    assert as_it_was is not None
    wrong = problems(lists, as_it_was["n"], as_it_was["users"])
    if wrong:
        raise UserError(f"the lists of {run.as_of} cannot be live: {'; '.join(wrong)}; choose another date")
    first = lists.select(c.MODEL_VERSION).head()
    assert first is not None
    move(run, where, str(first[0]), kept_night(run, where))
    reason = f"the lists of {run.as_of} were put back by hand"
    record(run, [Checked("rollback", None, None, None, PASSED, reason)])


def _hold_against_published(run: Run, where: SliceKey) -> None:
    """Raise unless these very lists were live once: others have not passed their gates."""
    published = latest_of(run, "publish", where, "versions_read")
    publish = f"jobs/publish.py --as-of {run.as_of} holds them against their gates; or choose another date"
    if published is None:
        raise UserError(f"the lists of {run.as_of}, variant {where[c.VARIANT]}, were never live. {publish}")
    if run.tables.rewritten("recommendations", published["versions_read"]["recommendations"], where):
        raise UserError(
            f"the lists of {run.as_of}, variant {where[c.VARIANT]}, were made again since they were live. {publish}"
        )
