"""The command line that every job shares: arguments, configuration, session, exit codes."""

from __future__ import annotations

import argparse
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from recsys_spark import alerts, disks, log
from recsys_spark.config import load_config
from recsys_spark.dates import day
from recsys_spark.errors import (
    EXIT_BUSY,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_GATED,
    EXIT_USER_ERROR,
    BreachError,
    GatedError,
    LeaseHeldError,
    LeaseLostError,
    PartlyFailedError,
    UserError,
)
from recsys_spark.options import add_options
from recsys_spark.settings import Config

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from recsys_spark.runs import Run


@dataclass(frozen=True)
class Arguments:
    """The arguments of a job, parsed: those that all take, and in `options` its own."""

    config: Config
    root: str
    as_of: date | None
    options: Mapping[str, Any]


def parse(stage: str, description: str, argv: Sequence[str] | None = None) -> Arguments | None:
    """Parse a job's arguments; None when `--print-config` was all that was asked.

    Raises:
        UserError: the configuration does not hold.
    """
    parser = argparse.ArgumentParser(
        prog=f"spark-submit jobs/{stage}.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit codes: 0 done, 1 a failure, 2 a mistake in arguments, configuration or data, 3 a gate stopped the lists "
        "or monitoring found a breach, 4 another run is at work below the root",
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
        type=day,
        metavar="DATE",
        help="last day whose events count, YYYY-MM-DD or yesterday, in UTC (default: the day of the newest event)",
    )
    parser.add_argument(
        "--print-config", action="store_true", help="print the effective configuration as YAML and stop"
    )
    parser.add_argument(
        "--log",
        choices=log.FORMS,
        default=os.environ.get(log.VARIABLE, "text"),
        help="lines of text, or JSON objects, one a line",
    )
    own = add_options(parser, stage)
    arguments = parser.parse_args(argv)
    log.use(arguments.log)
    config = load_config(arguments.config, arguments.settings)
    if arguments.print_config:
        print(config.as_yaml(), end="")
        return None
    options = {name: getattr(arguments, name) for name in own}
    return Arguments(config, arguments.root or config.root, arguments.as_of, options)


def main(*stages: str, description: str, argv: Sequence[str] | None = None) -> int:
    """Run stages in order in one Spark session; the exit code.

    A user's mistake is one message on stderr and exit code 2, without a stack trace.
    """
    name = stages[0] if len(stages) == 1 else "pipeline"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it once, when it is first imported
    arguments: Arguments | None = None
    runs: list[Run] = []
    code, message = EXIT_DONE, ""
    try:
        arguments = parse(name, description, argv)
        if arguments is not None:
            _run_all(name, stages, arguments, runs)
    except UserError as error:
        code, message = EXIT_USER_ERROR, f"error: {error}"
    except BreachError as error:
        code, message = EXIT_GATED, f"breach: {error}"
    except GatedError as error:
        code, message = EXIT_GATED, f"stopped: {error}"
    except LeaseHeldError as error:
        code, message = EXIT_BUSY, f"busy: {error}"
    except (PartlyFailedError, LeaseLostError) as error:
        code, message = EXIT_FAILED, f"failed: {error}"
    except KeyboardInterrupt:
        code, message = EXIT_FAILED, "interrupted"
    except Exception as error:
        why = disks.full(error, arguments.root if arguments else None) or "see above"
        code, message = EXIT_FAILED, f"failed: {why}; tables that were not reported as written are as before"
        _say_trace(name)
    summary = _summary(name, runs, arguments.root if arguments else "", code, message)
    if message:
        ids = {key: summary[key] for key in ("pipeline_id", "run_id", "as_of", "exit_code")}
        log.say(name, message, "error", **ids)
    for warning in alerts.tell(arguments.config.alerts, summary) if arguments else ():
        log.say(name, warning, "warning")
    return code


def _run_all(name: str, stages: Sequence[str], arguments: Arguments, runs: list[Run]) -> None:
    """Run the nights that are asked for; each run adds itself to `runs` as it starts."""
    # Spark and the stages are imported only now, so that --help and a mistaken configuration answer at once
    from recsys_spark import pipeline
    from recsys_spark.session import get_session

    asked = arguments.options
    wanted = pipeline.chosen(stages, asked.get("from_stage"), asked.get("until_stage"))
    spark = get_session(name, arguments.config.run)
    if asked.get("plan"):
        _say_plan(name, spark, arguments)
        return
    nights = pipeline.Nights(spark, arguments.config, arguments.root, asked, runs)
    for night in nights.planned(wanted, arguments.as_of):
        if asked.get("dry_run"):
            for line in nights.dry_run(night):
                log.say(name, line)
            continue
        if night.anew:
            log.say(name, f"begins with {night.stages[0]}, not where the latest run ended: {night.anew}")
        if night.done:
            log.say(name, f"going on after {night.done[-1]}, which an earlier run finished; --fresh begins anew")
        nights.run(night)


def _summary(name: str, runs: Sequence[Run], root: str, code: int, message: str) -> dict[str, Any]:
    """How a job ended, as plain data, for alerts: the last run's names, and what became of each."""
    last = runs[-1].report() if runs else {}
    return {
        "job": name,
        "status": alerts.status_of(code),
        "exit_code": code,
        "root": root,
        **{key: last.get(key) for key in ("pipeline_id", "run_id", "as_of", "stage")},
        "error": last.get("error") or message or None,
        "runs": [run.report() for run in runs],
    }


def _say_trace(name: str) -> None:
    if log.in_json():
        log.say(name, traceback.format_exc(), "error")
    else:
        traceback.print_exc()


def _say_plan(name: str, spark: SparkSession, arguments: Arguments) -> None:
    from recsys_spark.capacity.root import plan_of
    from recsys_spark.tables import Tables

    for line in plan_of(Tables(spark, arguments.root), arguments.config).lines():
        log.say(name, line)
