"""Arguments that one job alone takes, beside those that all do; its stage finds them in `run.options`, None if not given."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, Final

from recsys_spark.dates import day

_FORCE: Final = {
    "--force": {
        "metavar": "REASON",
        "default": "",
        "help": "publish whatever the gates say, and record why; broken lists are never published",
    }
}
# People are named here or in a table, never in the configuration, which `runs` keeps.
_PEOPLE: Final[dict[str, dict[str, Any]]] = {
    "--user-id": {"action": "append", "default": [], "metavar": "ID", "help": "whom; may be given again"},
    "--table": {"metavar": "PATH", "help": "or all ids of a Delta table, a path or catalog.schema.table"},
    "--column": {"default": "user_id", "help": "the table's column of ids (default: user_id)"},
}
_OPTIONS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "pipeline": {
        **_FORCE,
        "--from": {"metavar": "STAGE", "dest": "from_stage", "help": "begin there, whatever an earlier run has done"},
        "--until": {"metavar": "STAGE", "dest": "until_stage", "help": "stop after this stage"},
        "--fresh": {"action": "store_true", "help": "begin at the first stage, also after a run that was killed"},
        "--dry-run": {"action": "store_true", "help": "say what would run, on which versions, and stop"},
        "--plan": {"action": "store_true", "help": "estimate hours, disk and memory from the tables' counts, and stop"},
        "--backfill": {
            "nargs": 2,
            "type": day,
            "metavar": ("FIRST", "LAST"),
            "help": "the stages after ingest for each of these days",
        },
    },
    "publish": _FORCE,
    "experiment": {
        "action": {
            "choices": ["design", "assign", "analyse", "simulate"],
            "help": "design: how many users and days; assign: who gets which variant; analyse: what came of it; simulate: "
            "exposures and outcomes in the place of a shop's, on made events alone",
        },
        "--effect": {
            "type": float,
            "default": 0.0,
            "metavar": "SHARE",
            "help": "simulate: the share of treated users' views after exposure that lead to one more purchase (default: 0)",
        },
    },
    "report": {
        "--model-version": {
            "metavar": "VERSION",
            "help": "which model (default: the newest evaluate fit of model.name)",
        },
    },
    "rollback": {"--to": {"type": day, "required": True, "metavar": "DATE", "help": "whose lists go live again"}},
    "forget": {
        **_PEOPLE,
        "--allow-unknown": {"action": "store_true", "help": "also keep out ids that no table holds"},
    },
    "check_forgotten": _PEOPLE,
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
