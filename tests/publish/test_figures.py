"""What the gates measure, on lists written by hand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from recsys_spark.publish.figures import figures
from recsys_spark.schemas import EVENTS, INTERACTIONS, RECOMMENDATIONS, RECOMMENDATIONS_CURRENT
from tests.frames import events

DAY = date(2024, 1, 3)
OLD, NEW = "neumf-20240102-production-a", "neumf-20240103-production-b"


def lists(spark, schema, day, version, of_users):
    rows = [
        (day, "default", user, place + 1, item, score, reason, None, sources_of(reason), 1.0, version, "test")
        for user, items in of_users.items()
        for place, (item, score, reason) in enumerate(items)
    ]
    width = len(schema.names)
    assert all(len(row) == width for row in rows)
    return spark.createDataFrame(rows, schema)


def sources_of(reason):
    return ["popular"] if reason.startswith("popular") else [reason]


@pytest.fixture
def make_night(spark, make_run):
    """A night whose lists are of two, with five items in the catalogue, over live ones of a model."""

    def make(live_version):
        run = make_run("publish", "recommend.n=2", as_of=DAY.isoformat())
        taken = [(DAY, 0, item, *([None] * (len(INTERACTIONS.schema.names) - 3))) for item in range(5)]
        run.tables.replace(INTERACTIONS, spark.createDataFrame(taken, INTERACTIONS.schema))
        run.tables.replace(EVENTS, events(spark, [("a", "i0", 1), ("b", "i1", 25)]))  # the newest of 2 January
        now = {
            "a": [("i0", 0.9, "model"), ("i1", 0.8, "model")],
            "b": [("i0", 0.7, "model"), ("i2", 0.1, "popular")],
            "c": [("i1", 0.1, "popular_segment")],
        }
        before = {"a": [("i1", 0.9, "model"), ("i3", 0.2, "model")], "b": [("i2", 0.9, "model"), ("i0", 0.2, "model")]}
        run.tables.replace(RECOMMENDATIONS, lists(spark, RECOMMENDATIONS.schema, DAY, NEW, now))
        yesterday = DAY - timedelta(days=1)
        live = lists(spark, RECOMMENDATIONS_CURRENT.schema, yesterday, live_version, before)
        run.tables.replace(RECOMMENDATIONS_CURRENT, live.limit(0) if live_version is None else live)
        return run

    return make


WHERE = {"as_of_date": DAY, "variant": "default"}


def test_figures_over_lists_are_as_counted_by_hand(make_night):
    found = figures(make_night(OLD), WHERE, NEW)
    assert found["full_lists"] == pytest.approx(2 / 3)  # c has one of two
    assert found["fallback"] == pytest.approx(2 / 5)
    assert found["coverage"] == pytest.approx(3 / 5)
    assert found["users_ratio"] == pytest.approx(3 / 2)
    assert found["rows_ratio"] == pytest.approx(5 / 4)
    assert found["overlap"] == pytest.approx((1 / 2 + 2 / 2) / 2)  # of a and b alone
    assert found["event_age_days"] == 1.0
    assert found["over_popularity"] is None and found["lift_ratio"] is None  # nothing was evaluated


def test_scores_drift_between_lists_of_one_kind_of_model_alone(make_night):
    # deciles of the live scores 0.2 0.2 0.9 0.9 are at these two: now 2 are up to 0.2, 3 up to 0.9, none above
    import numpy as np

    p, q = (np.array(counts) + 0.5 for counts in ([2, 3, 0], [2, 2, 0]))
    p, q = p / p.sum(), q / q.sum()
    assert figures(make_night(OLD), WHERE, NEW)["score_drift"] == pytest.approx(float(((p - q) * np.log(p / q)).sum()))
    assert figures(make_night("sasrec-20240102-production-a"), WHERE, NEW)["score_drift"] is None


def test_over_no_live_lists_nothing_is_compared(make_night):
    found = figures(make_night(None), WHERE, NEW)
    assert found["users_ratio"] is found["rows_ratio"] is found["overlap"] is found["score_drift"] is None
    assert found["full_lists"] == pytest.approx(2 / 3)
