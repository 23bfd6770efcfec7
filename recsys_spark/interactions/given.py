"""A split given by files, in the format of the NCF paper's data (He et al. 2017): test pairs, and their negatives.

`test_file` holds `user<TAB>item<TAB>rating<TAB>time` lines, `negatives_file` lines of `(user,item)<TAB>item<TAB>item...`.
Ids are the business's own, or `zero_based`: the user's number less one, and the position of the item's first appearance
in the source file, which `events.event_order` still tells.
"""

from __future__ import annotations

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.interactions.index import number
from recsys_spark.settings import Split

_TEST_PAIR = r"^\((.+),(.+)\)$"
_FIRST_LINE = "first_line"
_NUMBER = "number"


def given_test(config: Split, events: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """The test pairs as `(user_idx, item_idx)`.

    Raises:
        UserError: the file is missing or malformed, or some of its pairs name ids that the events do not.
    """
    lines = _lines(users.sparkSession, config.test_file, "split.test_file")
    fields = F.split("value", "\t")
    pairs = lines.select(fields[0].alias(c.USER_ID), fields[1].alias(c.ITEM_ID)).distinct()
    known = pairs.transform(lambda frame: _to_indices(frame, config, events, users, items))
    _check_all_known(pairs, known, config, f"split.test_file {config.test_file}")
    return known


def given_negatives(config: Split, events: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    """The test candidates as `(user_idx, candidates array<int>)`, sorted by item_idx.

    Raises:
        UserError: the file is missing, has lines of another form, or names ids that the events do not.
    """
    lines = _lines(users.sparkSession, config.negatives_file, "split.negatives_file")
    fields = F.split("value", "\t")
    user = F.regexp_extract(fields[0], _TEST_PAIR, 1)
    malformed = lines.where((user == "") | (F.size(fields) < 2)).select("value").head()
    if malformed is not None:
        raise UserError(
            f"split.negatives_file {config.negatives_file}: expected `(user,item)<TAB>item<TAB>item...`, "
            f"got {malformed[0][:80]!r}"
        )
    rows = lines.select(user.alias(c.USER_ID), F.explode(F.slice(fields, 2, F.size(fields) - 1)).alias(c.ITEM_ID))
    known = _to_indices(rows, config, events, users, items)
    _check_all_known(rows, known, config, f"split.negatives_file {config.negatives_file}")
    return known.groupBy(c.USER_IDX).agg(F.array_sort(F.collect_set(c.ITEM_IDX)).alias(c.CANDIDATES))


def _check_all_known(pairs: DataFrame, known: DataFrame, config: Split, file: str) -> None:
    given, found = pairs.count(), known.count()
    if found < given:
        raise UserError(
            f"{file}: {given - found:,} of {given:,} pairs name a user or item that `events` does not have; check "
            f"split.given_ids (now {config.given_ids}) and that all ratings were ingested"
        )


def _to_indices(pairs: DataFrame, config: Split, events: DataFrame, users: DataFrame, items: DataFrame) -> DataFrame:
    if config.given_ids == "zero_based":
        pairs = pairs.withColumn(c.USER_ID, (F.col(c.USER_ID).cast("long") + 1).cast("string"))
        numbered = _numbered_by_appearance(events)
        pairs = pairs.withColumnRenamed(c.ITEM_ID, _NUMBER).withColumn(_NUMBER, F.col(_NUMBER).cast("int"))
        pairs = pairs.join(F.broadcast(numbered), on=_NUMBER, how="inner").drop(_NUMBER)
    by_user = pairs.join(users.select(c.USER_ID, c.USER_IDX), on=c.USER_ID, how="inner")
    by_item = by_user.join(items.select(c.ITEM_ID, c.ITEM_IDX), on=c.ITEM_ID, how="inner")
    return by_item.select(c.USER_IDX, c.ITEM_IDX)


def _numbered_by_appearance(events: DataFrame) -> DataFrame:
    """`(item_id, number)`: items numbered from 0 in the order of their first line in the source."""
    firsts = events.groupBy(c.ITEM_ID).agg(F.min(c.EVENT_ORDER).alias(_FIRST_LINE))
    positions = number(firsts.select(_FIRST_LINE), _FIRST_LINE, _NUMBER, first=0)
    return firsts.join(positions, on=_FIRST_LINE, how="inner").select(c.ITEM_ID, _NUMBER)


def _lines(spark: SparkSession, path: str, setting: str) -> DataFrame:
    if not path:
        raise UserError(f"{setting} names no file, and split.kind is `given`")
    try:
        return spark.read.text(path).where(F.trim("value") != "")
    except AnalysisException as error:
        raise UserError(f"{setting}: {path} cannot be read: {str(error).splitlines()[0]}") from None
