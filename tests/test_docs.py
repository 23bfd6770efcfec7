"""What the documents say is so: commands parse, names exist, queries fit the schemas. No Spark session."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from runpy import run_path
from typing import Any, get_args

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema

from recsys_spark import cli
from recsys_spark.config import load_config
from recsys_spark.model_settings import Model
from recsys_spark.schemas import ITEM_ATTRIBUTES, METRICS, RECOMMENDATIONS_CURRENT, TABLES, Table, train_examples
from recsys_spark.views import VIEWS, view_query

HERE = Path(__file__).parent.parent
PAGES = [
    *(
        HERE / page
        for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md", "notebooks/README.md")
    ),
    *sorted((HERE / "docs").rglob("*.md")),
]

_BLOCK = re.compile(r"^([ ]*)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, *kinds: str) -> list[str]:
    """The fenced blocks of a page that are of some kinds (`""`: those without one)."""
    return [text for _, kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if kind in kinds]


def commands(page: Path) -> Iterator[str]:
    """The command lines of a page's blocks and code spans, those that go on over several lines as one."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page, "", "sh", "bash"):
        yield from (line.strip() for line in block.replace("\\\n", " ").splitlines())
    yield from re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text))


def queries_in_text(page: Path) -> list[str]:
    """Queries that stand in a line of text."""
    spans = re.findall(r"`([^`\n]+)`", _BLOCK.sub("", page.read_text(encoding="utf-8")))
    return [span for span in spans if re.match(r"SELECT\b", span)]


def by_name(query: str) -> str:
    """A query with each table by its name alone, wherever its root is."""
    return re.sub(r"delta\.`[^`]*/(\w+)`", r"\1", query).replace("main.recsys.", "")


def name(path: Path) -> str:
    return str(path.relative_to(HERE))


def job_commands() -> list[Any]:
    """Each command line that names a job and its arguments, in all pages and jobs' own help."""
    sources = [(page, line) for page in PAGES for line in commands(page)]
    sources += [(job, line.strip()) for job in (HERE / "jobs").glob("*.py") for line in job.read_text().splitlines()]
    lines = {(page, line) for page, line in sources if re.search(r"jobs/\w+\.py\s+--(?!help)", line)}
    return [pytest.param(line, id=f"{name(page)}: {line[:60]}") for page, line in sorted(lines)]


@pytest.mark.parametrize("line", job_commands())
def test_each_command_line_of_a_job_parses(line, monkeypatch, capsys):
    monkeypatch.chdir(HERE)
    arguments = [re.sub(r"^\S*?(?=(?:jobs|conf)/)", "", word) for word in shlex.split(line, comments=True)]
    at = next(n for n, word in enumerate(arguments) if word.startswith("jobs/"))
    assert (HERE / arguments[at]).is_file()
    parsed = cli.parse(Path(arguments[at]).stem, "", arguments[at + 1 :])
    assert (parsed is None) == ("--print-config" in arguments)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*?## ", (HERE / "Makefile").read_text(), re.MULTILINE))
    made = {found for line in commands(page) if (found := re.match(r"make ([a-z-]+)", line))}
    assert {found[1] for found in made} <= targets
    named = set(re.findall(r"\b(?:jobs|scripts|benchmarks|notebooks|tests)/[\w/]+\.(?:py|sh)", text))
    named |= set(re.findall(r"\bconf/[\w-]+\.yaml|\bdocs/[\w/-]+\.md", text))
    assert [path for path in sorted(named) if not (HERE / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    broken = []
    for link in (link for link in links if not re.match(r"[a-z]+:", link)):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", sorted((HERE / "docs" / "models").glob("*.md")), ids=name)
def test_the_page_of_a_model_quotes_what_was_measured(page):
    measured = page.read_text().partition("\n## Measured\n")[2]
    sections = re.findall(r"\]\(\.\./benchmarks\.md#([a-z0-9-]+)\)", measured)
    assert sections, f"{page.name}: under Measured stands no link to a section of docs/benchmarks.md"
    figures = re.findall(r"\b0\.\d{4}\b", measured)
    known = (HERE / "docs" / "benchmarks.md").read_text()
    assert figures and [figure for figure in figures if figure not in known] == []


def test_every_model_has_a_page():
    names = set(get_args(Model.model_fields["name"].annotation)) - {"gmf", "mlp"}  # on the page of neumf
    assert {page.stem for page in (HERE / "docs" / "models").glob("*.md")} == names


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def declared(table: Table) -> Table:
    return train_examples(load_config().examples.negatives) if table.name == "train_examples" else table


@pytest.fixture(scope="module")
def empty_tables() -> Iterator[duckdb.DuckDBPyConnection]:
    """Every table of `schemas`, without rows, and the views over them."""
    connection = duckdb.connect()
    for table in TABLES.values():
        connection.register(table.name, to_arrow_schema(declared(table).schema).empty_table())
    for view in VIEWS.values():
        connection.execute(f"CREATE TEMP VIEW {view.name} AS {view_query(view, str)}")
    yield connection
    connection.close()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sql") or queries_in_text(page)], ids=name)
def test_queries_fit_the_schemas(page, empty_tables):
    for query in [*blocks(page, "sql"), *queries_in_text(page)]:
        empty_tables.execute(by_name(query)).fetchall()


def test_the_page_of_tables_is_what_the_schemas_say():
    expected = run_path(str(HERE / "scripts" / "tables_doc.py"))["page"]()
    page = (HERE / "docs" / "tables.md").read_text(encoding="utf-8")
    assert page == expected, "run .venv/bin/python scripts/tables_doc.py"


def test_the_readme_names_every_column_of_the_contract():
    words = set(re.findall(r"\w+", (HERE / "README.md").read_text(encoding="utf-8")))
    assert {column.name for column in RECOMMENDATIONS_CURRENT.schema} <= words


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with tables of a demo: one user's list, and one figure."""
    nothing = dict.fromkeys(ITEM_ATTRIBUTES.schema.names)
    rows = [
        {
            **dict.fromkeys(RECOMMENDATIONS_CURRENT.schema.names),
            "as_of_date": date(2017, 12, 31),
            "variant": "default",
            "user_id": "1",
            "rank": rank,
            "item_id": f"item {rank}",
            "score": 1.0 / rank,
            "reason_code": "model",
            "sources": ["model"],
        }
        for rank in range(1, 11)
    ]
    known = {**nothing, "valid_from": datetime(2017, 12, 31, tzinfo=UTC)}
    titles = [{**known, "item_id": row["item_id"], "title": f"Title of {row['item_id']}"} for row in rows]
    figure = {**dict.fromkeys(METRICS.schema.names), "as_of_date": date(2017, 12, 31), "model_name": "the model"}
    figure |= {"protocol": "full", "split": "test", "segment": "all", "metric": "ndcg", "k": 10, "value": 1.0}
    for table, content in ((RECOMMENDATIONS_CURRENT, rows), (ITEM_ATTRIBUTES, titles), (METRICS, [figure])):
        written = pa.Table.from_pylist(content, schema=to_arrow_schema(table.schema))
        folder = tmp_path / ".data" / "demo" / table.name
        write_deltalake(str(folder), written, partition_by=list(table.partitioned_by) or None)
    return tmp_path


def test_python_of_the_readme_reads_the_lists_without_spark(published, monkeypatch, capsys):
    monkeypatch.chdir(published)
    snippets = [code for code in blocks(HERE / "README.md", "python") if "pyspark" not in code]
    printed = []
    for code in snippets:
        exec(compile(code, "README.md", "exec"), {})
        printed.append(capsys.readouterr().out)
    duckdb.sql("RESET disabled_optimizers")
    with_duckdb, with_delta_rs, with_package = printed
    assert "Title of item 10 " in with_duckdb
    assert "the model" in with_delta_rs
    assert "Title of item 10 " in with_package


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_python_of_the_pages_compiles(page):
    for code in blocks(page, "python"):
        compile(code, str(page), "exec")


def test_importing_the_pages_generator_starts_no_spark():
    code = "import runpy, pyspark; runpy.run_path('scripts/tables_doc.py'); print(pyspark.SparkContext._gateway)"
    printed = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "None"


def test_no_file_knows_the_machine_it_was_written_on():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=HERE, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    machine = re.compile(r"(?<![\w.}*)])/(?:work|root)/")
    files = [HERE / file for file in listed.stdout.split("\0") if file]
    assert [name(file) for file in files if file.is_file() and machine.search(file.read_text("utf-8", "ignore"))] == []
