"""The benchmark as a user starts it, on the smallest made data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

CHECKOUT = Path(__file__).parent.parent.parent
DATA = (
    "benchmark.datasets={tiny: {config: [conf/generated.yaml], prepare: [generate, index, features], set: "
    "[generate.users=120, generate.items=60, generate.events=6000, generate.partitions=2]}}"
)


@pytest.mark.slow
def test_the_smoke_benchmark_runs_resumes_and_reports(tmp_path):
    def submit(*settings: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "spark-submit"), "--master", "local[2]", "jobs/benchmark.py"]
        command += ["--config", "conf/benchmark-smoke.yaml", "--root", str(tmp_path), "--set", DATA]
        command += [part for setting in settings for part in ("--set", setting)]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=1200)

    models = "neumf: {set: [model.name=neumf]}, gmf: {set: [model.name=gmf]}"
    done = submit(f"benchmark.models={{{models}}}", "benchmark.seeds=[42]")
    assert done.returncode == 0, done.stdout + done.stderr
    report = (tmp_path / "benchmark.md").read_text()
    for name in ("neumf", "gmf", "popularity", "random"):
        assert report.count(f"| {name} | 1 | 0.") == 2  # sampled and full
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")
    rows = DeltaTable(str(tmp_path / "benchmark_cells")).to_pyarrow_table().to_pylist()
    fits = [row for row in rows if row["subject"] == "evaluate"]
    assert {row["model_name"] for row in fits} == {"neumf", "gmf"}
    assert all(row["training_seconds"] > 0 and row["parameters"] > 0 for row in fits)
    assert len(rows) == 6

    # one more model that cannot train: only that cell is run, and the job says so
    more = submit(
        f"benchmark.models={{{models}, wild: {{set: [training.learning_rate=1.0e+30]}}}}", "benchmark.seeds=[42]"
    )
    said = more.stdout + more.stderr
    assert more.returncode == 1
    assert "3 cells, 2 of them are there already" in said
    assert "[benchmark] failed: 1 of 3 cells: tiny / wild / seed 42" in said
    assert "- tiny / wild / seed 42: TrainingError: " in (tmp_path / "benchmark.md").read_text()
