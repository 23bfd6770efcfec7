"""Lists of items of different lengths as rows of one length. Numpy alone."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
NO_ITEM: Final = -1


def padded(
    lengths: npt.NDArray[np.integer[Any]], values: Int32s, most: int | None = None, in_front: bool = False
) -> Int32s:
    """Ragged lists as rows (n, L), `NO_ITEM` behind short ones or in front of them.

    Of a list longer than L those are kept that lie away from the padding: its last if that is in front, else its first.

    Args:
        lengths: (n,) of each list.
        values: the lists one after the other.
        most: L; by default the longest list.

    >>> padded(np.array([3, 1]), np.array([5, 6, 7, 8], np.int32))
    array([[ 5,  6,  7],
           [ 8, -1, -1]], dtype=int32)
    >>> padded(np.array([3, 1]), np.array([5, 6, 7, 8], np.int32), most=2, in_front=True)
    array([[ 6,  7],
           [-1,  8]], dtype=int32)
    """
    width = int(lengths.max(initial=0)) if most is None else most
    filled, columns = np.minimum(lengths, width)[:, np.newaxis], np.arange(width)
    rows = np.full((len(lengths), width), NO_ITEM, dtype=np.int32)
    rows[columns >= width - filled if in_front else columns < filled] = values[_kept(lengths, width, in_front)]
    return rows


def _kept(lengths: npt.NDArray[np.integer[Any]], most: int, in_front: bool) -> Any:
    """Which of the values have room: all, or a mask."""
    if lengths.max(initial=0) <= most:
        return slice(None)
    places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return places >= np.repeat(lengths, lengths) - most if in_front else places < most
