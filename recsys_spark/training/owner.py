"""Whose a folder of artifacts is. Upkeep and forgetting remove what their root does not know: two roots must not share one."""

from __future__ import annotations

from typing import Final

from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.runs import Run

_MARK: Final = "root.txt"


def claim(run: Run) -> None:
    """Mark `storage.artifacts` as this root's, if it is nobody's yet; a folder below the root needs no mark.

    Raises:
        UserError: it is another root's.
    """
    if run.config.storage.artifacts and not hold_own(run):
        storage.save_file(storage.join(run.artifacts, _MARK), run.root.encode())


def hold_own(run: Run) -> bool:
    """Refuse a folder of artifacts that is another root's; whether it is marked as this one's.

    Raises:
        UserError: it is another root's.
    """
    mark = storage.read_file(storage.join(run.artifacts, _MARK)) if run.config.storage.artifacts else None
    if mark is None:
        return False
    owner = mark.decode()
    if owner != run.root:
        raise UserError(
            f"storage.artifacts={run.artifacts} is the folder of the root {owner}, and {run.root} needs one of its own: upkeep "
            f"and forgetting remove what their root does not know. If the root was moved, delete {_MARK} there"
        )
    return True
