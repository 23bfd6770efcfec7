"""Imports point along the data flow, and heavy ones come late."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "recsys_spark"
FLOW = [
    "events", "interactions", "explore", "features", "examples", "feed", "models", "training", "recommend", "evaluate", "report",
    "serving", "publish", "monitoring", "tuning", "benchmark", "experiments", "forget",
]  # fmt: skip


def imports(file: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def stage_of(file: Path) -> str | None:
    first = file.relative_to(PACKAGE).parts[0]
    return "events" if first == "datasets" else first if first in FLOW else None


def test_no_stage_imports_a_later_one():
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {module}"
        for file in PACKAGE.rglob("*.py")
        if (stage := stage_of(file))
        for module in imports(file)
        for later in FLOW[FLOW.index(stage) + 1 :]
        if module == f"recsys_spark.{later}" or module.startswith(f"recsys_spark.{later}.")
    ]
    assert not wrong


def test_each_exotic_library_is_known_by_one_file():
    homes = {
        "petastorm": {"feed/petastorm.py"},
        "horovod": {"training/distributed.py", "install_horovod.py"},
        "optuna": {"tuning/study.py"},
        "psycopg": {"serving/postgres.py", "serving/postgres_tables.py", "serving/opening.py"},
        "faiss": {"recommend/approximate.py"},
        "matplotlib": {"benchmark/plot.py", "training/finder.py", "pages/chart.py", "pages/figures.py"},
        "jinja2": {"pages/page.py"},
        "umap": {"report/space.py"},
    }
    for library, allowed in homes.items():
        users = {
            str(file.relative_to(PACKAGE))
            for file in PACKAGE.rglob("*.py")
            if any(module.split(".")[0] == library for module in imports(file))
        }
        assert users <= allowed


def test_data_stages_know_no_tensorflow_and_models_no_spark():
    for file in PACKAGE.rglob("*.py"):
        roots = {module.split(".")[0] for module in imports(file)}
        if stage_of(file) in ("events", "interactions", "explore", "features", "examples"):
            assert not roots & {"tensorflow", "keras"}, file
        if stage_of(file) == "models":
            assert not roots & {"pyspark", "horovod", "delta"}, file


def test_the_service_knows_neither_spark_nor_tensorflow():
    code = (
        "import sys, recsys_spark.serving.main, recsys_spark.serving.app, recsys_spark.serving.opening; heavy = {'pyspark', "
        "'delta', 'tensorflow', 'keras', 'mlflow', 'pandas'}; print(sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"


def test_importing_the_package_starts_neither_spark_nor_tensorflow():
    code = (
        "import sys, recsys_spark, recsys_spark.cli, recsys_spark.config, recsys_spark.models, recsys_spark.pages; "
        "heavy = {'pyspark', 'tensorflow', 'keras', 'mlflow', 'horovod', 'petastorm', 'optuna', 'matplotlib'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"
