"""Every notebook: its form, fast; and the whole of it run in a kernel of its own, on small data, slow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from pyspark.sql.pandas.types import to_arrow_schema

from recsys_spark.config import load_config
from recsys_spark.schemas import TABLES, train_examples

HERE = Path(__file__).parent.parent.parent
FOLDER = HERE / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# for a Java that lives for a minute
QUICK = "--driver-java-options '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC' pyspark-shell"
OF_ALL = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def read(notebook: Path) -> Any:
    return nbformat.read(notebook, as_version=4)


def code_of(notebook: Path) -> list[Any]:
    return [cell for cell in read(notebook).cells if cell.cell_type == "code"]


def parameters(notebook: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    exec(code_of(notebook)[0].source, found)
    return found


@OF_ALL
def test_it_has_parameters_on_top_and_they_hold(notebook):
    first, *others = code_of(notebook)
    assert first.metadata.get("tags") == ["parameters"]
    assert not any("parameters" in cell.metadata.get("tags", []) for cell in others)
    given = parameters(notebook)
    assert Path(given["ROOT"]).parts[0] == ".data"  # a relative one, which git and `make clean` know
    load_config([HERE / file for file in given["CONFIG"]], given["SETTINGS"])


@OF_ALL
def test_it_has_no_outputs(notebook):
    kept = [
        cell.id for cell in code_of(notebook) if cell.outputs or cell.execution_count or "execution" in cell.metadata
    ]
    assert kept == [], "run: .venv/bin/jupyter nbconvert --clear-output --inplace notebooks/*.ipynb"


@OF_ALL
def test_it_is_valid_and_teaches(notebook):
    book = read(notebook)
    nbformat.validate(book)
    assert book.metadata.kernelspec.name == "python3"
    texts = [cell.source for cell in book.cells if cell.cell_type == "markdown"]
    assert texts[0].startswith("# ") and "**What**" in texts[0] and "**Why**" in texts[0]
    assert any(text.lstrip().startswith("## Exercise") or "\n## Exercise" in text for text in texts)
    assert any("*Hint*" in text for text in texts)
    for cell in code_of(notebook):
        compile(cell.source, f"{notebook.name} {cell.id}", "exec")


@OF_ALL
def test_what_it_names_exists(notebook):
    text = "\n".join(cell.source for cell in read(notebook).cells)
    named = set(re.findall(r"\bconf/[\w/-]+\.yaml|\b(?:docs|jobs|notebooks)/[\w/-]+\.(?:md|py|ipynb)", text))
    assert [path for path in sorted(named) if not (HERE / path).exists()] == []


@pytest.fixture(scope="module")
def empty_tables() -> Iterator[duckdb.DuckDBPyConnection]:
    """Every table of `schemas`, without rows, where DuckDB has what Spark calls by another name."""
    connection = duckdb.connect()
    for table in TABLES.values():
        declared = train_examples(load_config().examples.negatives) if table.name == "train_examples" else table
        connection.register(table.name, to_arrow_schema(declared.schema).empty_table())
    connection.execute("CREATE MACRO size(list) AS len(list)")
    yield connection
    connection.close()


@OF_ALL
def test_its_queries_fit_the_schemas(notebook, empty_tables):
    queries = [
        query
        for cell in code_of(notebook)
        for _, query in re.findall(r'book\.sql\(\s*("""|")(.*?)\1', cell.source, re.DOTALL)
    ]
    for query in queries:
        if " live" not in query:  # a view of the notebook's own
            empty_tables.execute(query).fetchall()


def test_the_readme_lists_every_notebook_and_no_other():
    linked = set(re.findall(r"\]\((\w+\.ipynb)\)", (FOLDER / "README.md").read_text(encoding="utf-8")))
    assert linked == {notebook.name for notebook in NOTEBOOKS}
    assert [notebook.name[:2] for notebook in NOTEBOOKS] == [f"{number:02d}" for number in range(len(NOTEBOOKS))]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands for `.data`: later notebooks find what earlier ones left, and make it where they are run alone."""
    return tmp_path_factory.mktemp("data")


@pytest.mark.slow
@OF_ALL
def test_it_runs(notebook, data):
    book, given = read(notebook), parameters(notebook)
    place = {"RECSYS_NOTEBOOK_ROOT": str(data / Path(given["ROOT"]).name)}
    if "FILES" in given:
        code = next(cell for cell in book.cells if cell.cell_type == "code")
        injected = nbformat.v4.new_code_cell(f"FILES = {str(data / 'files')!r}")
        book.cells.insert(book.cells.index(code) + 1, injected)
    client = NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}})
    try:
        client.execute(env={**os.environ, **place, "PYSPARK_SUBMIT_ARGS": QUICK})
    except CellExecutionError as error:  # it shows the cell's source and the error, without the traces of nbclient
        pytest.fail(f"{notebook.name}: {error}", pytrace=False)
    drawn = [
        output
        for cell in book.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data:image/png;base64," in output.get("data", {}).get("text/html", "")
    ]
    assert drawn or notebook.stem.startswith("00")
    assert not (FOLDER / ".data").exists()
