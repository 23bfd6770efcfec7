"""Sufficient statistics: all that the tests need of users is their number, four means and the covariances between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c

PARTS: Final = ("y", "d", "x", "w")
"""A metric is sum y / sum d over users, d = 1 for a mean; sum x / sum w is the same of their history."""

_MEANS, _COVARIANCES = "means", "covariances"
_PAIRS: Final = list(combinations_with_replacement(range(len(PARTS)), 2))


@dataclass(frozen=True)
class Moments:
    """Of n users: the means of `PARTS` (4,) and their sample covariances (4, 4). Those of two groups add up to both's."""

    n: int
    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]

    @staticmethod
    def of(rows: npt.NDArray[Any]) -> Moments:
        """Of users (n, 4), n over 1, in memory."""
        return Moments(len(rows), rows.mean(axis=0), np.cov(rows, rowvar=False))

    @staticmethod
    def of_row(row: Row) -> Moments:
        """Of a row that `aggregates` made. The covariances of one user are taken for 0."""
        covariance = np.zeros((len(PARTS), len(PARTS)))
        for (one, other), value in zip(_PAIRS, row[_COVARIANCES], strict=True):
            covariance[one, other] = covariance[other, one] = value or 0.0
        return Moments(row[c.N], np.array(row[_MEANS], dtype=np.float64), covariance)

    def __add__(self, other: Moments) -> Moments:
        """Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance"."""
        n = self.n + other.n
        apart = other.mean - self.mean
        squares = self.covariance * (self.n - 1) + other.covariance * (other.n - 1)
        squares += np.outer(apart, apart) * (self.n * other.n / n)
        return Moments(n, self.mean + apart * (other.n / n), squares / max(n - 1, 1))


def aggregates() -> Sequence[Column]:
    """Aggregates of columns `PARTS` that `Moments.of_row` reads: one pass, 15 numbers a group, merged without cancellation."""
    columns = [F.col(name) for name in PARTS]
    return [
        F.count("*").alias(c.N),
        F.array(*[F.avg(column) for column in columns]).alias(_MEANS),
        F.array(*[F.covar_samp(columns[one], columns[other]) for one, other in _PAIRS]).alias(_COVARIANCES),
    ]
