"""Which code this is: the package's version, and the commit where it runs from a checkout."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from recsys_spark import __version__

_CHECKOUT = Path(__file__).resolve().parent.parent


@cache
def code_version(checkout: Path = _CHECKOUT) -> str:
    """`0.1.0+g0a1b2c3d4e5f`, with `.dirty` where tracked files were changed since; without git, or installed, `0.1.0`.

    Asked of git once a process, and only where the checkout is the package's own, not one that it is installed in.
    """
    if not (checkout / ".git").exists():
        return __version__
    described = ["git", "-C", str(checkout), "describe", "--always", "--dirty=.dirty", "--exclude=*", "--abbrev=12"]
    try:
        done = subprocess.run(described, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return __version__
    return f"{__version__}+g{done.stdout.strip()}" if done.returncode == 0 else __version__
