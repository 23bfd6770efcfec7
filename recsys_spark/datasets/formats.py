"""The reader of each format, by its name in `ingest.format`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pyspark.sql import SparkSession

from recsys_spark.datasets import amazon, complete_journey, mapped, marketbias, movielens, sequence_file
from recsys_spark.errors import UserError
from recsys_spark.events.drafts import Source
from recsys_spark.settings import Ingest

Reader = Callable[[SparkSession, Ingest], Source]

_READERS: Final[Mapping[str, Reader]] = {
    "movielens": movielens.read,
    "amazon": amazon.read,
    "marketbias": marketbias.read,
    "complete_journey": complete_journey.read,
    "sequence_file": sequence_file.read,
    "mapping": mapped.read,
}
_BRINGS_ITS_DATA: Final = {"complete_journey"}
_INLINE: Final = {"marketbias", "sequence_file"}


def open_source(spark: SparkSession, config: Ingest) -> Source:
    """What `ingest` configures, as drafts.

    Raises:
        UserError: no path, a path where nothing is, or files that are not of the format.
    """
    if not config.path and config.format not in _BRINGS_ITS_DATA:
        raise UserError(f"ingest.path is empty; name the {config.format} files: --set ingest.path=FILE_OR_FOLDER")
    if config.format in _INLINE and (config.items_path or config.users_path):
        raise UserError(
            f"ingest.format={config.format} has no attributes in files of their own: "
            "leave ingest.items_path and ingest.users_path empty"
        )
    return _READERS[config.format](spark, config)
