"""What the notebooks share: where parameters come from, what is made once, slices of source files."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_spark import notebooks
from recsys_spark.config import load_config
from recsys_spark.datasets import complete_journey
from recsys_spark.notebooks import Notebook, _stands, given, small_journey
from recsys_spark.runs import run_stage

TINY = (
    "run.shuffle_partitions=2",
    "generate.users=20",
    "generate.items=10",
    "generate.events=200",
    "generate.partitions=1",
)


def test_a_parameter_comes_from_the_environment_or_stays(monkeypatch):
    monkeypatch.delenv("RECSYS_NOTEBOOK_ROOT", raising=False)
    assert given("root", ".data/here") == ".data/here"
    monkeypatch.setenv("RECSYS_NOTEBOOK_ROOT", "elsewhere")
    assert given("root", ".data/here") == "elsewhere"


def test_on_databricks_a_parameter_is_a_widget(monkeypatch):
    filled, made = {"root": "main.recsys"}, []
    widgets = SimpleNamespace(
        text=lambda name, default: made.append((name, default)), get=lambda name: filled.get(name, "")
    )
    shell = SimpleNamespace(user_ns={"dbutils": SimpleNamespace(widgets=widgets)})
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert given("root", ".data/here") == "main.recsys"
    assert given("settings", "") == ""
    assert made == [("root", ""), ("settings", "")]


def test_a_stage_is_prepared_once_for_the_same_settings(spark, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("RECSYS_NOTEBOOK_ROOT", raising=False)
    monkeypatch.delenv("RECSYS_NOTEBOOK_SETTINGS", raising=False)
    book = Notebook("test", str(tmp_path / "root"), settings=TINY)
    ran = []
    monkeypatch.setattr(notebooks, "run_stage", lambda run, stage: (ran.append(run.stage), run_stage(run, stage)))
    book.prepare("generate")
    book.prepare("generate")
    assert ran == ["generate"] and "[generate] is done already" in capsys.readouterr().out
    book.view("events")
    assert book.sql("SELECT COUNT(*) AS events FROM events").events[0] == 200

    # what the stage does not hang on makes no difference, what it does hang on does
    Notebook("test", str(tmp_path / "root"), settings=[*TINY, "training.epochs=1"]).prepare("generate")
    assert ran == ["generate"]
    Notebook("test", str(tmp_path / "root"), settings=[*TINY, "generate.events=100"]).prepare("generate")
    assert ran == ["generate", "generate"]
    book.prepare("generate")  # its events were replaced
    assert ran == ["generate", "generate", "generate"]


def test_what_a_run_replaced_is_made_again_and_models_stay():
    plain, other = load_config(), load_config(settings=["training.epochs=1"])
    longer = load_config(settings=["examples.window=30"])
    sequences = load_config(settings=["model.name=sasrec"])
    assert _stands("examples", plain, [other])  # no setting of examples
    assert not _stands("examples", plain, [longer, plain])
    assert _stands("examples", plain, [sequences, plain])  # another table
    assert _stands("train", plain, [other, plain])
    assert not _stands("train", plain, [other])
    assert not _stands("train", plain, [])


def test_a_relative_root_is_below_the_checkout(spark, tmp_path, monkeypatch):
    monkeypatch.delenv("RECSYS_NOTEBOOK_ROOT", raising=False)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "default.yaml").write_text("")
    (tmp_path / "conf" / "own.yaml").write_text("dataset: own\n")
    (tmp_path / "notebooks").mkdir()
    for folder in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(folder)
        book = Notebook("test", ".data/own", ["conf/own.yaml"])
        assert (book.root, book.config.dataset) == (str(tmp_path / ".data/own"), "own")


@pytest.fixture
def journey(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.mkdir()
    times = pa.array([1_500_000_000 * 10**9] * 4, pa.timestamp("ns"))
    bought = pa.table({"household_id": [3, 1, 2, 1], "product_id": [7, 8, 9, 7], "transaction_timestamp": times})
    pq.write_table(bought, source / "transactions.parquet", use_deprecated_int96_timestamps=True)
    pq.write_table(pa.table({"household_id": [1, 3]}), source / "demographics.parquet")
    pq.write_table(pa.table({"product_id": [7, 8, 9]}), source / "products.parquet")
    monkeypatch.setattr(complete_journey, "installed", lambda: str(source))
    return tmp_path


def test_a_slice_has_the_first_households_and_all_products(journey):
    folder = small_journey(str(journey / "files"), 2)
    read = {
        name: pq.read_table(f"{folder}/{name}.parquet").to_pydict()
        for name in ("transactions", "demographics", "products")
    }
    assert (read["transactions"]["household_id"], read["transactions"]["product_id"]) == ([1, 2, 1], [8, 9, 7])
    assert (
        pq.ParquetFile(f"{folder}/transactions.parquet").schema.column(2).physical_type == "INT96"
    )  # what Spark can read
    assert read["demographics"] == {"household_id": [1]}
    assert read["products"] == {"product_id": [7, 8, 9]}
    assert small_journey(str(journey / "files"), 3) != folder  # another number, another folder
