"""What is deployed elsewhere fits the jobs, their arguments and their order; nothing here needs the place itself."""

from __future__ import annotations

from pathlib import Path

from recsys_spark.cli import Arguments
from recsys_spark.pipeline import chosen
from recsys_spark.stages import PIPELINE

HERE = Path(__file__).parent.parent.parent


def stages_of(job: str, arguments: Arguments) -> tuple[str, ...]:
    """The stages that a job runs when it is given these arguments."""
    assert (HERE / "jobs" / f"{job}.py").is_file()
    return (
        chosen(PIPELINE, arguments.options["from_stage"], arguments.options["until_stage"])
        if job == "pipeline"
        else (job,)
    )
