"""A night on executors that see neither the checkout nor the driver's folders, with the package shipped as an archive.

The driver and each executor have a mount namespace of their own, in which temporary folders and checkouts are empty but
for what a cluster's nodes share: the installation of Python with Spark, and the folder that holds source and tables. The
driver alone sees its own folder, where the archive lies.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyspark
import pytest
from deltalake import DeltaTable

from recsys_spark.stages import PIPELINE
from tests.open_gates import OPEN_GATES

HERE = Path(__file__).parent.parent
APART = HERE / "tests" / "apart.sh"
USERS, ITEMS, TAKEN = 60, 30, 8
SETTINGS = (
    "dataset=isolated", "run.shuffle_partitions=2", "training.ranks=2", "training.epochs=2", "training.batch_rows=64",
    "examples.draws=1", "examples.rows_per_file=150", "evaluate.ks=[10]", "evaluate.protocols=[full]",
    "evaluate.splits=[test]", "evaluate.baselines=[popularity]",
    "model.neumf.gmf_width=4", "model.neumf.mlp_width=4", "model.neumf.mlp_layers=[4]", "recommend.n=5",
    *(f"{gate}={anything}" for gate, anything in OPEN_GATES.items()),  # nothing can be learnt from made-up events
)  # fmt: skip

QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # for a Java that lives for a minute

# What stands for java on an executor: it goes apart, with an environment of its own, and notes what it sees.
EXECUTOR = """#!/usr/bin/env bash
set -euo pipefail
if [ -z "${{NODE:-}}" ]; then
    NODE="$(mktemp -d {nodes}/XXXXXX)"
    mkdir "$NODE/tmp"
    exec {unshare} {apart} {hidden} {shown} env -i "NODE=$NODE" "HOME=$NODE" "TMPDIR=$NODE/tmp" \\
        "SPARK_EXECUTOR_DIRS=$NODE/tmp" "SPARK_HOME={spark}" "PATH=$PATH" LANG=C.UTF-8 "$0" "$@"
fi
ls -A {looked_at} >"$NODE/seen"
set -a
. {spark}/conf/spark-env.sh
exec "$JAVA_HOME/bin/java" {quick} "$@"
"""


def unshare() -> list[str]:
    """The command that gives another one a mount namespace."""
    rights = [] if os.getuid() == 0 else ["--map-root-user"]
    command = ["unshare", *rights, "--mount"]
    try:
        subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no mount namespaces here: {error}")
    return command


def hidden() -> list[Path]:
    """Temporary folders, this checkout, and the one whose set-up made the Python in use; none below another."""
    folders = {Path(tempfile.gettempdir()).resolve(), HERE.resolve()}
    if sys.prefix != sys.base_prefix and (Path(sys.prefix).parent / "recsys_spark").is_dir():
        folders.add(Path(sys.prefix).parent.resolve())
    return sorted(folder for folder in folders if not any(above in folder.parents for above in folders))


def joined(folders: list[Path]) -> str:
    return ":".join(map(str, folders))


def archive(folder: Path) -> Path:
    """The wheel, built from a copy of the checkout, under a name that `--py-files` takes."""
    source = folder / "source"
    for name in ("recsys_spark", "conf"):
        shutil.copytree(HERE / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copyfile(HERE / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True, capture_output=True)
    shutil.rmtree(source)
    (wheel,) = folder.glob("*.whl")
    return wheel.rename(folder / "recsys_spark.zip")


def write_events(path: Path) -> None:
    rng = np.random.default_rng(0)
    taken = [(user, item) for user in range(USERS) for item in rng.choice(ITEMS, TAKEN, replace=False)]
    lines = [f"{user},{item},{1_700_000_000 + 60 * n}" for n, (user, item) in enumerate(taken)]
    path.write_text("\n".join(["user_id,item_id,event_time", *lines]) + "\n")


def own_spark_home(folder: Path) -> Path:
    """The installed Spark under another path, so that the workers' folders do not come to lie in the installation."""
    folder.mkdir(parents=True)
    for entry in Path(pyspark.__file__).parent.iterdir():
        if entry.name != "work":
            (folder / entry.name).symlink_to(entry)
    return folder


def executors_java(nodes: Path, shared: Path) -> Path:
    """A JAVA_HOME whose java starts executors that see the installation and the shared folder alone."""
    script = EXECUTOR.format(
        nodes=nodes, unshare=" ".join(unshare()), apart=nodes / APART.name, spark=nodes / "spark",
        hidden=joined(hidden()), shown=joined([Path(sys.prefix), nodes, shared]),
        quick=QUICK,
        looked_at=" ".join(map(str, [*hidden(), nodes.parent])),
    )  # fmt: skip
    shutil.copy(APART, nodes)
    java = nodes / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(script)
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    return nodes / "java"


@pytest.mark.slow
def test_a_night_on_executors_that_see_neither_the_checkout_nor_the_drivers_folders(tmp_path: Path):
    driver, nodes, shared = (tmp_path / name for name in ("driver", "nodes", "shared"))
    for folder in (driver / "tmp", nodes, shared):
        folder.mkdir(parents=True)
    java_home, spark_home = executors_java(nodes, shared), own_spark_home(nodes / "spark")
    write_events(shared / "events.csv")
    job = shutil.copy(HERE / "jobs" / "pipeline.py", driver)
    settings = (*SETTINGS, f"ingest.path={shared / 'events.csv'}")
    command = [
        str(spark_home / "bin" / "spark-submit"), "--master", "local-cluster[2,1,1024]",
        "--py-files", str(archive(driver)), "--conf", f"spark.executorEnv.JAVA_HOME={java_home}",
        "--conf", f"spark.local.dir={driver / 'tmp'}", "--driver-memory", "1g",
        "--driver-java-options", QUICK, job,
        "--root", str(shared / "root"), *(part for setting in settings for part in ("--set", setting)),
    ]  # fmt: skip
    seen_by_driver = joined([Path(sys.prefix), driver, nodes, shared])
    done = subprocess.run(
        [*unshare(), str(APART), joined(hidden()), seen_by_driver, *command],
        cwd=driver, capture_output=True, text=True, timeout=500,
        env={"PATH": os.environ["PATH"], "HOME": str(driver), "TMPDIR": str(driver / "tmp"), "SPARK_HOME": str(spark_home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]

    # both executors, and those that Spark starts as it stops, saw nothing of the checkout and the driver
    seen = [set(file.read_text().split()) for file in nodes.glob("*/seen")]
    assert len(seen) >= 2
    assert not any({"recsys_spark", "jobs", driver.name} & names for names in seen)
    assert "on 2 rank(s)" in done.stdout
    runs = DeltaTable(str(shared / "root" / "runs")).to_pyarrow_table().to_pylist()
    assert {(run["stage"], run["status"]) for run in runs} == {(stage, "done") for stage in PIPELINE}
    lists = DeltaTable(str(shared / "root" / "recommendations_current")).to_pyarrow_table().to_pylist()
    assert {(row["user_id"], row["rank"]) for row in lists} == {
        (str(user), rank) for user in range(USERS) for rank in range(1, 6)
    }
