"""The maintain stage: small files joined, files that nobody needs removed, of tables and of artifacts.

What a run within `maintain.keep_days` read or wrote stays readable, and what the live lists stem from.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recsys_spark import storage
from recsys_spark.operations.records import known_models, listed, live, past_runs
from recsys_spark.operations.retention import Kept, days_of_log, hours_to_keep, kept, outdated
from recsys_spark.operations.slices import drop_slices
from recsys_spark.runs import Run
from recsys_spark.schemas import TABLES, Table
from recsys_spark.training.owner import hold_own
from recsys_spark.upkeep import OnDisk, committed, compact, keep_log, on_disk, vacuum
from recsys_spark.views import register_views

_KINDS = (("models", 2), ("checkpoints", 1), ("grown", 2))  # of artifacts, and how many folders deep each one lies


def run(run: Run) -> None:
    """Drop old slices, then see to each table, then to the artifacts. With `maintain.dry_run` it only says what it would do."""
    started = datetime.now(UTC)
    since = started - timedelta(days=run.config.maintain.keep_days)
    keeping = kept(past_runs(run), known_models(run), listed(run), live(run), since)
    run.counts |= {"runs_kept": len(keeping.runs), "models_kept": len(keeping.models)}
    artifacts = run.artifacts  # where none can be, better said before anything is removed
    hold_own(run)
    drop_slices(run, keeping)
    oldest = keeping.oldest_versions()
    for table in TABLES.values():
        if run.tables.exists(table.name):
            _see_to(run, table, oldest.get(table.name), started)
    _remove_artifacts(run, artifacts, keeping, since)
    if run.tables.in_catalog and not run.config.maintain.dry_run:
        run.notes.append(f"views: {', '.join(register_views(run.tables))}")


def _see_to(run: Run, table: Table, oldest: int | None, now: datetime) -> None:
    """Compact and vacuum one table, so that the version `oldest` and all after it stay readable."""
    tables, config = run.tables, run.config.maintain
    before = on_disk(tables, table.name)
    readable, since = committed(tables, table.name, tables.version(table.name) if oldest is None else oldest)
    hours = hours_to_keep(None if oldest is None else since, now, config.least_hours)
    if not config.dry_run:
        keep_log(tables, table.name, days_of_log(max(hours, 24 * config.keep_days)))
        if config.optimize and not table.read_as_files:
            compact(tables, table.name)
    removed = vacuum(tables, table.name, hours, readable, config.dry_run)
    after = before if config.dry_run else on_disk(tables, table.name)
    _count(run, before, after, removed or 0)
    what = (
        f"not vacuumed: version {readable} is needed, and would lose files or cannot be told from the log"
        if removed is None
        else f"{removed:,} old files {'would be ' if config.dry_run else ''}removed, versions from {readable} on readable"
    )
    run.notes.append(f"{table.name}: {_words(before)} before, {_words(after)} after; {what}")


def _count(run: Run, before: OnDisk, after: OnDisk, removed: int) -> None:
    counts = {"files_before": before.files, "files_after": after.files, "files_vacuumed": removed}
    counts |= {"bytes_before": before.bytes, "bytes_after": after.bytes}
    for name, count in counts.items():
        run.counts[name] = run.counts.get(name, 0) + count


def _words(size: OnDisk) -> str:
    return f"{size.files:,} files of {size.bytes / 1e6:,.1f} MB"


def _remove_artifacts(run: Run, artifacts: str, keeping: Kept, since: datetime) -> None:
    """Delete artifacts, checkpoints and grown copies that no kept model names and nobody wrote to since."""
    gone = 0
    for kind, depth in _KINDS:
        root = storage.join(artifacts, kind)
        found = [root]
        for _ in range(depth):
            found = [storage.join(above, name) for above in found for name in storage.folders(above)]
        # by version and run, not by the path in `models`: the root may be called by another name today
        staying = {storage.join(root, model.version, model.run_id) for model in keeping.models}
        old = outdated({folder: storage.last_changed(folder) for folder in found}, staying, since)
        for folder in old if not run.config.maintain.dry_run else ():
            storage.delete_folder(folder)
            above = folder.rpartition("/")[0]
            if depth > 1 and not storage.folders(above):
                storage.delete_folder(above)
        run.notes += [f"artifact {'to be ' if run.config.maintain.dry_run else ''}removed: {folder}" for folder in old]
        gone += len(old)
    run.counts["artifacts_removed"] = gone
