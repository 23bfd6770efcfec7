"""Vectors on a plane: the two directions in which they differ most (Pearson 1901; Hotelling 1933)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def on_plane(vectors: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], tuple[float, float]]:
    """Principal components: vectors (n, d) -> places (n, 2) within -1..1 at one scale, and the share of the variance of each.

    >>> places, explained = on_plane(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]))
    >>> places[:, 0].tolist(), explained
    ([-1.0, 0.0, 1.0], (1.0, 0.0))
    """
    places, shares = components(vectors)
    return places / (np.abs(places).max(initial=0.0) or 1.0), shares


def components(vectors: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], tuple[float, float]]:
    """The same at the vectors' own scale.

    A direction's sign is such that its largest part is positive, so that the same vectors give the same picture.
    O(n d^2) on a matrix that fits into memory.
    """
    centred = np.asarray(vectors, np.float64) - np.mean(vectors, axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    two = directions[:, ::-1][:, :2]
    two = two * np.where(np.take_along_axis(two, np.abs(two).argmax(axis=0)[None], axis=0) < 0, -1.0, 1.0)
    places = np.zeros((len(centred), 2))
    places[:, : two.shape[1]] = centred @ two
    shares = np.zeros(2)
    shares[: two.shape[1]] = variances[::-1][:2] / max(float(variances.sum()), np.finfo(float).tiny)
    return places, (float(shares[0]), float(shares[1]))
