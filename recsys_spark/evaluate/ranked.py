"""Figures of a block of users from where their targets stand: all targets, and those of head and tail, warm and cold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys_spark import columns as c
from recsys_spark.evaluate.measures import ALL, CATALOGUE, COLD, HEAD, TAIL, WARM, Measure, at, to_arrow
from recsys_spark.evaluate.subjects import Block, Plan
from recsys_spark.ranking import Floats, Placed, measure


def ranked_rows(
    plan: Plan,
    of: Sequence[Measure],
    block: Block,
    placed: Placed,
    targets: npt.NDArray[np.int32],
    extra: Mapping[str, Floats],
    listed: npt.NDArray[np.int32] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Rows of `measures.user_rows`: all users, then those with targets in the head, the tail, taken in train, and not.

    The lists stay the same in every segment; only which of their items are relevant changes.

    Args:
        targets: (T,) the items that `placed` has places of.
        extra: further figures, for the segment all.
    """
    labels = {c.MODEL_VERSION: block.subject.version, CATALOGUE: block.scorer.n_items}
    unknown = {} if block.subject.path is None else {"unknown": (~block.known).astype(float)}
    everyone = _figures(plan, placed) | unknown
    yield to_arrow(of, block.rows, {**labels, c.SEGMENT: ALL}, {**everyone, **extra}, listed)
    in_head, warm = plan.catalogue.value.in_head[targets], plan.catalogue.value.users_of_item[targets] > 0
    for segment, chosen in ((HEAD, in_head), (TAIL, ~in_head), (WARM, warm), (COLD, ~warm)):
        of_segment = placed.only(chosen)
        have = of_segment.relevant > 0
        if have.any():
            values = {name: figures[have] for name, figures in _figures(plan, of_segment).items()}
            yield to_arrow(of, block.rows.filter(pa.array(have)), {**labels, c.SEGMENT: segment}, values)


def _figures(plan: Plan, placed: Placed) -> dict[str, Floats]:
    ranks = {at(name, k): values for (name, k), values in measure(placed, plan.ks).items()}
    unranked = np.bincount(placed.user[placed.equal == 0], minlength=len(placed.candidates))
    return {**ranks, "unranked": unranked.astype(float), "targets": placed.relevant.astype(float)}
