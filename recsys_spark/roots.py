"""Where a root's artifacts lie; without Spark, for whoever reads them."""

from __future__ import annotations

import re
from typing import Final

from recsys_spark.errors import UserError

_CATALOG: Final = re.compile(r"^[A-Za-z_][\w-]*\.[A-Za-z_][\w-]*$")


def in_catalog(root: str) -> bool:
    """Whether a root is `catalog.schema`, and no path.

    >>> in_catalog("main.recsys"), in_catalog("./main.recsys")
    (True, False)
    """
    return bool(_CATALOG.match(root))


def artifacts_of(configured: str, root: str) -> str:
    """What is configured as `storage.artifacts`, or else a folder below the root.

    Raises:
        UserError: nothing is configured, and the root is a catalogue.
    """
    if configured:
        return configured
    if in_catalog(root):
        raise UserError(f"the root {root} is a catalogue: set storage.artifacts to a path for model artifacts")
    return f"{root.rstrip('/')}/artifacts"
