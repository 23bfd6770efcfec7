"""Build and install Horovod beside the TensorFlow that is already installed: `recsys-install-horovod`.

Horovod is published as source only and compiles against one TensorFlow, so no extra can install it in the
right order. Needs a C++ compiler; CMake comes from the system or its wheel; NCCL is used where CUDA is.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

HOROVOD = "horovod==0.28.1"
CMAKE = "cmake>=3.26,<4"  # Horovod's build files ask for a policy level that CMake 4 dropped

BUILD_SETTINGS = {
    "HOROVOD_WITH_TENSORFLOW": "1",
    "HOROVOD_WITHOUT_PYTORCH": "1",
    "HOROVOD_WITHOUT_MXNET": "1",
    "HOROVOD_WITH_GLOO": "1",
    "HOROVOD_WITHOUT_MPI": "1",
}

_CHECK = """
import horovod, horovod.tensorflow as hvd, tensorflow as tf
assert horovod.__version__ == "{version}", "version " + horovod.__version__ + " is installed, not {version}"
assert hvd.gloo_built(), "built without Gloo"
if {nccl} and tf.test.is_built_with_cuda():
    assert hvd.nccl_built(), "built without NCCL although CUDA is here"
"""

_START = """
hvd.init()
assert hvd.size() == 1, "one process started as " + str(hvd.size()) + " ranks: unset the variables HOROVOD_* and OMPI_*"
assert float(hvd.allreduce(tf.constant(2.0))) == 2.0, "the average over one rank is another number"
hvd.shutdown()
"""


class InstallError(Exception):
    """Something on this machine keeps Horovod from being built; the message says what mends it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Install Horovod where it is missing or does not load.

    Returns 0 when done, 2 when something must be mended first, 1 when the build failed.
    """
    parser = argparse.ArgumentParser(
        prog="recsys-install-horovod",
        description=f"Build {HOROVOD} against the installed TensorFlow, with Gloo, and with NCCL where CUDA "
        "is. Takes 2 to 4 minutes on 2 cores; does nothing where a working Horovod is installed.",
    )
    parser.add_argument("--force", action="store_true", help="build again even if the installed one works")
    force = parser.parse_args(argv).force
    cuda_home = find_cuda()
    started = time.monotonic()
    try:
        if not force and problem_with_horovod(nccl=cuda_home is not None) is None:
            print(f"{HOROVOD} is installed and loads.")
            return 0
        tensorflow_has_cuda = require_tensorflow()
        if tensorflow_has_cuda and cuda_home is None:
            print("No nvcc on PATH nor under CUDA_HOME: building without NCCL, ranks will average through Gloo.")
        cuda_home = cuda_home if tensorflow_has_cuda else None
        require_compiler()
        environment = build_environment(os.environ, ensure_cmake(), cuda_home)
    except InstallError as error:
        print(f"recsys-install-horovod: {error}", file=sys.stderr)
        return 2
    problem = build(environment, nccl=cuda_home is not None, use_cache=not force)
    if problem:
        print(f"recsys-install-horovod: {HOROVOD} does not work here: {problem}", file=sys.stderr)
        return 1
    print(f"{HOROVOD} installed and loads ({time.monotonic() - started:.0f} s).")
    return 0


def build(environment: Mapping[str, str], *, nccl: bool, use_cache: bool) -> str | None:
    """Install Horovod; what is wrong with the result, or None.

    pip caches the wheel it built under Horovod's version alone, so a cached wheel may belong to another
    TensorFlow: it is taken if it loads, and built afresh if not.
    """
    problem: str | None = None
    for cache in [[], ["--no-cache-dir"]] if use_cache else [["--no-cache-dir"]]:
        arguments = ["--no-build-isolation", "--no-deps", "--force-reinstall", *cache, HOROVOD]
        if _pip(arguments, environment) != 0:
            problem = "the build failed; the compiler's own words stand above"
        else:
            problem = problem_with_horovod(nccl=nccl)
        if problem is None:
            return None
    return problem


def problem_with_horovod(*, nccl: bool, start: bool = False) -> str | None:
    """Why the installed Horovod cannot be used, or None where its native operations load; with `start`, also on one rank.

    Asked of a new interpreter: a failed import would leave this one half loaded.
    """
    if find_spec("horovod") is None:
        return "not installed"
    check = _CHECK.format(version=HOROVOD.partition("==")[2], nccl=nccl) + (_START if start else "")
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return done.stderr.strip().rsplit("\n", 1)[-1] or f"importing it ended with status {done.returncode}"


def require_tensorflow() -> bool:
    """Whether the installed TensorFlow is one for CUDA; raises `InstallError` unless it can be imported."""
    remedy = "install it first with: pip install 'recsys-spark[cpu]' (or [gpu] on a GPU node)"
    if find_spec("tensorflow") is None:
        raise InstallError(f"Horovod is built against TensorFlow, which is not installed; {remedy}")
    ask = "import tensorflow as tf; print(tf.test.is_built_with_cuda())"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last_line = done.stderr.strip().rsplit("\n", 1)[-1]
        raise InstallError(f"TensorFlow is installed but cannot be imported ({last_line}); {remedy}")
    return done.stdout.strip() == "True"


def require_compiler() -> None:
    """Raise `InstallError` unless a C++ compiler is found."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler.split()[0] if compiler else "g++") is None:
        raise InstallError(
            f"Horovod needs a C++ compiler and {compiler or 'g++'} is not found; "
            "install one with: sudo apt-get install g++ (or: sudo dnf install gcc-c++)"
        )


def ensure_cmake() -> Path:
    """The folder of a CMake that can build Horovod, its wheel installed if the system has none."""
    beside_python = Path(sys.executable).parent / "cmake"
    for found in (shutil.which("cmake"), str(beside_python)):
        if found and _cmake_fits(found):
            return Path(found).parent
    if _pip([CMAKE], os.environ) != 0 or not _cmake_fits(str(beside_python)):
        raise InstallError(
            f"Horovod needs CMake 3, older than 4, and none could be installed; try: pip install '{CMAKE}'"
        )
    return beside_python.parent


def find_cuda() -> Path | None:
    """CUDA's folder where its compiler is: CUDA_HOME, or wherever `nvcc` stands."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("HOROVOD_CUDA_HOME")
    if home and (Path(home) / "bin" / "nvcc").exists():
        return Path(home)
    nvcc = shutil.which("nvcc")
    return Path(nvcc).resolve().parent.parent if nvcc else None


def build_environment(base: Mapping[str, str], cmake_folder: Path, cuda_home: Path | None) -> dict[str, str]:
    """The environment of the build: Horovod's switches, and CMake and this Python first on the path."""
    environment = {**base, **BUILD_SETTINGS}
    folders = [str(cmake_folder), str(Path(sys.executable).parent), base.get("PATH", os.defpath)]
    environment["PATH"] = os.pathsep.join(folders)
    if cuda_home is not None:
        environment["HOROVOD_GPU_OPERATIONS"] = "NCCL"
        environment.setdefault("HOROVOD_CUDA_HOME", str(cuda_home))
    return environment


def _cmake_fits(cmake: str) -> bool:
    """Whether this CMake runs and is of the 3 line, new enough for C++17."""
    try:
        # In a folder of no account: a cmake from a wheel of another Python would read this one's files.
        done = subprocess.run(
            [cmake, "--version"], capture_output=True, text=True, check=False, cwd=tempfile.gettempdir()
        )
    except OSError:
        return False
    version = re.search(r"(\d+)\.(\d+)", done.stdout)
    return done.returncode == 0 and version is not None and (3, 13) <= _pair(version) < (4, 0)


def _pair(version: re.Match[str]) -> tuple[int, int]:
    return int(version[1]), int(version[2])


def _pip(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run `pip install` in this interpreter, its output shown; the exit status."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, env=dict(environment), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
