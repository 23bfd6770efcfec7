"""Which files a rank reads, and how many steps every rank makes: both from the log's counts, before anything is read.

The files are dealt out whole, so that a rank's rows are known exactly and no two ranks share a row group (ADR 0003).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recsys_spark.errors import UserError
from recsys_spark.files import LiveFile


@dataclass(frozen=True)
class Plan:
    """An epoch's work, the same on every rank: `steps` batches of `batch_rows` rows from each shard."""

    shards: tuple[tuple[LiveFile, ...], ...]
    steps: int
    batch_rows: int

    @property
    def rows(self) -> int:
        """Rows that an epoch uses, over all ranks."""
        return self.steps * self.batch_rows * len(self.shards)


def plan_epoch(files: Sequence[LiveFile], ranks: int, batch_rows: int) -> Plan:
    """Deal files to ranks and take as many steps as the smallest shard has whole batches.

    The rows over, fewer than a batch on the smallest shard, are other ones in every epoch, since the order is shuffled.
    Where the smallest shard has less than one batch, the batch is as small as that shard.

    Raises:
        UserError: fewer files than ranks.
    """
    if len(files) < ranks:
        raise UserError(
            f"the train examples have {len(files)} file(s) for {ranks} ranks, and a rank needs one at least: set training.ranks "
            "to what examples were written for and run jobs/examples.py again, or lower examples.rows_per_file"
        )
    shards: list[list[LiveFile]] = [[] for _ in range(ranks)]
    for file in sorted(files, key=lambda file: (-file.rows, file.url)):
        min(shards, key=lambda shard: sum(held.rows for held in shard)).append(file)
    smallest = min(sum(file.rows for file in shard) for shard in shards)
    batch = min(batch_rows, smallest)
    return Plan(tuple(tuple(shard) for shard in shards), smallest // batch, batch)
