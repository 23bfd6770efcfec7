"""Candidates: what the sources propose for each user, joined, with the sources kept; a row a user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from recsys_spark import columns as c
from recsys_spark.errors import UserError
from recsys_spark.interactions.index import index_ids, index_sizes
from recsys_spark.interactions.split import end_of
from recsys_spark.ragged import NO_ITEM
from recsys_spark.recommend import approximate
from recsys_spark.recommend.barring import Catalogue
from recsys_spark.recommend.blocks import blocks
from recsys_spark.recommend.co_occurrence import neighbours
from recsys_spark.recommend.counts import Counts
from recsys_spark.recommend.fallback import popular, with_everyone
from recsys_spark.recommend.proposals import Neighbours, Ranked
from recsys_spark.recommend.reasons import CO_OCCURRENCE, NEW_ITEMS, RECENT_POPULAR, REPEAT, RETRIEVER
from recsys_spark.recommend.sources import Sources, candidates_of, depth
from recsys_spark.runs import Run
from recsys_spark.schemas import CANDIDATES
from recsys_spark.storage import load_arrays, load_manifest
from recsys_spark.tables import SliceKey
from recsys_spark.training.artifact import hold_against
from recsys_spark.transform import Transformer

_ROWS: Final = StructType([CANDIDATES.schema[name] for name in (c.USER_IDX, c.ITEMS, c.SOURCES, c.BECAUSE)])
BY_HISTORY: Final = (CO_OCCURRENCE, REPEAT)  # sources that read what users had last


def sources_of(run: Run, model: str, retriever: str, interactions: DataFrame, features: DataFrame) -> Sources:
    """What `recommend.candidates.sources` propose from: item-sized, counted now, and the index built if it is asked for.

    O(pairs) for each of what is popular lately and what is new, see `co_occurrence.neighbours` and `approximate.built` for
    the others; what is not among the sources costs nothing.

    Args:
        model: where the ranking model lies.
        retriever: where the model lies that retrieves, empty without such a source.
    """
    config, limit = run.config.recommend.candidates, run.config.run.driver_bytes
    quotas: Mapping[str, int] = {str(name): quota for name, quota in config.sources.items()}
    exact = RETRIEVER not in quotas or config.index == "exact"
    return Sources(
        quotas,
        model,
        retriever,
        "" if exact else _index(retriever, run),
        config.ivf_probed,
        config.ivf_rescored,
        config.latest,
        _neighbours(run, limit) if CO_OCCURRENCE in quotas else None,
        _recent(run, interactions, features, quotas[RECENT_POPULAR]) if RECENT_POPULAR in quotas else None,
        _new(run, interactions, quotas[NEW_ITEMS]) if NEW_ITEMS in quotas else None,
        config.half_life_days,
    )


def check_retriever(run: Run, location: str, context: Sequence[object]) -> None:
    """Refuse a retriever that cannot be one of this run.

    Args:
        context: the features of the context that the ranking model takes, as its manifest has them.

    Raises:
        UserError: it has no vectors, takes another context than the ranking model, or is not of this index.
    """
    manifest = load_manifest(location)
    hold_against(manifest, run.config.examples.window, *index_sizes(run.tables), index_ids(run.tables))
    version = manifest["model_version"]
    if manifest.get("scoring", {}).get("by") != "query":
        raise UserError(
            f"recommend.candidates.retriever: {version} does not score by dot product; take matrix_factorization, two_tower, "
            "or a model of sequences"
        )
    own = manifest.get("context", [])
    if own and context and own != context:
        raise UserError(
            f"recommend.candidates.retriever: {version} and the ranking model take different contexts; train both on the same "
            "features.declared"
        )


def proposals(
    sources: Broadcast[Sources], known: Broadcast[Catalogue], most: int, exclude_seen: bool, counts: Counts
) -> Transformer:
    """`(user_idx, segment, seen, items, times, rules, blocked)` -> `(user_idx, items, sources, because)`, a row a user.

    No shuffle; `most` users at a time. Memory a worker is the models, `Sources` and a block, whatever the number of users.
    """

    def propose(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tally = counts.tally()
        for block in blocks(batches, most, known.value, exclude_seen):
            found = candidates_of(block, sources.value, tally)
            tally.end_block()
            there = found.items != NO_ITEM
            offsets = pa.array(np.concatenate([[0], np.cumsum(there.sum(axis=1))]), pa.int32())
            lists = [pa.ListArray.from_arrays(offsets, pa.array(values[there], pa.int32())) for values in found]
            users = block.batch.column(c.USER_IDX)
            yield pa.RecordBatch.from_arrays([users, *lists], schema=to_arrow_schema(_ROWS))
        counts.put("candidates", tally)

    return lambda users: users.mapInArrow(propose, _ROWS)


def write_candidates(run: Run, users: DataFrame, where: SliceKey, propose: Transformer) -> DataFrame:
    """Replace the slice of `candidates`; `(user_idx, candidates, sources, because)` as they were written."""
    rows = users.transform(propose)
    for column, value in where.items():
        rows = rows.withColumn(column, F.lit(value))
    run.tables.replace(CANDIDATES, rows, where)
    written = run.tables.read(CANDIDATES.name, where)
    return written.select(c.USER_IDX, F.col(c.ITEMS).alias(c.CANDIDATES), c.SOURCES, c.BECAUSE)


def _index(retriever: str, run: Run) -> str:
    run.say(f"approximate index of {load_manifest(retriever)['model_version']}")
    vectors = load_arrays(retriever)["catalogue"]
    return approximate.built(retriever, vectors, run.config.run.driver_bytes)


def _neighbours(run: Run, limit: int) -> Neighbours:
    sequences = run.tables.read_slice("sequences", {c.AS_OF_DATE: run.as_of, c.FIT: "production"})
    return neighbours(sequences, run.config.recommend.candidates, index_sizes(run.tables)[1], limit)


def _recent(run: Run, interactions: DataFrame, features: DataFrame, quota: int) -> Ranked:
    """By users with an event in the last days: one who has a million counts once."""
    days, limit = run.config.recommend.candidates.recent_days, run.config.run.driver_bytes
    recent = interactions.where(F.col(c.LAST_TIME) >= end_of(run.as_of - timedelta(days=days)))
    return Ranked.of(popular(recent, features, depth(quota), limit), depth(quota))


def _new(run: Run, interactions: DataFrame, quota: int) -> Ranked:
    since = end_of(run.as_of - timedelta(days=run.config.recommend.candidates.new_days))
    first = interactions.groupBy(c.ITEM_IDX).agg(F.min(c.FIRST_TIME).alias(c.FIRST_TIME))
    new = F.broadcast(first.where(F.col(c.FIRST_TIME) >= since).select(c.ITEM_IDX))
    of_new = interactions.join(new, on=c.ITEM_IDX, how="left_semi")
    return Ranked.of(with_everyone(of_new, run.config.run.driver_bytes), depth(quota))
