"""A date's lists -> a night of the store: workers make and load its shards, the driver sees a line a shard.

A night is filled before the live table moves, and goes live after it. So a store that cannot be filled publishes nothing,
and what a killed job has filled is nobody's until the job is run again. Both are under turns of the root's lease: a job that
pauses in between and is taken over finds the store fenced like the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.runs import Run
from recsys_spark.schemas import ITEM_ATTRIBUTES, LEASES, RECOMMENDATIONS_CURRENT
from recsys_spark.serving.histories import histories
from recsys_spark.serving.live_export import copy_live, export, live_source
from recsys_spark.serving.loading import ItemRow, Keeper, ListRow, Loader, Part, Turn, night_name
from recsys_spark.serving.opening import folder_of, keeper_of
from recsys_spark.serving.sheets import SHEETS, sheets
from recsys_spark.serving.store import About, Entry
from recsys_spark.tables import SliceKey
from recsys_spark.training.owner import claim

_SHARD: Final = "shard"
_LIST: Final = "list"
_LISTED: Final = "listed"
_HISTORY: Final = "history"
_REPORT: Final = pa.schema([("shard", pa.int32()), ("name", pa.string()), ("rows", pa.int64())])

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Filled:
    """A night that is whole and not live yet."""

    keeper: Keeper
    about: About

    def go_live(self, run: Run) -> None:
        """Raises LeaseLostError where a run that took the lease over has put its own night live."""
        self.keeper.go_live(self.about, run.config.store.keep, _turn(run))
        run.counts["lists_in_store"] = self.about.users
        run.notes.append("the lists over HTTP: recsys-serve --root ROOT, then GET /v1/users/{user_id}/recommendations")


def filled(run: Run, where: SliceKey, model_version: str) -> Filled | None:
    """Load the lists of a date and variant as a new night; None where no store is asked for.

    One shuffle of the rows by user, a task for every `store.lists_per_file` lists; one task makes the catalogue.
    """
    keeper = _keeper(run)
    if keeper is None:
        return None
    lists = run.tables.read_slice("recommendations", where)
    about = _new_night(run, str(where[c.VARIANT]), where[c.AS_OF_DATE], model_version)
    source = live_source(run)
    if source:
        export(run, source, keeper.model_folder(about.name))
    items = _loaded(catalogue(run, lists), _item_loader(keeper.loader(about.name)))
    return _with_lists(run, keeper, about, lists, items, sheets(run, where, model_version))


def kept_night(run: Run, where: SliceKey) -> Filled | None:
    """The night of a date that the store still has, if nobody has written its lists since."""
    keeper = _keeper(run)
    if keeper is None:
        return None
    of_date = [about for about in keeper.kept(str(where[c.VARIANT])) if about.as_of_date == where[c.AS_OF_DATE]]
    if not of_date or run.tables.rewritten("recommendations", of_date[0].version, where):
        return None
    return Filled(keeper, of_date[0])


def filled_again(run: Run) -> int:
    """Fill the store from the live lists as they are now, and remove every other night; how many lists it has then.

    For the forgetting of people: no part of the store that held them is left. O(live lists).
    """
    if run.config.store.kind != "embedded":
        storage.delete_folder(folder_of(run.artifacts))  # from before the configuration changed
    keeper = _keeper(run)
    if keeper is None:
        return 0
    lists = 0
    for variant in keeper.variants():
        live = run.tables.read(RECOMMENDATIONS_CURRENT.name, {c.VARIANT: variant})
        before = keeper.kept(variant)[0]
        about = _new_night(run, variant, before.as_of_date, before.model_version)
        copy_live(keeper.model_folder(before.name), keeper.model_folder(about.name))
        told = {name: text for name in SHEETS if (text := keeper.sheet(before.name, name)) is not None}
        night = _with_lists(run, keeper, about, live, [keeper.copy_items(before, about.name)], told)
        night.keeper.go_live(night.about, 1, _turn(run))
        lists += night.about.users
    return lists


def load_lists(rows: DataFrame, shards: int, loader: Loader, kept: DataFrame | None = None) -> list[Part]:
    """Rows of published lists into so many shards of a night. One shuffle by user, a task a shard or several."""
    return _loaded(lists_by_shard(rows, shards, kept), _list_loader(loader))


def lists_by_shard(rows: DataFrame, shards: int, kept: DataFrame | None = None) -> DataFrame:
    """Rows of published lists -> `(shard, user_id, list, history)`, a shard whole in one partition, in order: see
    `loading.ListRow`.

    Args:
        kept: `(user_id, history)`; it goes through the same shuffle. Whoever has no list is left out.
    """
    entry = F.struct(c.RANK, *Entry._fields)
    fields = [F.col(_LIST)[name].alias(name) for name in Entry._fields]  # of all elements: an array
    of_lists = rows.select(c.USER_ID, entry.alias(_LIST), F.lit(None).cast("string").alias(_HISTORY))
    if kept is not None:
        nothing = F.lit(None).cast(of_lists.schema[_LIST].dataType).alias(_LIST)
        of_lists = of_lists.unionByName(kept.select(c.USER_ID, nothing, _HISTORY))
    placed = of_lists.withColumn(_SHARD, (F.crc32(c.USER_ID) % shards).cast("int")).repartition(shards, _SHARD)
    by_rank, history = F.array_sort(F.collect_list(_LIST)), F.collect_list(_HISTORY)
    lists = placed.groupBy(_SHARD, c.USER_ID).agg(by_rank.alias(_LIST), history.alias(_HISTORY))
    texts = (F.to_json(F.struct(*fields)).alias(_LIST), F.get(_HISTORY, F.lit(0)).alias(_HISTORY))
    return lists.where(F.size(_LIST) > 0).select(_SHARD, c.USER_ID, *texts).sortWithinPartitions(_SHARD, c.USER_ID)


def catalogue(run: Run, lists: DataFrame) -> DataFrame:
    """Every item of the index, as `loading.ItemRow`, in one partition and in order.

    Raises:
        MissingTableError: there are no features of the date, by which items are popular.
    """
    as_of: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: "production"}
    popularity = run.tables.read_slice("item_features", as_of).select(c.ITEM_IDX, c.USERS)
    listed = lists.select(c.ITEM_ID).distinct().withColumn(_LISTED, F.lit(True))
    items = run.tables.read("items").select(c.ITEM_IDX, c.ITEM_ID)
    told = items.join(run.tables.read_or_empty(ITEM_ATTRIBUTES), on=c.ITEM_ID, how="left")
    told = told.join(popularity, on=c.ITEM_IDX, how="left").join(listed, on=c.ITEM_ID, how="left")
    whole = told.withColumns({c.USERS: F.coalesce(c.USERS, F.lit(0)), _LISTED: F.coalesce(_LISTED, F.lit(False))})
    return whole.select(*ItemRow._fields).repartition(1).sortWithinPartitions(c.ITEM_IDX)


def _keeper(run: Run) -> Keeper | None:
    keeper = keeper_of(run.config, run.artifacts)
    if keeper is not None:
        claim(run)
    return keeper


def _new_night(run: Run, variant: str, as_of: Any, model_version: str) -> About:
    version = run.tables.pin("recommendations")
    return About(night_name(as_of, _turn(run)), variant, as_of, model_version, version)


def _turn(run: Run) -> Turn | None:
    """A new one of the lease that the run writes under, if it does."""
    return Turn(run.tables.identity(LEASES.name), run.tables.turn()) if run.tables.turn is not None else None


def _with_lists(
    run: Run, keeper: Keeper, about: About, rows: DataFrame, items: Sequence[Part], told: Mapping[str, str]
) -> Filled:
    """The night whole: its lists and sheets loaded beside a catalogue that is there already."""
    users = rows.where(F.col(c.RANK) == 1).count()
    shards = max(1, -(-users // run.config.store.lists_per_file))
    kept = histories(run, about.as_of_date, keeper.model_folder(about.name))
    parts = load_lists(rows, shards, keeper.loader(about.name), kept)
    whole = replace(about, users=sum(part.rows for part in parts))
    for name, text in told.items():
        keeper.add_sheet(about.name, name, text)
    keeper.finish(whole, shards, [*parts, *items])
    return Filled(keeper, whole)


def _loaded(rows: DataFrame, load: Callable[[Batches], Iterator[pa.RecordBatch]]) -> list[Part]:
    """What the workers report: a row a shard, so that any number of lists may come."""
    return [Part(*row) for row in rows.mapInArrow(load, "shard int, name string, rows long").collect()]


def _list_loader(loader: Loader) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    def load(batches: Batches) -> Iterator[pa.RecordBatch]:
        for shard, rows in groupby(_rows(batches), key=itemgetter(0)):
            yield _reported(loader.add_lists(shard, (ListRow(*row) for _, *row in rows)))

    return load


def _item_loader(loader: Loader) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    def load(batches: Batches) -> Iterator[pa.RecordBatch]:
        yield _reported(loader.add_items(ItemRow(*row) for row in _rows(batches)))

    return load


def _rows(batches: Batches) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _reported(part: Part) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([part._asdict()], _REPORT)
