"""What a declared feature looks like in the encoded tables: plain data that training ships and models are built from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from recsys_spark import columns as c

NO_VALUE: Final = -1  # in a slot that a multi-hot feature has no value for
MISSING: Final = 0
UNKNOWN: Final = 1
FIRST_OF_VOCABULARY: Final = 2


@dataclass(frozen=True)
class FeatureSpec:
    """One feature's slots of `codes` or places of `numbers`, in `user_encoded` or `item_encoded`.

    They are the `length` entries from `first` on. `size` is how many codes it may take, 0 missing and 1 unknown among
    them: the rows of an embedding; None for a feature of `numbers`.
    """

    name: str
    of: str
    kind: str
    first: int
    length: int
    size: int | None

    @property
    def in_codes(self) -> bool:
        """Whether it lies in `codes`; else it lies in `numbers`."""
        return self.size is not None


def feature_specs(rows: Iterable[Mapping[str, Any]]) -> tuple[FeatureSpec, ...]:
    """The specs in one slice of `feature_specs` (rows by column name), as they were declared. O(features)."""
    return tuple(
        FeatureSpec(row[c.FEATURE], row[c.OF], row[c.KIND], row[c.FIRST], row[c.LENGTH], row[c.SIZE])
        for row in sorted(rows, key=lambda row: int(row[c.POSITION]))
    )


def codes_length(specs: Iterable[FeatureSpec], of: str) -> int:
    """How long `codes` is, for users or items."""
    return sum(spec.length for spec in specs if spec.of == of and spec.in_codes)


def numbers_length(specs: Iterable[FeatureSpec], of: str) -> int:
    """How long `numbers` is, for users or items."""
    return sum(spec.length for spec in specs if spec.of == of and not spec.in_codes)


def context_length(specs: Iterable[FeatureSpec]) -> int:
    """How many integers the packed context of an event is: its codes, then its numbers, one each."""
    return sum(spec.length for spec in specs if spec.of == "context")
