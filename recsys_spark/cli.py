"""The command line that every job shares: arguments, configuration, session, exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from recsys_spark.config import load_config
from recsys_spark.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_GATED,
    EXIT_USER_ERROR,
    GatedError,
    LeaseLostError,
    PartlyFailedError,
    UserError,
)
from recsys_spark.settings import Config

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Arguments:
    """The arguments that every job takes, parsed."""

    config: Config
    root: str
    as_of: date | None
    force: str = ""
    first: str | None = None
    last: str | None = None
    fresh: bool = False
    dry_run: bool = False
    plan: bool = False
    backfill: tuple[date, ...] = field(default=())


def parse(stage: str, description: str, argv: Sequence[str] | None = None) -> Arguments | None:
    """Parse a job's arguments; None when `--print-config` was all that was asked.

    Raises:
        UserError: the configuration does not hold.
    """
    parser = argparse.ArgumentParser(
        prog=f"spark-submit jobs/{stage}.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit codes: 0 done, 1 a failure, 2 a mistake in arguments, configuration or data, 3 a gate stopped the lists",
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="YAML over conf/default.yaml; may be given again, later files win",
    )
    parser.add_argument(
        "--root",
        metavar="ROOT",
        help="where the tables live: a path or catalog.schema (default: the configuration's root)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="one setting, for example training.ranks=2; may be given again",
    )
    parser.add_argument(
        "--as-of",
        type=_date,
        metavar="DATE",
        help="last day whose events count, YYYY-MM-DD (default: the day of the newest event)",
    )
    parser.add_argument(
        "--print-config", action="store_true", help="print the effective configuration as YAML and stop"
    )
    _add_own(parser, stage)
    arguments = parser.parse_args(argv)
    config = load_config(arguments.config, arguments.settings)
    if arguments.print_config:
        print(config.as_yaml(), end="")
        return None
    own = {name: value for name, value in vars(arguments).items() if name in _OWN and value is not None}
    return Arguments(config, arguments.root or config.root, arguments.as_of, **own)


_OWN = ("force", "first", "last", "fresh", "dry_run", "plan", "backfill")


def _add_own(parser: argparse.ArgumentParser, stage: str) -> None:
    """The arguments that one job alone takes."""
    if stage in ("pipeline", "publish"):
        parser.add_argument(
            "--force",
            metavar="REASON",
            help="publish whatever the gates say, and record why; broken lists are never published",
        )
    if stage == "rollback":
        parser.add_argument(
            "--to", type=_date, required=True, metavar="DATE", dest="as_of", help="whose lists go live again"
        )
    if stage == "pipeline":
        parser.add_argument(
            "--from", metavar="STAGE", dest="first", help="begin there, whatever an earlier run has done"
        )
        parser.add_argument("--until", metavar="STAGE", dest="last", help="stop after this stage")
        parser.add_argument(
            "--fresh", action="store_true", help="begin at the first stage, also after a run that was killed"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would run, on which versions, and stop")
        parser.add_argument(
            "--plan", action="store_true", help="estimate hours, disk and memory from the tables' counts, and stop"
        )
        parser.add_argument(
            "--backfill",
            nargs=2,
            type=_date,
            metavar=("FIRST", "LAST"),
            help="the stages after ingest for each of these days",
        )


def main(*stages: str, description: str, argv: Sequence[str] | None = None) -> int:
    """Run stages in order in one Spark session; the exit code.

    A user's mistake is one message on stderr and exit code 2, without a stack trace.
    """
    name = stages[0] if len(stages) == 1 else "pipeline"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it once, when it is first imported
    try:
        arguments = parse(name, description, argv)
        if arguments is None:
            return EXIT_DONE
        _run_all(name, stages, arguments)
    except UserError as error:
        print(f"[{name}] error: {error}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    except GatedError as error:
        print(f"[{name}] stopped: {error}", file=sys.stderr, flush=True)
        return EXIT_GATED
    except (PartlyFailedError, LeaseLostError) as error:
        print(f"[{name}] failed: {error}", file=sys.stderr, flush=True)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(f"[{name}] interrupted", file=sys.stderr, flush=True)
        return EXIT_FAILED
    except Exception:
        traceback.print_exc()
        print(f"[{name}] failed, see above; tables that were not reported as written are as before", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_DONE


def _run_all(name: str, stages: Sequence[str], arguments: Arguments) -> None:
    # Spark and the stages are imported only now, so that --help and a mistaken configuration answer at once
    from contextlib import nullcontext

    from recsys_spark import pipeline
    from recsys_spark.session import get_session

    config, root = arguments.config, arguments.root
    wanted = pipeline.chosen(stages, arguments.first, arguments.last)
    spark = get_session(name, config.run)
    if arguments.plan:
        _print_plan(name, spark, config, root)
        return
    for night in pipeline.nights(spark, config, root, wanted, arguments):
        if arguments.dry_run:
            for line in pipeline.dry_run(spark, config, root, night):
                print(f"[{name}] {line}", flush=True)
            continue
        if night.done:
            print(
                f"[{name}] going on after {night.done[-1]}, which an earlier run finished; --fresh begins anew",
                flush=True,
            )
        with pipeline.lease_of(spark, config, root, night) or nullcontext() as lease:
            pipeline.run_night(spark, config, root, night, lease, arguments.force)


def _print_plan(name: str, spark: SparkSession, config: Config, root: str) -> None:
    from recsys_spark.capacity.root import plan_of
    from recsys_spark.tables import Tables

    for line in plan_of(Tables(spark, root), config).lines():
        print(f"[{name}] {line}", flush=True)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date, expected YYYY-MM-DD") from None
