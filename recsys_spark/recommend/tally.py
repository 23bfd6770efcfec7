"""What each step of recommend takes in and gives out, counted block by block where lists are made. Numpy alone."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsys_spark.recommend.constrained import exposure_weights

Ints = npt.NDArray[np.int32]

# stages of a list, in their order
CATALOGUE: Final = "catalogue"
RETRIEVAL: Final = "retrieval"
CANDIDATES: Final = "candidates"
FILTERS: Final = "filters"
SCORING: Final = "scoring"
RERANKING: Final = "reranking"
STAGES: Final = (CATALOGUE, RETRIEVAL, CANDIDATES, FILTERS, SCORING, RERANKING)

JOINED: Final = "joined"  # the step that joins what the sources propose
UNKNOWN: Final = "unknown"  # the step of users whom the model does not know, who keep the order of the sources
POOL: Final = "pool"  # the step from the pool to the list
BEFORE, PUBLISHED = 0, 1  # rows of `Tally.exposure`


class Tally:
    """Counts of one task, or of all: `steps` has by (stage, step) users, rows in, rows out; a few numbers, whatever the users.

    `exposure` (2, groups + 1) is what each group of items was given by the model's best n, and by the lists as they are
    written; the last column is of items without a group.
    """

    def __init__(self, groups: int = 0) -> None:
        self.steps: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._block: dict[tuple[str, str], tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {}
        self.exposure = np.zeros((2, groups + 1 if groups else 0))
        self.lists = 0  # whose exposure it is

    @classmethod
    def of(cls, stage: str, step: str, users: int, rows_in: int, rows_out: int) -> Tally:
        """One step, as it was counted elsewhere."""
        one = cls()
        one.steps[stage, step] = users, rows_in, rows_out
        return one

    def add(self, stage: str, step: str, rows_in: npt.NDArray[Any], rows_out: npt.NDArray[Any]) -> None:
        """Rows of each user of a block (U,), beside what was added of the step before: until the block ends."""
        all_in, all_out = self._block.get((stage, step), (0, 0))
        self._block[stage, step] = all_in + rows_in, all_out + rows_out

    def end_block(self) -> None:
        """Count the block's users, each once a step and none without a row that came in, and their rows."""
        for step, (rows_in, rows_out) in self._block.items():
            self._add(step, (int(np.count_nonzero(rows_in)), int(rows_in.sum()), int(rows_out.sum())))
        self._block = {}

    def show(self, which: int, items: Ints, group: Ints) -> None:
        """Lists (U, n), -1 for no item; `group` (n_items,) has each item's, -1 for none. Nothing where there are no groups."""
        if not self.exposure.shape[1]:
            return
        there, inside = items >= 0, (items >= 0) & (items < len(group))
        codes = np.where(inside, group[np.where(inside, items, 0)], -1)[there]  # the last column is that of -1
        weights = np.broadcast_to(exposure_weights(items.shape[1]), items.shape)[there]
        self.exposure[which] += np.bincount(codes % self.exposure.shape[1], weights, self.exposure.shape[1])
        self.lists += len(items) if which == PUBLISHED else 0

    def merge(self, other: Tally) -> None:
        """Add what another counted."""
        for step, numbers in other.steps.items():
            self._add(step, numbers)
        if other.exposure.shape == self.exposure.shape:
            self.exposure += other.exposure
            self.lists += other.lists

    def shares(self, which: int) -> npt.NDArray[np.float64]:
        """The share of all exposure that each group has, (groups,)."""
        given = self.exposure[which]
        shares: npt.NDArray[np.float64] = given[:-1] / max(given.sum(), np.finfo(float).tiny)
        return shares

    def _add(self, step: tuple[str, str], numbers: tuple[int, int, int]) -> None:
        users, rows_in, rows_out = self.steps.get(step, (0, 0, 0))
        self.steps[step] = users + numbers[0], rows_in + numbers[1], rows_out + numbers[2]
