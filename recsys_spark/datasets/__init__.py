"""The data sets that can be read as they come, one module a format; each gives drafts of events, items, users."""

from recsys_spark.datasets.formats import open_source

__all__ = ["open_source"]
