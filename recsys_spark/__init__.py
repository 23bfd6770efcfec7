"""A nightly batch recommender on Spark: events in, a top-N table out.

Importing the package starts neither Spark nor TensorFlow; the public functions import what they need when called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys_spark.recommend.lookup import recommend_items

__version__ = "0.1.0"

__all__ = ["__version__", "recommend_items"]


def __getattr__(name: str) -> Any:
    if name == "recommend_items":
        from recsys_spark.recommend.lookup import recommend_items

        return recommend_items
    raise AttributeError(f"module 'recsys_spark' has no attribute {name!r}")
