"""The command line that every job shares: arguments, configuration, session, exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from recsys_spark.config import load_config
from recsys_spark.errors import EXIT_DONE, EXIT_FAILED, EXIT_USER_ERROR, PartlyFailedError, UserError
from recsys_spark.settings import Config

_WITHOUT_EVENTS = {"generate", "benchmark"}  # their root may hold none, so that no date follows from them


@dataclass(frozen=True)
class Arguments:
    """The arguments that every job takes, parsed."""

    config: Config
    root: str
    as_of: date | None


def parse(stage: str, description: str, argv: Sequence[str] | None = None) -> Arguments | None:
    """Parse a job's arguments; None when `--print-config` was all that was asked.

    Raises:
        UserError: the configuration does not hold.
    """
    parser = argparse.ArgumentParser(
        prog=f"spark-submit jobs/{stage}.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit codes: 0 done, 2 a mistake in arguments, configuration or data, 1 any other failure",
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
    arguments = parser.parse_args(argv)
    config = load_config(arguments.config, arguments.settings)
    if arguments.print_config:
        print(config.as_yaml(), end="")
        return None
    return Arguments(config, arguments.root or config.root, arguments.as_of)


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
    except PartlyFailedError as error:
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
    from recsys_spark.runs import Run, run_stage
    from recsys_spark.session import get_session
    from recsys_spark.stages import stage_named

    spark = get_session(name, arguments.config.run)
    pipeline_id, as_of = uuid.uuid4().hex[:16], arguments.as_of
    for stage in stages:
        run = Run(stage, spark, arguments.config, arguments.root, pipeline_id, as_of)
        run_stage(run, stage_named(stage))
        # the newest event's day is looked up once, after ingest, so that all stages speak of the same date
        as_of = as_of or (run.as_of if stage not in _WITHOUT_EVENTS else None)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date, expected YYYY-MM-DD") from None
