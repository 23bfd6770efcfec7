"""What a check is given, what it says, and how checks are run so that none stops another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from recsys_spark.errors import UserError
from recsys_spark.settings import Config

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

UNFORESEEN = "see docs/runbook.md, or run it again with the log of the whole session"


class BrokenError(Exception):
    """What a check finds wrong, and the command, or the setting, that mends it."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.what, self.mend = what, mend


@dataclass(frozen=True)
class Finding:
    """The outcome of one check; `mend` is empty where nothing is wrong."""

    check: str
    ok: bool
    what: str
    mend: str = ""

    def line(self) -> str:
        """The finding on one line, also where a library said several."""
        what = " ".join(self.what.split())
        return f"{'ok  ' if self.ok else 'FAIL'}  {self.check}: {what}" + (f"; mend: {self.mend}" if self.mend else "")


@dataclass
class Context:
    """What the checks are asked about. Spark is started by the first check that needs it."""

    config: Config
    root: str | None = None

    @cached_property
    def spark(self) -> SparkSession:
        """The session that the jobs would have, with nothing logged but errors.

        Raises:
            UserError: this Spark has no Delta.
        """
        from recsys_spark.session import get_session

        spark = get_session("doctor", self.config.run)
        spark.sparkContext.setLogLevel("OFF")  # the findings say it in a line
        return spark


Check = Callable[[Context], str]  # what is well, in words; raises BrokenError for what is not


def examine(checks: Mapping[str, Check], context: Context) -> Iterator[Finding]:
    """Run each check by itself, in order: one that fails, crashes or does not answer stops none of the others."""
    for name, check in checks.items():
        yield _outcome(name, check, context)


def _outcome(name: str, check: Check, context: Context) -> Finding:
    """One check's finding. It runs on a thread of its own, which is left behind where it does not answer in time."""
    found: list[Finding] = []
    limit = context.config.doctor.seconds
    thread = threading.Thread(target=lambda: found.append(_finding(name, check, context)), daemon=True)
    thread.start()
    thread.join(limit)
    if found:
        return found[0]
    return Finding(
        name, False, f"no answer within {limit} s", "look at the cluster's free slots, or raise doctor.seconds"
    )


def _finding(name: str, check: Check, context: Context) -> Finding:
    try:
        return Finding(name, True, check(context))
    except BrokenError as broken:
        return Finding(name, False, broken.what, broken.mend)
    except UserError as error:
        return Finding(name, False, str(error))  # such a message says itself what mends it
    except BaseException as error:  # a library that ends the process must not end the other checks
        said = str(error).strip().splitlines()
        return Finding(name, False, f"{type(error).__name__}: {said[0] if said else 'no message'}", UNFORESEEN)
