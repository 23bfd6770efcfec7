"""Checks of the Python packages: their versions against the pins, Horovod's operations, a read with Petastorm."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recsys_spark.doctor.finding import BrokenError, Context

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_PACKAGE: Final = "recsys-spark"
_INSTALL: Final = "make setup, or pip install 'recsys-spark[cpu]' ([gpu] on a GPU node) -c requirements.lock"
_ROWS: Final = 8


def versions(context: Context) -> str:
    """Every package that the jobs need is installed, in a version that the package allows; one of the TensorFlows."""
    pins = list(_pins())
    plain = [pin for pin in pins if pin.marker is None]
    tensorflows = [pin for pin in pins if pin.name in ("tensorflow", "tensorflow-cpu")]
    wrong = [problem for pin in plain if (problem := _unmet(pin, _installed))]
    problems = [_unmet(pin, _installed) for pin in tensorflows]
    if problems and all(problems):
        wrong.append(" and ".join(filter(None, problems)))
    if wrong:
        raise BrokenError("; ".join(wrong), _INSTALL)
    named = [pin.name for pin in (*tensorflows, *plain) if pin.name.startswith(("tensorflow", "keras", "pyspark"))]
    found = ", ".join(f"{name} {version}" for name in named if (version := _installed(name)))
    return f"{len(plain) + 1} packages as setup.py allows: {found}"


def _pins() -> Iterator[Requirement]:
    """What the installed package says it needs.

    Raises:
        BrokenError: it is not installed, but lies on the path.
    """
    from packaging.requirements import Requirement

    try:
        return (Requirement(line) for line in metadata.requires(_PACKAGE) or ())
    except metadata.PackageNotFoundError:
        raise BrokenError(f"{_PACKAGE} is not installed here, so that nothing says what it needs", _INSTALL) from None


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _unmet(pin: Requirement, installed: Callable[[str], str | None]) -> str | None:
    version = installed(pin.name)
    if version is None:
        return f"{pin.name} is not installed, expected {pin.specifier}"
    if not pin.specifier.contains(version, prereleases=True):
        return f"{pin.name} is {version}, expected {pin.specifier}"
    return None


def horovod(context: Context) -> str:
    """Horovod is built for this TensorFlow, with Gloo (and NCCL where CUDA is), starts and averages on one rank."""
    from recsys_spark.install_horovod import HOROVOD, find_cuda, problem_with_horovod

    nccl = find_cuda() is not None
    problem = problem_with_horovod(nccl=nccl, start=True)
    if problem:
        raise BrokenError(problem, "recsys-install-horovod --force (needs g++ and the TensorFlow of this environment)")
    return f"{HOROVOD} with Gloo{' and NCCL' if nccl else ''}, averaged on one rank"


def petastorm(context: Context) -> str:
    """Petastorm reads a Parquet file as the feed of a training does."""
    from recsys_spark.feed.layouts import layout_of
    from recsys_spark.feed.petastorm import row_groups
    from recsys_spark.files import LiveFile

    layout = layout_of("pairs", negatives=1, window=1)
    with tempfile.TemporaryDirectory(prefix="recsys-doctor-") as folder:
        file = Path(folder) / "examples.parquet"
        _write(file, layout.columns)
        try:
            read = sum(len(group) for group in row_groups([LiveFile(str(file), _ROWS)], layout, seed=0))
        except Exception as error:
            raise BrokenError(f"it cannot read a file: {type(error).__name__}: {error}", _INSTALL) from error
    if read != _ROWS:
        raise BrokenError(f"it read {read} rows of a file of {_ROWS}", _INSTALL)
    return f"read {read} rows of a new file"


def _write(file: Path, columns: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({name: pa.array(range(_ROWS), pa.int32()) for name in columns}), str(file))
