"""The command `recsys-doctor`: every check, a line each; exit code 0, or 2 where something must be mended."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from recsys_spark.config import load_config
from recsys_spark.doctor import cluster, machine, packages
from recsys_spark.doctor.finding import Check, Context, Finding, examine
from recsys_spark.errors import EXIT_DONE, EXIT_USER_ERROR, UserError

CHECKS: Final[dict[str, Check]] = {
    "python": machine.python,
    "java": machine.java,
    "packages": packages.versions,
    "horovod": packages.horovod,
    "petastorm": packages.petastorm,
    "memory": machine.memory,
    "/dev/shm": machine.shared_memory,
    "disk": machine.disk,
    "delta": cluster.delta,
    "executors": cluster.executors,
    "root": cluster.root,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run all checks and print what they find; the exit code."""
    arguments = _parser().parse_args(argv)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        context = Context(load_config(arguments.config, arguments.settings), arguments.root)
    except UserError as error:
        print(f"[doctor] error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    findings: list[Finding] = []
    for finding in examine(CHECKS, context):
        findings.append(finding)
        if not arguments.json:
            print(finding.line(), flush=True)
    is_well = all(finding.ok for finding in findings)
    if arguments.json:
        print(json.dumps({"ok": is_well, "checks": [asdict(finding) for finding in findings]}, indent=2))
    return EXIT_DONE if is_well else EXIT_USER_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="recsys-doctor",
        description="Check that what the jobs need is there and works; a line a check, with what mends what does not.",
        epilog="exit codes: 0 all is well, 2 something must be mended. On a cluster: "
        "PYSPARK_SUBMIT_ARGS='--master yarn ... pyspark-shell' recsys-doctor --root ROOT",
    )
    parser.add_argument(
        "--root", metavar="ROOT", help="write a table there, read and delete it (default: a folder here)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--config", action="append", default=[], metavar="FILE", help="YAML over conf/default.yaml")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="one setting, as of the jobs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
