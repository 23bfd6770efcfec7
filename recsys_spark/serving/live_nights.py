"""Which nights of the embedded store are live: a numbered file for each change, of which the highest number counts.

No file is replaced. So whoever has lost the root's lease, and so numbers lower, changes nothing, on any storage that lists
what is there: no two writers need to be told apart by a compare-and-set, which few of them offer.

The files before the last stay for a few changes. A listing that is made during a change may miss the file that appears, and
would find nothing if the one before went in the same moment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from recsys_spark import storage
from recsys_spark.errors import LeaseLostError
from recsys_spark.serving.loading import Turn

LIVE: Final = "live"
_BEFORE: Final = "live.json"  # the one file of earlier versions
_NAME: Final = re.compile(r"(\d{20})\.json")
_LOOKS: Final = 5
_KEPT: Final = 8


@dataclass(frozen=True)
class LiveNights:
    """The nights of each variant by name, the live one first; turns of `lease` count from `start`."""

    number: int = 0
    nights: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lease: str = ""
    start: int = 0

    def after(self, turn: Turn | None, nights: Mapping[str, Sequence[str]]) -> LiveNights:
        """What comes next. A root that was made anew counts from here on; without a lease it is the next number."""
        if turn is None:
            return replace(self, number=self.number + 1, nights=nights)
        start = self.start if turn.lease == self.lease else self.number
        return LiveNights(start + turn.number, nights, turn.lease, start)


def live_nights(location: str) -> LiveNights:
    """What is live in a store; no nights where there is none.

    Raises:
        FileNotFoundError: each file that was listed was gone a moment later.
    """
    folder = storage.join(location, LIVE)
    for _ in range(_LOOKS):  # a file is removed once there are later ones
        number = max(_numbers(folder), default=0)
        if not number:
            found = storage.read_file(storage.join(location, _BEFORE))
            return LiveNights(nights=json.loads(found) if found else {})
        content = storage.read_file(storage.join(folder, _file(number)))
        if content is not None:
            return LiveNights(**json.loads(content))
    raise FileNotFoundError(f"{folder}: the files that say what is live go faster than they can be read")


def change(location: str, before: LiveNights, after: LiveNights) -> None:
    """Make other nights live, if nothing went live under a later turn.

    Raises:
        LeaseLostError: something did, and is.
    """
    folder = storage.join(location, LIVE)
    if after.number > before.number:
        content = json.dumps(asdict(after), indent=2).encode()
        storage.save_file(storage.join(folder, _file(after.number)), content)
    numbers = _numbers(folder)
    if after.number <= before.number or max(numbers, default=0) != after.number:
        raise LeaseLostError(f"another run took the lease of the root of {location}, where its night stays live")
    _remove(folder, sorted(numbers)[:-_KEPT])
    with suppress(FileNotFoundError):
        storage.delete_files(location, [_BEFORE])


def _numbers(folder: str) -> list[int]:
    return [int(found[1]) for file in storage.list_files(folder) if (found := _NAME.fullmatch(file))]


def _remove(folder: str, numbers: Sequence[int]) -> None:
    for number in numbers:
        with suppress(FileNotFoundError):
            storage.delete_files(folder, [_file(number)])


def _file(number: int) -> str:
    return f"{number:020d}.json"
