"""How much of what exact retrieval proposes an approximate index finds, measured by the run that uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame

from recsys_spark import columns as c
from recsys_spark.bounded import collect_aggregate
from recsys_spark.ragged import NO_ITEM
from recsys_spark.recommend.barring import Catalogue
from recsys_spark.recommend.blocks import blocks
from recsys_spark.recommend.reasons import RETRIEVER
from recsys_spark.recommend.sources import Sources, retrieved
from recsys_spark.recommend.tally import RETRIEVAL, Tally
from recsys_spark.runs import Run
from recsys_spark.transform import in_sample

RECALL: Final = "recall"


def measure_recall(
    run: Run, users: DataFrame, known_users: int, sources: Broadcast[Sources], known: Broadcast[Catalogue]
) -> Tally:
    """Ask the index and exact retrieval for the same users' candidates; a note says the recall, and warns where it is low.

    Nothing is asked without an index, or where `recommend.candidates.ivf_recall_users` is 0. About so many users, chosen by a
    hash of the seed, in one task: O(users x items x width) dot products.

    Args:
        users: as `candidates.proposals` takes them, `known_users` of them.
    """
    config, told = run.config.recommend, Tally()
    asked = config.candidates.ivf_recall_users
    if not sources.value.index or not asked:
        return told
    sampled = users.where(in_sample(min(1.0, asked / max(1, known_users)), run.seed, c.USER_IDX)).repartition(1)
    compare = recall_pass(sources, known, config.block_users, config.exclude_seen)
    counted = sampled.mapInArrow(compare, f"{c.USERS} long, {c.ROWS_IN} long, {c.ROWS_OUT} long")
    for row in collect_aggregate(counted, "recall of the index", run.config.run.driver_bytes):
        told.merge(Tally.of(RETRIEVAL, RECALL, *row))
    users_asked, sought, found = told.steps.get((RETRIEVAL, RECALL), (0, 0, 0))
    run.counts |= {"retrieval_sought": sought, "retrieval_found": found}
    if sought:
        run.notes.append(
            _words(found / sought, users_asked, sources.value.quotas[RETRIEVER], config.candidates.ivf_recall)
        )
    return told


def recall_pass(
    sources: Broadcast[Sources], known: Broadcast[Catalogue], most: int, exclude_seen: bool
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Users -> `(users, rows_in, rows_out)`, a row a block: those with candidates, what exact retrieval proposes, and how many
    of these the index finds."""

    def compare(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        quota = sources.value.quotas[RETRIEVER]
        exactly = replace(sources.value, index="")
        for block in blocks(batches, most, known.value, exclude_seen):
            best, found = (retrieved(quota, block, by, Tally()).items for by in (exactly, sources.value))
            there = best != NO_ITEM
            both = [np.isin(one[own], other).sum() for one, own, other in zip(best, there, found, strict=True)]
            numbers = [there.any(axis=1).sum(), there.sum(), sum(both)]
            yield pa.RecordBatch.from_arrays([pa.array([int(n)]) for n in numbers], [c.USERS, c.ROWS_IN, c.ROWS_OUT])

    return compare


def _words(recall: float, users: int, quota: int, least: float) -> str:
    said = f"approximate retrieval: recall@{quota} of exact is {recall:.4f}, of {users:,} users"
    if recall >= least:
        return said
    return (
        f"warning: {said}, less than recommend.candidates.ivf_recall, {least:g}: raise ivf_probed or ivf_rescored, or "
        "take index=exact"
    )
