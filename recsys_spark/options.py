"""Arguments that one job alone takes, beside those that all do; its stage finds them in `run.options`, None if not given."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Final

_OPTIONS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "lineage": {
        "--user-id": {"metavar": "USER", "help": "whose list (default: the runs behind the current lists)"},
        "--rank": {"metavar": "RANK", "type": int, "default": 1, "help": "which place of it (default: 1)"},
        "--run-id": {"metavar": "RUN", "help": "start from this run instead, as the run_id of any row says it"},
    },
}


def add_options(parser: ArgumentParser, job: str) -> list[str]:
    """Let a job's parser take what is its own; the names that the values will have."""
    taken = _OPTIONS.get(job, {})
    return [parser.add_argument(flag, **how).dest for flag, how in taken.items()]
