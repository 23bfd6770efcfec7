"""From a benchmark's configuration to its cells: what each runs with, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys_spark.benchmark.cells import Cell, cells_of
from recsys_spark.config import load_config
from recsys_spark.errors import UserError

SHOP = "benchmark.datasets={shop: {set: [dataset=shop, split.kind=time]}, films: {root: /films, prepare: []}}"
MODELS = "benchmark.models={big: {set: [model.neumf.gmf_width=9]}, gmf: {set: [model.name=gmf]}}"


def cells(*settings: str) -> list[Cell]:
    return cells_of(load_config(settings=[SHOP, MODELS, *settings]), "/data", None)


def test_every_data_set_meets_every_model_and_seed():
    made = cells("benchmark.seeds=[1, 2]", "benchmark.set=[training.epochs=3]", "run.shuffle_partitions=5")
    assert [(cell.dataset, cell.seed, cell.model) for cell in made] == [
        ("shop", 1, "big"), ("shop", 1, "gmf"), ("shop", 2, "big"), ("shop", 2, "gmf"),
        ("films", 1, "big"), ("films", 1, "gmf"), ("films", 2, "big"), ("films", 2, "gmf"),
    ]  # fmt: skip
    gmf = made[3]
    assert (gmf.root, gmf.prepare) == ("/data/shop", ("ingest", "index", "features"))
    assert (made[4].root, made[4].prepare) == ("/films", ())
    assert (gmf.config.model.name, gmf.config.split.kind, gmf.config.training.epochs) == ("gmf", "time", 3)
    assert (gmf.config.run.seed, gmf.config.run.shuffle_partitions) == (2, 5)
    # the data set is prepared with one seed for all cells
    assert gmf.ready == made[0].ready and gmf.ready.run.seed == load_config().run.seed
    assert gmf.config.examples.fits == gmf.ready.examples.fits == ["evaluate"]
    assert len({cell.key for cell in made}) == 8


def test_all_cells_are_measured_alike():
    made = cells(
        "benchmark.metrics=[recall@20, auc, ndcg@5]",
        "benchmark.protocols=[sampled]",
        "benchmark.fits=[evaluate, refit]",
    )
    for cell in made:
        assert (cell.config.evaluate.ks, cell.config.evaluate.protocols) == ([5, 20], ["sampled"])
        assert cell.config.examples.fits == ["evaluate", "refit"]


def test_a_cell_is_another_one_with_other_settings_and_the_same_elsewhere():
    first = cells()[0].key
    assert cells("run.driver_bytes=1", "root=/elsewhere")[0].key == first
    assert cells("benchmark.set=[training.epochs=3]")[0].key != first
    assert cells("run.seed=7")[0].key != first  # made events differ


def test_models_that_share_examples_stand_side_by_side():
    models = "benchmark.models={a: {}, b: {set: [examples.negatives=2]}, c: {set: [training.epochs=1]}}"
    assert [cell.model for cell in cells(models, "benchmark.seeds=[1]")][:3] == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("benchmark.datasets={}", "benchmark.datasets is empty.*conf/benchmark-smoke.yaml"),
        ("benchmark.models={}", "benchmark.models is empty"),
        ("benchmark.metrics=[ndgc@10]", "unknown metric `ndgc@10`; did you mean `ndcg@10`"),
        ("benchmark.metrics=[auc@10]", "unknown metric `auc@10`"),
        ("benchmark.models={x: {set: [split.kind=time]}}", "benchmark.models.x: `split.kind` cannot differ"),
        ('benchmark.models={x: {set: ["examples.fits=[refit]"]}}', "see benchmark.fits"),
        ("benchmark.models={x: {set: [training.epoch=3]}}", "benchmark.models.x: .*did you mean `training.epochs`"),
        ("benchmark.datasets={x: {config: [nowhere.yaml]}}", "benchmark.datasets.x: .*nowhere.yaml cannot be read"),
        ("benchmark.datasets={x: {prepare: [train]}}", "benchmark.datasets.x.prepare"),
        ("training.epochs=3", "section `training` is set beside `benchmark`"),
    ],
)
def test_what_does_not_hold_is_said_before_anything_runs(setting, message):
    with pytest.raises(UserError, match=message):
        cells(setting)


def test_ratings_are_measured_by_their_errors():
    with pytest.raises(UserError, match="unknown metric `rsme`; did you mean `rmse`"):
        cells("benchmark.protocols=[ratings]", "benchmark.metrics=[rsme]")
    assert cells("benchmark.protocols=[ratings]", "benchmark.metrics=[rmse, mae]")[0].config.evaluate.protocols == [
        "ratings"
    ]


def test_below_a_catalogue_each_data_set_names_its_root():
    with pytest.raises(UserError, match=r"benchmark\.datasets\.shop: name its `root`"):
        cells_of(load_config(settings=[SHOP, MODELS]), "", None)


CHECKOUT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("name", sorted(path.name for path in (CHECKOUT / "conf").glob("benchmark-*.yaml")))
def test_the_benchmarks_of_the_project_hold(name, monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    made = cells_of(load_config([CHECKOUT / "conf" / name]), "/data", None)
    assert {cell.seed for cell in made} == {42, 43}


def test_the_smoke_benchmark_has_a_model_of_order_and_one_of_pairs(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    made = cells_of(load_config([CHECKOUT / "conf" / "benchmark-smoke.yaml"]), "/data", None)
    assert {cell.model for cell in made} >= {"neumf", "sasrec"}
