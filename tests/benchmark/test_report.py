"""Figures over seeds, the Markdown by hand, and the picture."""

from __future__ import annotations

import io
from datetime import date

import pytest
from PIL import Image

from recsys_spark.benchmark.cells import cells_of
from recsys_spark.benchmark.plot import plot, protocol_shown
from recsys_spark.benchmark.report import markdown
from recsys_spark.benchmark.results import Line, Measured, Over, lines_of
from recsys_spark.config import load_config

DAY = date(2024, 12, 31)
CONFIG = load_config(
    settings=[
        "benchmark.datasets={shop: {}}",
        "benchmark.models={neumf: {}, gmf: {set: [model.name=gmf]}}",
        "benchmark.fits=[evaluate, refit]",
        "benchmark.protocols=[full]",
        "benchmark.metrics=[ndcg@10]",
        "benchmark.baselines=[popularity]",
    ]
)
NDCG = "full/test/ndcg@10"


def measured(subject: str, ndcg: float, seconds: float | None = None) -> Measured:
    return Measured(subject, {NDCG: ndcg}, f"version of {subject}", DAY, seconds, 1234 if seconds else None)


def lines() -> list[Line]:
    cells = cells_of(CONFIG, "/data", None)
    neumf_42, gmf_42, neumf_43, _ = cells
    results = {
        neumf_42.key: [
            measured("popularity", 0.1),
            measured("random", 0.01),
            measured("evaluate", 0.2, 10.0),
            measured("refit", 0.25, 12.0),
        ],
        gmf_42.key: [measured("popularity", 0.1), measured("random", 0.01), measured("evaluate", 0.3, 4.0)],
        neumf_43.key: [measured("popularity", 0.2), measured("random", 0.01), measured("evaluate", 0.4, 20.0)],
    }
    return lines_of(cells, results, CONFIG.benchmark.baselines)


def test_lines_are_means_and_spreads_over_seeds():
    neumf, refit, gmf, popularity = lines()
    assert (neumf.name, neumf.seeds, neumf.parameters) == ("neumf", 2, 1234)
    assert neumf.figures[NDCG] == Over(pytest.approx(0.3), 0.2, 0.4)
    assert neumf.training_seconds == Over(15.0, 10.0, 20.0)
    assert (refit.name, refit.seeds, gmf.name, gmf.seeds) == ("neumf (refit)", 1, "gmf", 1)
    # measured beside two models with seed 42, it counts once for it
    assert (popularity.name, popularity.seeds, popularity.training_seconds) == ("popularity", 2, None)
    assert popularity.figures[NDCG].mean == pytest.approx(0.15)


def test_the_table_is_markdown():
    report = markdown(CONFIG.benchmark, {"shop": lines()}, {"shop / gmf / seed 43": "TrainingError: no\nmore"})
    start = report.index("## shop, test, among the whole catalogue")
    assert report[start:] == [
        "## shop, test, among the whole catalogue",
        "",
        "| model | seeds | ndcg@10 | training, s | parameters |",
        "| --- | --: | --- | --: | --: |",
        "| neumf | 2 | 0.3000 (0.2000 to 0.4000) | 15.0 | 1,234 |",
        "| neumf (refit) | 1 | 0.2500 (0.2500 to 0.2500) | 12.0 | 1,234 |",
        "| gmf | 1 | 0.3000 (0.3000 to 0.3000) | 4.0 | 1,234 |",
        "| popularity | 2 | 0.1500 (0.1000 to 0.2000) |  |  |",
        "",
        "## Failed",
        "",
        "- shop / gmf / seed 43: TrainingError: no",
    ]


@pytest.mark.parametrize("panels", [1, 3])
def test_the_picture_has_a_panel_a_data_set(panels):
    content = plot(CONFIG.benchmark, {f"shop {number}": lines() for number in range(panels)})
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "PNG"
        assert picture.size[0] == pytest.approx(panels * 5.2 * 150, abs=2)


def test_a_picture_of_nothing_is_still_one():
    assert plot(CONFIG.benchmark, {"shop": []}).startswith(b"\x89PNG")


def test_ratings_have_a_table_of_errors_and_their_own_baselines():
    config = load_config(
        settings=[
            "benchmark.datasets={films: {}}",
            "benchmark.models={mf: {set: [model.name=matrix_factorization, model.matrix_factorization.loss_name=mse]}}",
            "benchmark.protocols=[full, ratings]",
            "benchmark.metrics=[rmse, ndcg@10]",
            "benchmark.seeds=[42]",
        ]
    )
    (cell,) = cells_of(config, "/data", None)
    errors = {"ratings/test/rmse": 0.86}
    results = {
        cell.key: [
            Measured("evaluate", {**errors, "full/test/ndcg@10": 0.05}, "v", DAY, 3.0, 99),
            Measured("biases", {"ratings/test/rmse": 0.91}, "biases", DAY),
        ]
    }
    lines = {"films": lines_of([cell], results, ["popularity", "biases"])}
    report = markdown(config.benchmark, lines, {})
    whole = report[report.index("## films, test, among the whole catalogue") :]
    assert whole[2] == "| model | seeds | ndcg@10 | training, s | parameters |"
    of_ratings = report[report.index("## films, test, held-out ratings, predicted") :]
    assert of_ratings[2] == "| model | seeds | rmse | training, s | parameters |"
    assert of_ratings[4:] == [
        "| mf | 1 | 0.8600 (0.8600 to 0.8600) | 3.0 | 99 |",
        "| biases | 1 | 0.9100 (0.9100 to 0.9100) |  |  |",
    ]
    assert protocol_shown(config.benchmark, {"ratings/test/rmse"}) == "ratings"
    assert protocol_shown(config.benchmark, {"ratings/test/rmse", "full/test/rmse"}) == "full"
    bare = lines_of([cell], {cell.key: [Measured("evaluate", {}, "v", DAY, 3.0, 99)]}, [])
    report = markdown(config.benchmark, {"films": bare}, {})
    assert not [line for line in report if line.startswith("## films")]
    assert report[-1] == "- films: mf"
