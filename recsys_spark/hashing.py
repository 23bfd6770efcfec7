"""Counter-based random numbers: a draw is a hash of what it is for, so it is the same on any number of machines.

The mixer is SplitMix64's finalizer (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

UInt64s = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix(values: UInt64s) -> UInt64s:
    """SplitMix64's finalizer: a bijection of the 64-bit integers whose output bits look independent."""
    z = values ^ (values >> np.uint64(30))
    z = z * _FIRST
    z ^= z >> np.uint64(27)
    z = z * _SECOND
    z ^= z >> np.uint64(31)
    return z


def hash_of(*parts: int | npt.NDArray[Any]) -> UInt64s:
    """A 64-bit hash of integers, element by element; the parts broadcast against each other.

    The order of the parts matters: `hash_of(a, b)` differs from `hash_of(b, a)`.
    """
    return extend(np.zeros(1, dtype=np.uint64), *parts)


def extend(state: UInt64s, *parts: int | npt.NDArray[Any]) -> UInt64s:
    """Hash further parts into a hash: `extend(hash_of(a), b)` is `hash_of(a, b)`."""
    with np.errstate(over="ignore"):
        for part in parts:
            state = mix((state + _GOLDEN) ^ np.asarray(part).astype(np.int64).astype(np.uint64))
    return state


def pair_keys(users: npt.NDArray[Any], items: npt.NDArray[Any]) -> UInt64s:
    """(user, item) as one integer that sorts by user, then item."""
    return (np.asarray(users).astype(np.uint64) << np.uint64(32)) | np.asarray(items).astype(np.uint64)


def uniform(hashes: UInt64s) -> npt.NDArray[np.float64]:
    """Hashes as uniform doubles in [0, 1), 53 bits each."""
    return (hashes >> np.uint64(11)).astype(np.float64) * (1.0 / (1 << 53))


def below(hashes: UInt64s, bound: int) -> npt.NDArray[np.int64]:
    """Hashes as integers in [0, bound), by fixed-point multiplication of the upper 32 bits.

    The bias is at most bound / 2**32, far under what any sample here could show.
    """
    if not 0 < bound < 1 << 31:
        raise ValueError(f"bound must be in [1, 2**31), got {bound}")
    return (((hashes >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)
