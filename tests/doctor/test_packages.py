"""Versions against pins, Horovod and Petastorm, each also where it fails."""

from __future__ import annotations

from importlib import metadata

import pytest

from recsys_spark import install_horovod
from recsys_spark.config import load_config
from recsys_spark.doctor import packages
from recsys_spark.doctor.finding import BrokenError, Context
from recsys_spark.feed import petastorm as feed

PINS = [
    "keras<4,>=3.6",
    "pyarrow<15,>=14.0.2",
    'tensorflow-cpu<2.19,>=2.18; extra == "cpu"',
    'tensorflow[and-cuda]<2.19,>=2.18; extra == "gpu"',
    'plotly>=5.20; extra == "explore"',
]
WELL = {"keras": "3.15.1", "pyarrow": "14.0.2", "tensorflow-cpu": "2.18.1"}


@pytest.fixture
def context() -> Context:
    return Context(load_config())


@pytest.fixture
def installed(monkeypatch):
    """The versions that are there, to be changed."""
    found = dict(WELL)
    monkeypatch.setattr(metadata, "requires", lambda name: PINS)
    monkeypatch.setattr(packages, "_installed", found.get)
    return found


def test_packages_within_the_pins_are_counted_and_tensorflow_named(context, installed):
    assert packages.versions(context) == "3 packages as setup.py allows: tensorflow-cpu 2.18.1, keras 3.15.1"
    del installed["tensorflow-cpu"]
    installed["tensorflow"] = "2.18.0"  # the one for GPUs does as well
    assert "tensorflow 2.18.0" in packages.versions(context)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"keras": "2.15.0"}, r"keras is 2\.15\.0, expected <4,>=3\.6"),
        ({"pyarrow": None}, "pyarrow is not installed, expected <15"),
        ({"tensorflow-cpu": None}, "tensorflow-cpu is not installed.* and tensorflow is not installed"),
        ({"tensorflow-cpu": "2.19.0"}, r"tensorflow-cpu is 2\.19\.0, expected <2\.19"),
    ],
)
def test_what_is_missing_or_of_another_version_is_named_with_its_pin(context, installed, change, problem):
    installed.update(change)
    with pytest.raises(BrokenError, match=problem) as broken:
        packages.versions(context)
    assert "requirements.lock" in broken.value.mend


def test_a_package_that_lies_on_the_path_alone_has_no_pins(context, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    with pytest.raises(BrokenError, match="recsys-spark is not installed"):
        packages.versions(context)


def test_the_packages_of_this_environment_are_as_pinned(context):
    assert "keras 3." in packages.versions(context)


def test_horovod_is_asked_to_start_on_one_rank(context, monkeypatch):
    asked = []
    monkeypatch.setattr(install_horovod, "find_cuda", lambda: None)
    monkeypatch.setattr(install_horovod, "problem_with_horovod", lambda **how: asked.append(how))
    assert packages.horovod(context) == "horovod==0.28.1 with Gloo, averaged on one rank"
    assert asked == [{"nccl": False, "start": True}]


def test_what_horovod_says_is_passed_on_with_what_builds_it(context, monkeypatch):
    monkeypatch.setattr(install_horovod, "problem_with_horovod", lambda **how: "AssertionError: built without Gloo")
    with pytest.raises(BrokenError, match="built without Gloo") as broken:
        packages.horovod(context)
    assert broken.value.mend.startswith("recsys-install-horovod --force")


def test_petastorm_reads_what_was_written(context):
    assert packages.petastorm(context) == "read 8 rows of a new file"


def test_a_petastorm_that_cannot_read_or_reads_less(context, monkeypatch):
    def broken(*arguments, **named):
        raise ImportError("cannot import name 'LocalFileSystem' from 'pyarrow'")

    monkeypatch.setattr(feed, "row_groups", broken)
    with pytest.raises(BrokenError, match=r"cannot read a file: ImportError: .*LocalFileSystem"):
        packages.petastorm(context)
    monkeypatch.setattr(feed, "row_groups", lambda *arguments, **named: iter([[1, 2, 3]]))
    with pytest.raises(BrokenError, match="read 3 rows of a file of 8"):
        packages.petastorm(context)
