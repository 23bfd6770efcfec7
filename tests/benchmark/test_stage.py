"""The job with a measurement that is a stub: what it keeps, resumes, and does about failures."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable

from recsys_spark.benchmark.cells import Cell
from recsys_spark.benchmark.results import Measured
from recsys_spark.benchmark.stage import benchmark
from recsys_spark.errors import PartlyFailedError

SETTINGS = (
    "benchmark.datasets={shop: {}}",
    "benchmark.models={neumf: {}, gmf: {set: [model.name=gmf]}}",
    "benchmark.seeds=[1, 2]",
)


class Stub:
    """Measures by a formula, and remembers; `broken` names what fails."""

    def __init__(self, broken: str = "") -> None:
        self.broken, self.seen = broken, []

    def __call__(self, cell: Cell) -> list[Measured]:
        self.seen.append(str(cell))
        if str(cell) == self.broken:
            raise ValueError("it broke\nin two lines")
        keys = [f"{p}/test/{m}" for p in ("sampled", "full") for m in ("hr@10", "ndcg@10")]
        day = date(2024, 12, 31)
        fit = Measured("evaluate", dict.fromkeys(keys, cell.seed / 10), "v", day, 2.0 * cell.seed, 99)
        return [fit, Measured("popularity", dict.fromkeys(keys, 0.05), "popularity", day)]


def rows(root: Path) -> list[dict[str, object]]:
    return DeltaTable(str(root / "benchmark_cells")).to_pyarrow_table().to_pylist()


@pytest.mark.slow
def test_finished_cells_are_kept_failed_ones_named_and_tried_again(make_run, tmp_path):
    root = tmp_path / "root"
    first = Stub(broken="shop / gmf / seed 1")
    with pytest.raises(PartlyFailedError, match=r"^1 of 4 cells: shop / gmf / seed 1$"):
        benchmark(make_run("benchmark", *SETTINGS), first)
    assert first.seen == [f"shop / {model} / seed {seed}" for seed in (1, 2) for model in ("neumf", "gmf")]
    failures = [row["error"] for row in rows(root) if row["error"]]
    assert failures == ["ValueError: it broke\nin two lines"]
    assert "- shop / gmf / seed 1: ValueError: it broke\n" in (root / "benchmark.md").read_text()

    second = Stub()
    benchmark(make_run("benchmark", *SETTINGS), second)
    assert second.seen == ["shop / gmf / seed 1"]
    report = (root / "benchmark.md").read_text()
    assert report.count("| neumf | 2 | 0.1500 (0.1000 to 0.2000) | 0.1500 (0.1000 to 0.2000) | 3.0 | 99 |") == 2
    assert report.count("| gmf | 2 |") == report.count("| popularity | 2 | 0.0500") == 2
    assert "Failed" not in report
    assert (root / "benchmark.png").read_bytes().startswith(b"\x89PNG")

    third = Stub()
    benchmark(make_run("benchmark", *SETTINGS, "benchmark.set=[training.epochs=1]"), third)
    assert len(third.seen) == 4  # other settings, other cells
    assert len(rows(root)) == 8 + 1 + 8
