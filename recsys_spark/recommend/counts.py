"""Counts of the tasks that make lists, brought to the driver without a pass of their own, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark import AccumulatorParam, SparkContext, TaskContext

from recsys_spark import columns as c
from recsys_spark.recommend.filters import Effect
from recsys_spark.recommend.tally import CANDIDATES, CATALOGUE, FILTERS, JOINED, STAGES, Tally
from recsys_spark.runs import Run
from recsys_spark.schemas import RECOMMEND_COUNTS
from recsys_spark.tables import SliceKey


class _ByTask(AccumulatorParam[dict[tuple[str, int], Tally]]):
    """Tallies by pass and partition: a task that is run again takes its own place, so nothing counts twice."""

    def zero(self, value: dict[tuple[str, int], Tally]) -> dict[tuple[str, int], Tally]:
        return {}

    def addInPlace(  # noqa: N802 - Spark's name
        self, value1: dict[tuple[str, int], Tally], value2: dict[tuple[str, int], Tally]
    ) -> dict[tuple[str, int], Tally]:
        return {**value1, **value2}


class Counts:
    """Shipped to the tasks, and read on the driver once they are done: a tally a task comes back, with its result.

    Args:
        groups: of items, whose exposure is counted.
    """

    def __init__(self, context: SparkContext, groups: int = 0) -> None:
        self._by_task, self._groups = context.accumulator({}, _ByTask()), groups

    def tally(self) -> Tally:
        """One for a task to fill."""
        return Tally(self._groups)

    def put(self, which: str, tally: Tally) -> None:
        """Leave a task's tally, when all its rows are made.

        Args:
            which: the pass over the users that the task is of, as the partitions of two have the same numbers.
        """
        task = TaskContext.get()
        self._by_task.add({(which, 0 if task is None else task.partitionId()): tally})

    def total(self) -> Tally:
        """Of all tasks that were done, in the order of their numbers: on the driver."""
        whole = self.tally()
        by_task: Mapping[tuple[str, int], Tally] = self._by_task.value
        for task in sorted(by_task):
            whole.merge(by_task[task])
        return whole


def write_counts(run: Run, where: SliceKey, filtered: Effect, n_items: int, counted: Sequence[Tally]) -> None:
    """Replace the slice of `recommend_counts`, and tell of sources and filters in the run's own counts and notes.

    Args:
        filtered: what filters are about, of the pairs of all users and `n_items`.
        counted: what was counted by itself: the recall of an index, and what the tasks that made the lists came upon.
    """
    pairs = filtered.users * n_items
    steps = {(CATALOGUE, name): (filtered.users, pairs, pairs - barred) for name, barred in filtered.removed.items()}
    for tally in counted:
        steps |= tally.steps
    in_order = sorted(steps, key=lambda step: STAGES.index(step[0]))  # within a stage as they were taken
    rows = [
        (where[c.AS_OF_DATE], where[c.VARIANT], *step, place, users, rows_in, rows_out, rows_in - rows_out, run.run_id)
        for place, step in enumerate(in_order)
        for users, rows_in, rows_out in [steps[step]]
    ]
    run.tables.replace(RECOMMEND_COUNTS, run.spark.createDataFrame(rows, RECOMMEND_COUNTS.schema), where)
    for (stage, step), (users, rows_in, rows_out) in steps.items():
        if stage == CANDIDATES:
            run.counts[CANDIDATES if step == JOINED else f"{CANDIDATES}_{step}"] = rows_out
        elif stage == FILTERS:
            run.counts[f"removed_candidates_{step}"] = rows_in - rows_out
            if rows_in > rows_out:
                run.notes.append(
                    f"filter {step.replace('_', ' ')}: took {rows_in - rows_out:,} of {rows_in:,} items that the sources "
                    f"came upon for {users:,} users"
                )
