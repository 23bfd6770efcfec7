"""The second model that nights train, which retrieves: its configuration, and what it asks of the examples."""

from __future__ import annotations

from recsys_spark.config import changed
from recsys_spark.model_settings import SEQUENCES, Kind
from recsys_spark.settings import Config, Fit


def retriever_config(config: Config) -> Config | None:
    """The configuration that the retriever is trained by: the night's, with settings of its own; None where there is none.

    Raises:
        UserError: `retriever.settings` has an unknown key or a bad value.
    """
    own = config.retriever
    if not own.name:
        return None
    return changed(config, {"model.name": own.name, **own.settings, "retriever.name": ""}, "retriever.settings")


def kinds_of(config: Config, fit: Fit = "production") -> set[Kind]:
    """The kinds of example that a night makes of a fit: what is asked for, or else what its models train on.

    The retriever has a production fit alone.
    """
    kinds = set(config.examples.kinds) or {config.model.chosen.examples}
    return kinds | ({SEQUENCES} if config.retriever.name and fit == "production" else set())
