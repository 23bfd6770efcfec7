"""What a night will take, from counts and the configuration alone: hours a stage, disk a table, memory a process."""

from __future__ import annotations

from recsys_spark.capacity.coefficients import Coefficients, calibrated, load_coefficients
from recsys_spark.capacity.plan import Plan, estimate
from recsys_spark.capacity.work import Counts

__all__ = ["Coefficients", "Counts", "Plan", "calibrated", "estimate", "load_coefficients"]
