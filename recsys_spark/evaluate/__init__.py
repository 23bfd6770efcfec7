"""Models and held-out events -> `metrics`: how good the lists are, beside popularity and chance."""

from recsys_spark.evaluate.scorers import Scorer

__all__ = ["Scorer"]
