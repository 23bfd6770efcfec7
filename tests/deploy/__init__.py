"""What is deployed elsewhere fits the jobs, their arguments and their order; nothing here needs the place itself."""

from __future__ import annotations

from pathlib import Path

from recsys_spark.stages import PIPELINE

HERE = Path(__file__).parent.parent.parent
NIGHT = PIPELINE if "publish" in PIPELINE else (*PIPELINE, "publish")


def missing_jobs() -> set[str]:
    """The stages of the night without a job, less those the pipeline does not know yet."""
    return {stage for stage in NIGHT if not (HERE / "jobs" / f"{stage}.py").is_file()} & set(PIPELINE)
