from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.hashing import below, extend, hash_of, mix, uniform


def reference_mix(z: int) -> int:
    """SplitMix64's finalizer on Python's integers, from its published constants."""
    mask = (1 << 64) - 1
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@given(st.integers(0, 2**64 - 1))
def test_mix_is_splitmix64s(value):
    assert int(mix(np.array([value], dtype=np.uint64))[0]) == reference_mix(value)


def test_the_first_number_of_splitmix64_from_seed_0():
    # known from the generator's reference implementation: the state after one step is the golden constant
    assert int(mix(np.array([0x9E3779B97F4A7C15], dtype=np.uint64))[0]) == 0xE220A8397B1DCDAF


def test_parts_broadcast_and_their_order_matters():
    assert hash_of(1, np.arange(3)[:, None], np.arange(4)).shape == (3, 4)
    assert hash_of(1, 2)[0] != hash_of(2, 1)[0]
    assert hash_of(1, np.array([2]))[0] == extend(hash_of(1), 2)[0]
    assert hash_of(-1)[0] != hash_of(1)[0]


def test_uniform_and_below_stay_in_range_and_are_even():
    hashes = hash_of(3, np.arange(100_000))
    assert uniform(hashes).min() >= 0 and uniform(hashes).max() < 1
    counts = np.bincount(below(hashes, 7), minlength=7)
    # chi-squared with 6 degrees of freedom: 22.5 is its 99.9% quantile
    assert ((counts - 100_000 / 7) ** 2 / (100_000 / 7)).sum() < 22.5
    with pytest.raises(ValueError, match="bound"):
        below(hashes, 0)
