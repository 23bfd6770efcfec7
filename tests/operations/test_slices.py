"""Which slices upkeep drops, counted by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from recsys_spark import columns as c
from recsys_spark.operations.retention import Kept, KnownModel
from recsys_spark.operations.slices import DERIVED, drop_slices, old_dates
from recsys_spark.schemas import INTERACTIONS, ITEM_FEATURES, METRICS, RECOMMENDATIONS, RECOMMENDATIONS_CURRENT, TABLES

DAYS = [date(2024, 1, day) for day in range(1, 8)]
LIVE, TRAINED = DAYS[1], DAYS[2]
FIGURES = {
    "exploration",
    "feature_specs",
    "recommendations",
    "rerank_effects",
    "metrics",
    "monitoring",
    "recommend_counts",
}


def test_every_sliced_table_is_dropped_from_or_known_to_be_small():
    sliced = {table.name for table in TABLES.values() if c.AS_OF_DATE in table.partitioned_by}
    assert sliced == FIGURES | set(DERIVED) and not FIGURES & set(DERIVED)


@pytest.mark.parametrize(
    ("there", "most", "spared", "dropped"),
    [
        (DAYS, 0, (), []),
        (DAYS[:3], 3, (), []),
        (DAYS, 2, (), DAYS[:5]),
        (DAYS, 2, (LIVE, DAYS[6], date(2023, 1, 1)), [DAYS[0], *DAYS[2:5]]),
    ],
)
def test_the_newest_dates_and_those_that_are_needed_stay(there, most, spared, dropped):
    assert old_dates(there, most, spared) == dropped


@pytest.mark.slow
def test_old_slices_go_but_for_what_the_live_lists_the_models_and_a_rollback_need(spark, make_run):
    tables = make_run("maintain").tables

    def fill(table, rows):
        tables.append(table, spark.createDataFrame(rows, table.schema))

    def dates(name):
        found = {
            (row[0], row[1]) for row in make_run("maintain").tables.read(name).groupBy("as_of_date").count().collect()
        }
        return sorted(day for day, _ in found), {count for _, count in found}

    fill(INTERACTIONS, [{"as_of_date": day, "user_idx": user, "item_idx": 0} for day in DAYS for user in range(3)])
    fits = ("evaluate", "production")
    fill(ITEM_FEATURES, [{"as_of_date": day, "fit": fit, "item_idx": 0} for day in DAYS for fit in fits])
    fill(METRICS, [{"as_of_date": day} for day in DAYS])
    lists = [(day, "default", "u", 1, "i", 1.0, "model", None, ["model"], 1.0, "m", "r") for day in DAYS]
    fill(RECOMMENDATIONS, lists)
    fill(RECOMMENDATIONS_CURRENT, [lists[1]])
    made = datetime(2024, 1, 3, tzinfo=UTC)
    keeping = Kept((), (KnownModel("m", "neumf", "production", "p", None, made, "r", TRAINED),))

    settings = ("maintain.keep_slices=2", "maintain.keep_dates=4")
    dry = make_run("maintain", *settings, "maintain.dry_run=true")
    drop_slices(dry, keeping)
    assert dates("interactions") == (DAYS, {3}) and dates("recommendations") == (DAYS, {1})
    done = make_run("maintain", *settings)
    drop_slices(done, keeping)
    stay = [LIVE, TRAINED, *DAYS[5:]]
    assert dates("interactions") == (stay, {3})
    assert dates("recommendations") == ([LIVE, *DAYS[3:]], {1})
    assert dates("item_features") == (DAYS[1:], {2})  # of the lists that stay, and of the model
    assert dates("metrics") == (DAYS, {1})
    # the first day's in item_features; that, the fourth and the fifth in interactions
    assert dry.counts == done.counts == {"dates_dropped": 2, "slices_dropped": 4}
    assert dry.notes == [
        "recommendations: to be dropped: 2 rows of 2 of 7 dates, 2024-01-01 to 2024-01-03",
        "interactions: to be dropped: 9 rows of 3 of 7 dates, 2024-01-01 to 2024-01-05",
        "item_features: to be dropped: 2 rows of 1 of 7 dates, 2024-01-01 to 2024-01-01",
    ]
    # what runs name by its version still has them
    assert done.tables.read_version("interactions", 1).count() == 21
