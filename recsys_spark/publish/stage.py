"""The publish stage: a date's slice of `recommendations`, held against its gates -> the live lists, in one commit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import yaml
from pyspark.sql import Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import GatedError, MissingTableError, UserError
from recsys_spark.publish.figures import figures
from recsys_spark.publish.gates import FORCED, NOT_MEASURED, Checked, forced, judged, whole
from recsys_spark.publish.registry import crown
from recsys_spark.recommend.publish import live_lists, problems
from recsys_spark.runs import Run
from recsys_spark.schemas import GATE_RESULTS, RECOMMENDATIONS_CURRENT
from recsys_spark.serving.fill import Filled, filled
from recsys_spark.tables import SliceKey
from recsys_spark.views import register_views


def run(run: Run) -> None:
    """Check the date's lists, then move the live ones to them. O(rows), a few passes.

    Raises:
        GatedError: a gate stopped them; the live lists are as before, and `gate_results` says why.
        MissingTableError: the date has no lists.
        UserError: the live lists are of a later date.
    """
    where: SliceKey = {c.AS_OF_DATE: run.as_of, c.VARIANT: run.config.recommend.variant}
    _hold_against_live(run)
    made = _made_by(run, where)
    written = run.tables.read_slice("recommendations", where)
    version = str(written.select(c.MODEL_VERSION).head()[0])  # type: ignore[index]
    checked = [
        whole(problems(written, run.config.recommend.n, made["counts"]["users_due"])),
        *judged(figures(run, where, version), run.config.publish.gates.bounds()),
    ]
    force = str(run.options.get("force") or "")
    if force:
        checked = forced(checked, force)
    record(run, checked)
    _tell(run, checked)
    stopped = [f"{one.gate}: {one.reason}" for one in checked if one.stops]
    if stopped:
        if run.config.publish.champion:
            crown(run)  # what was stopped may be the challenger now
        raise GatedError(
            f"the lists of {run.as_of} are not published, the live ones stay. " + "; ".join(stopped) + ". See "
            "gate_results; mend the cause and run jobs/publish.py again, or give it --force with a reason"
        )
    move(run, where, version)


def _hold_against_live(run: Run) -> None:
    """Raise where lists of a later date are live, as a late or repeated run of an old day must not take their place."""
    newest = live_lists(run).agg(F.max(c.AS_OF_DATE)).head()
    if newest is not None and newest[0] is not None and newest[0] > run.as_of:
        raise UserError(
            f"the live lists of variant {run.config.recommend.variant} are of {newest[0]}, later than {run.as_of}, and stay. "
            f"To put an earlier day back: jobs/rollback.py --to {run.as_of}"
        )


def move(run: Run, where: SliceKey, model_version: str, night: Filled | None = None) -> None:
    """Put a slice in the place of its variant's live lists, in one commit, in the store likewise, and name the champion.

    Args:
        night: of the store, with these very lists; by default a new one is filled.
    """
    slice_of = run.tables.read_slice("recommendations", where)
    night = night or filled(run, where, model_version)
    rows = run.tables.replace(RECOMMENDATIONS_CURRENT, slice_of, {c.VARIANT: where[c.VARIANT]})
    run.counts["rows"] = rows
    if night is not None:
        night.go_live(run)
    run.notes.append(
        f"live since now: the lists of {where[c.AS_OF_DATE]}, variant {where[c.VARIANT]}, by {model_version}"
    )
    if run.config.publish.champion:
        crown(run)
    _register(run)
    live = run.tables.sql_name(RECOMMENDATIONS_CURRENT.name)
    run.notes.append("one user's list in Python: from recsys_spark import recommend_items; recommend_items(user_id)")
    run.notes.append(f"or with SQL: SELECT * FROM {live} WHERE user_id = '...'")


def _register(run: Run) -> None:
    """Put the views into the catalogue. The lists are live already: without the right to make views, that is a note."""
    try:
        register_views(run.tables)
    except Exception as error:  # whatever a catalogue raises
        run.notes.append(f"the views were not registered: {type(error).__name__}: {error}")


def _made_by(run: Run, where: SliceKey) -> Row:
    """The row in `runs` of the latest run that made the slice.

    Raises:
        MissingTableError: there is none.
    """
    made = latest_of(run, "recommend", where, "versions_written")
    if made is None:
        raise MissingTableError(
            f"no lists of {run.as_of}, variant {where[c.VARIANT]}, under {run.root}: run jobs/recommend.py for it first"
        )
    return made


def latest_of(run: Run, stage: str, where: SliceKey, versions: str) -> Row | None:
    """The row in `runs` of the latest whole run of a stage for a date and variant, None where there is none.

    Args:
        versions: `versions_read` or `versions_written`: the latest is told by those of `recommendations`, as a clock may have
            jumped between two.
    """
    if not run.tables.exists("runs"):
        return None
    done = (F.col("stage") == stage) & (F.col("status") == "done") & (F.col(c.AS_OF_DATE) == F.lit(run.as_of))
    version = F.col(versions)["recommendations"]
    for row in run.tables.read("runs").where(done & version.isNotNull()).orderBy(F.desc(version)).toLocalIterator():
        if yaml.safe_load(row["config"])["recommend"]["variant"] == where[c.VARIANT]:
            return row
    return None


def record(run: Run, checked: Iterable[Checked]) -> None:
    """Add verdicts to `gate_results`, a row each."""
    now = datetime.now(UTC)
    of_run = (run.run_id, run.as_of, run.config.recommend.variant)
    rows = [(*of_run, one.gate, one.value, one.low, one.high, one.verdict, one.reason, now) for one in checked]
    run.tables.append(GATE_RESULTS, run.spark.createDataFrame(rows, GATE_RESULTS.schema))


def _tell(run: Run, checked: list[Checked]) -> None:
    for one in checked:
        run.say(f"gate {one.gate} {one.verdict}: {one.reason}")
    unknown = [one.gate for one in checked if one.verdict == NOT_MEASURED]
    if unknown:
        run.notes.append(f"not measured, and so not held against anything: {', '.join(unknown)}")
    if any(one.verdict == FORCED for one in checked):
        run.notes.append(f"published by force: {run.options['force']}")
