from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from recsys_spark import storage
from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.events import ingest
from recsys_spark.examples import stage as examples
from recsys_spark.features import stage as features
from recsys_spark.interactions import stage as index
from recsys_spark.training.assemble import job_of
from recsys_spark.training.distributed import OneRank
from recsys_spark.training.loop import fit
from tests.datasets.helpers import opened, rows

CONF = Path(__file__).parents[2] / "conf"
BOUGHT = [  # household, store, basket, product, week
    (900, 330, 1, 10, 1),
    (900, 330, 1, 20, 1),
    (901, 330, 2, 30, 2),
    (900, 331, 3, 10, 2),
    (900, 332, 4, 10, 2),
    (901, 330, 5, 10, 3),
]
PROMOTED = [  # product, store, week, display, mailer
    (10, 330, 1, "9", "0"),
    (10, 330, 1, "0", "A"),  # a second place in the same week
    (20, 330, 3, "0", "D"),  # not in the week in which it is bought
    (40, 331, 2, "5", "0"),  # another product
    (30, 330, 2, "7", "F"),
]
Bought = Iterable[tuple[int, int, int, int, int]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return stocked(tmp_path, BOUGHT, PROMOTED)


def stocked(folder: Path, bought: Bought, promoted: Iterable[tuple[int, int, int, str, str]]) -> Path:
    """The files of the package, with these purchases and promotions; a basket is bought at noon of its week's first day."""
    names = ["household_id", "store_id", "basket_id", "product_id", "week"]
    purchases = pd.DataFrame(list(bought), columns=names).assign(
        quantity=1, sales_value=2.5, retail_disc=0.0, coupon_disc=0.0, coupon_match_disc=0.0
    )
    purchases["transaction_timestamp"] = [noon(week) for week in purchases["week"]]
    purchases.to_parquet(folder / "transactions.parquet", use_deprecated_int96_timestamps=True)
    places = ["product_id", "store_id", "week", "display_location", "mailer_location"]
    pd.DataFrame(list(promoted), columns=places).to_parquet(folder / "promotions.parquet")
    products = ["manufacturer_id", "department", "brand", "product_category", "product_type", "package_size"]
    pd.DataFrame({"product_id": [10], **dict.fromkeys(products, "x")}).to_parquet(folder / "products.parquet")
    households = ["age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count"]
    pd.DataFrame({"household_id": [900], **dict.fromkeys(households, "x")}).to_parquet(folder / "demographics.parquet")
    return folder


def noon(week: int) -> datetime:
    return datetime(2017, 1, 2, 12) + timedelta(days=7 * week)


def told(spark, folder: Path, passed_over: int) -> list[tuple[object, ...]]:
    """`(type, basket, product, display, mailer, position)` of each event."""
    settings = ["format=complete_journey", f"path={folder}", "event_type=purchase", "complete_journey.promotions=true"]
    source = opened(spark, *settings, f"complete_journey.passed_over={passed_over}")
    keys = [f"context['{key}']" for key in ("display", "mailer", "position")]
    return rows(source.events, "event_type", "context['basket_id']", "item_id", *keys)


def test_a_purchase_tells_where_its_product_stood_in_that_store_and_week(spark, folder):
    assert told(spark, folder, 0) == [
        ("purchase", "1", "10", "9", "A", "9/A"),
        ("purchase", "1", "20", "0", "0", "0/0"),  # displayed two weeks later
        ("purchase", "2", "30", "7", "F", "7/F"),
        ("purchase", "3", "10", "0", "0", "0/0"),  # displayed elsewhere
        ("purchase", "4", "10", None, None, None),  # nothing is known of that store
        ("purchase", "5", "10", "0", "0", "0/0"),
    ]


def test_a_basket_passes_over_what_its_store_sells(spark, folder):
    settings = ["format=complete_journey", f"path={folder}", "complete_journey={promotions: true, passed_over: 60}"]
    shown = opened(spark, *settings).events.where("event_type = 'shown'")
    keys = [f"context['{key}']" for key in ("store_id", "basket_id", "position")]
    found = rows(shown, "user_id", "item_id", *keys, "cast(event_time as string)", "event_value", "fault")
    # store 330 sells 10, 20 and 30; the two others sell nothing but what is in their baskets
    assert sorted(found, key=lambda row: (row[3], row[1])) == [
        ("900", "30", "330", "1", "0/0", "2017-01-09 12:00:00", None, None),
        ("901", "10", "330", "2", "0/0", "2017-01-16 12:00:00", None, None),
        ("901", "20", "330", "2", "0/0", "2017-01-16 12:00:00", None, None),
        ("901", "20", "330", "5", "0/D", "2017-01-23 12:00:00", None, None),
        ("901", "30", "330", "5", "0/0", "2017-01-23 12:00:00", None, None),
    ]


def test_the_draw_is_bounded_and_the_same_twice(spark, folder):
    first = [row for row in told(spark, folder, 1) if row[0] == "shown"]
    baskets = [row[1] for row in first]
    assert len(baskets) == len(set(baskets)) and set(baskets) <= {"1", "2", "5"}
    stocked(folder, reversed(BOUGHT), PROMOTED)
    assert sorted(row for row in told(spark, folder, 1) if row[0] == "shown") == sorted(first)


def test_what_is_missing_is_named(spark, folder):
    pd.DataFrame({"product_id": [10], "store_id": [330], "week": [1]}).to_parquet(folder / "promotions.parquet")
    with pytest.raises(UserError, match=r"promotions\.parquet: no column 'display_location'"):
        told(spark, folder, 0)
    (folder / "promotions.parquet").unlink()
    with pytest.raises(UserError, match=r"promotions\.parquet: nothing matches this path"):
        told(spark, folder, 0)
    with pytest.raises(UserError, match="it needs `promotions: true`"):
        load_config(settings=["ingest.complete_journey.passed_over=5"])


@pytest.mark.slow
def test_displays_are_learnt_from_and_may_be_features(make_run: Callable[..., object], tmp_path: Path) -> None:
    # four products over ten weeks; the first two are on display in even weeks, in which each is bought by all
    weeks, households = range(1, 11), range(900, 904)
    bought = [
        (household, 330, 100 * household + week, product, week)
        for week in weeks
        for household in households
        for product in ((10, 20) if week % 2 == 0 else (30 + 10 * (household % 2),))
    ]
    promoted = [(product, 330, week, "9", "0") for week in weeks if week % 2 == 0 for product in (10, 20)]
    promoted += [(99, 330, week, "5", "A") for week in weeks]  # so that every week is known
    stocked(tmp_path, bought, promoted)
    config = load_config(
        [CONF / "complete-journey.yaml", CONF / "displays.yaml"],
        [
            *(f"ingest.path={tmp_path}", "run.shuffle_partitions=2", "examples.fits=[evaluate]"),
            "ingest.complete_journey.passed_over=60",
            *("training.epochs=2", "training.batch_rows=16", "model.matrix_factorization.width=4"),
            "features.declared=[{name: display, of: context, kind: categorical, source: context.display}]",
        ],
    )
    run = make_run("examples", config=config)
    for stage in (ingest, index, features, examples):
        stage.run(run)

    # a fortnight of test and one of validation before it leave weeks 1 to 6 to learn from
    counted = {
        row["position"]: (row["impressions"], row["clicks"]) for row in run.tables.read("shown_positions").collect()
    }
    assert counted["9/0"] == (24, 24)  # three weeks, four baskets, two products; in all of them, so passed over by none
    # 12 bought; passed over: by each basket of weeks 2, 4 and 6 two products, of weeks 1, 3 and 5 three
    assert counted["0/0"] == (12 + 24 + 36, 12)
    [learnt] = run.tables.read("feature_specs").where("feature = 'display'").collect()
    assert learnt["size"] == 4  # 0 and 9, beside missing and unknown

    job = job_of(run, "evaluate", "v", "matrix_factorization", (), None)
    outcome = fit(job, OneRank())
    assert outcome.error == ""
    weights = storage.load_arrays(outcome.weights)
    [tower] = [values for name, values in weights.items() if name.endswith("position_tower")]
    codes = {row["position"]: row["shown_at"] for row in run.tables.read("shown_positions").collect()}
    assert tower[codes["9/0"]] > tower[codes["0/0"]]
