"""Each check of the machine, where it is well and where it is not; what it looks at is faked."""

from __future__ import annotations

import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from recsys_spark.config import load_config
from recsys_spark.disks import places
from recsys_spark.doctor import machine
from recsys_spark.doctor.finding import BrokenError, Context

Usage = namedtuple("Usage", "total used free")
Memory = namedtuple("Memory", "total available")
MIB = 1 << 20
SPARK = "version 3.5.9\nUsing Scala version 2.12.18, OpenJDK 64-Bit Server VM, {}\nBranch HEAD\n"


def context(root: str | None = None) -> Context:
    least = ("least_memory_mib=1000", "least_shared_mib=60", "least_disk_mib=500")
    return Context(load_config(settings=[f"doctor.{setting}" for setting in least]), root)


def test_another_python_is_named_with_the_one_to_take(monkeypatch):
    assert machine.python(context()).startswith("3.11.")
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    with pytest.raises(BrokenError, match=r"expected 3\.11") as broken:
        machine.python(context())
    assert "make setup PYTHON=" in broken.value.mend


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("17.0.15", "17.0.15"),
        ("11.0.2+9", "11.0.2+9 (tested on 17)"),
        ("1.8.0_392", "8.0_392 (tested on 17)"),
        ("17", "17"),
    ],
)
def test_javas_that_spark_runs_on(monkeypatch, version, said):
    monkeypatch.setattr(machine, "_what_spark_submit_says", lambda: SPARK.format(version))
    assert machine.java(context()) == said


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (SPARK.format("21.0.1"), "Java 21, expected one of 8, 11, 17"),
        ("JAVA_HOME is not set", "no Java: JAVA_HOME is not set"),
        ("", "no Java: it says nothing"),
    ],
)
def test_a_java_that_does_not_do_or_none(monkeypatch, said, problem):
    monkeypatch.setattr(machine, "_what_spark_submit_says", lambda: said)
    with pytest.raises(BrokenError, match=problem) as broken:
        machine.java(context())
    assert "JAVA_HOME" in broken.value.mend


def test_the_java_is_asked_of_the_spark_in_use(monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "spark-submit"
    fake.write_text("#!/bin/sh\necho 'Client VM, 17.0.1' >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    assert machine.java(context()) == "17.0.1"


def test_memory_is_what_the_machine_and_the_container_leave(monkeypatch, tmp_path):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(8000 * MIB, 5000 * MIB))
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "_LIMITS", (limit, tmp_path / "none"))
    assert machine.memory(context()) == "5,000 of 8,000 MiB free"
    limit.write_text("max\n")
    assert machine.memory(context()) == "5,000 of 8,000 MiB free"
    limit.write_text(f"{2000 * MIB}\n")
    assert machine.memory(context()) == "2,000 of 2,000 MiB free"
    limit.write_text(f"{900 * MIB}\n")
    with pytest.raises(BrokenError, match=r"900 MiB free, expected 1,000 \(doctor\.least_memory_mib\)"):
        machine.memory(context())


def test_shared_memory_may_be_missing_or_small(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_SHARED", tmp_path)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: Usage(64 * MIB, 0, 64 * MIB))
    assert machine.shared_memory(context()) == "64 MiB free"
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: Usage(64 * MIB, 32 * MIB, 32 * MIB))
    with pytest.raises(BrokenError, match=r"32 MiB free, expected 60") as broken:
        machine.shared_memory(context())
    assert "--shm-size" in broken.value.mend
    monkeypatch.setattr(machine, "_SHARED", tmp_path / "none")
    with pytest.raises(BrokenError, match="does not exist"):
        machine.shared_memory(context())


def test_a_full_disk_is_named_by_the_place_that_is_full(monkeypatch, tmp_path):
    full = tmp_path / "spill"
    full.mkdir()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(full))
    free = {str(full): 499 * MIB}
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: Usage(0, 0, free.get(str(place), 500 * MIB)))
    with pytest.raises(BrokenError, match=rf"^{full} has 499 MiB free, expected 500") as broken:
        machine.disk(context(str(tmp_path / "root")))
    assert str(full) in broken.value.mend
    free.clear()
    said = machine.disk(context(str(tmp_path / "root" / "not made yet")))
    assert said.startswith(f"500 MiB free in {tmp_path},")


@pytest.mark.parametrize("root", ["s3a://bucket/recsys", None])
def test_a_root_elsewhere_has_no_disk_here(monkeypatch, root):
    monkeypatch.delenv("SPARK_LOCAL_DIRS", raising=False)
    assert places(root) == [str(Path(tempfile.gettempdir()).absolute())]
