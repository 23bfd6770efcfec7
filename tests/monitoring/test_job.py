"""The job over lists and events written by hand: every figure, what is absent, what was live, and a breach."""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from recsys_spark.cli import main
from recsys_spark.errors import BreachError
from recsys_spark.monitoring.live import lists_of, live_on, shown_to_them
from recsys_spark.schemas import (
    ASSIGNMENTS,
    EVENTS,
    GATE_RESULTS,
    ITEM_ATTRIBUTES,
    MODELS,
    MONITORING,
    RECOMMENDATIONS,
    RUNS,
)
from recsys_spark.stages import stage_named
from tests import frames

DAY = date(2024, 1, 10)
MODEL = "neumf-20240108-production-a"
# hours since 1 January; the reference is 3 to 9 January
BEFORE = [("a", "i1", 150), ("a", "i2", 151), ("b", "i1", 152), ("c", "i3", 160), ("d", "i1", 180), ("d", "i5", 190)]
TODAY = [
    ("a", "i1", 9 * 24),
    ("a", "i3", 9 * 24 + 1),
    ("a", "i3", 9 * 24 + 2),
    ("b", "i9", 9 * 24 + 3),
    ("e", "i1", 9 * 24 + 4),
]
LISTS = {
    date(2024, 1, 8): {"a": ["i2", "i3", "i1"], "b": ["i3", "i1", "i2"]},
    date(2024, 1, 9): {"a": ["i3", "i2", "i1"], "b": ["i1", "i2", "i7"], "c": ["i1", "i2", "i3"]},
}


def row(table, **known):
    return tuple(known.get(name) for name in table.schema.names)


def write(run, table, rows):
    run.tables.append(table, run.spark.createDataFrame(rows, table.schema))


def publish(run, as_of, version, variant="default", status="done"):
    """What publish leaves of a night: its row in `runs` and its gates."""
    name = f"{variant}-{version}"
    wrote = {"recommendations_current": version} if status == "done" else {}
    write(run, RUNS, [row(RUNS, run_id=name, stage="publish", as_of_date=as_of, status=status, versions_written=wrote)])
    write(run, GATE_RESULTS, [row(GATE_RESULTS, run_id=name, as_of_date=as_of, variant=variant, gate="whole")])


@pytest.fixture
def night(spark, make_run):
    """A run of monitor on 10 January, over two nights of lists by the model of the 8th."""

    def make(*settings, as_of=DAY, drop=False):
        run = make_run("monitor", "monitor.reference_days=7", *settings, as_of=as_of.isoformat())
        if not drop and not run.tables.exists(EVENTS.name):
            write_night(run)
        return run

    def write_night(run):
        run.tables.append(EVENTS, frames.events(spark, [*BEFORE, *TODAY]))
        write(run, ITEM_ATTRIBUTES, [row(ITEM_ATTRIBUTES, item_id=f"i{n}", category="ab"[n % 2]) for n in range(1, 6)])
        write(run, MODELS, [row(MODELS, model_version=MODEL, as_of_date=date(2024, 1, 8))])
        for version, (as_of, lists) in enumerate(LISTS.items()):
            rows = [
                row(
                    RECOMMENDATIONS, as_of_date=as_of, variant="default", user_id=user, rank=place, item_id=item,
                    score=1.0 / place + 0.1 * version, reason_code=source(item), sources=[source(item)], model_version=MODEL,
                )
                for user, items in lists.items()
                for place, item in enumerate(items, 1)
            ]  # fmt: skip
            write(run, RECOMMENDATIONS, rows)
            publish(run, as_of, version)

    return make


def source(item):
    return "popular" if item == "i7" else "model"


def found(run):
    return {(one["metric"], one["part"]): one for one in run.tables.read(MONITORING.name).collect()}


def test_every_figure_is_as_counted_by_hand(night):
    run = night("monitor.ks=[1, 2]", "monitor.features=[category, hour, event_type, item_popularity]")
    stage_named("monitor")(run)
    rows = found(run)
    values = {key: one["value"] for key, one in rows.items()}
    # of the three who acted a and b had a list; a took i1, third on it, and i3, first; b took i9, which is on none
    assert (values["hit_rate", "1"], values["hit_rate", "2"]) == (0.5, 0.5)
    assert values["ndcg", "1"] == 0.5
    assert values["ndcg", "2"] == pytest.approx(0.5 / (1 + 1 / math.log2(3)))
    assert values["users_with_list", ""] == pytest.approx(2 / 3) and rows["users_with_list", ""]["n"] == 3
    assert values["on_list_share", ""] == 3 / 4  # a's three events, not b's one
    assert (values["list_age_days", ""], values["model_age_days", ""]) == (1.0, 2.0)
    # before the day people had i1, i2, i3, i5: three of them are listed; of four listed items i7 was had by nobody
    assert values["coverage", ""] == 3 / 4 and values["stale_items", ""] == 1 / 4
    # places: i1 3, i2 3, i3 2, i5 0. Gini of 0, 2, 3, 3 by the mean absolute difference
    places = np.array([0, 2, 3, 3])
    assert values["lists_gini", ""] == pytest.approx(np.abs(places[:, None] - places).mean() / (2 * places.mean()))
    had = np.array([3, 1, 1, 1])
    assert values["events_gini", ""] == pytest.approx(np.abs(had[:, None] - had).mean() / (2 * had.mean()))
    assert values["lists_head_share", ""] == 3 / 9 and values["events_head_share", ""] == 2 / 5  # the head is i1
    assert (values["events", ""], values["users", ""]) == (5.0, 3.0)
    assert values["latency_hours", ""] == 20.0
    assert rows["hit_rate", "1"]["method"] == "none" and not any(one["breached"] for one in rows.values())

    check_drift(values)


def check_drift(values):
    # six hours with an event each in the reference, and five of the day that are none of these: one group
    hours = [1] * 6 + [0], [0] * 6 + [5]
    assert values["feature_js", "hour"] == pytest.approx(jensenshannon(*hours, base=2) ** 2)
    assert values["feature_psi", "hour"] == pytest.approx(psi(*hours))
    assert values["feature_psi", "event_type"] == pytest.approx(0.0)
    assert values["feature_psi", "category"] == pytest.approx(psi([1, 5], [0, 4]))  # i9 has none
    # of six events in the reference three are on items had once, three on i1: the day's on i3 and i9, then on i1
    assert values["feature_psi", "item_popularity"] == pytest.approx(psi([3, 3], [3, 2]))
    scores = [[1.0, 0.5, 1 / 3] * 2, [1.1, 0.6, 1 / 3 + 0.1] * 2 + [1.1, 0.6]]
    edges = np.unique(np.quantile(np.float32(scores[0]), np.arange(1, 10) / 10, method="inverted_cdf"))
    binned = [np.bincount(np.searchsorted(edges, np.float32(each)), minlength=len(edges) + 1) for each in scores]
    assert values["score_psi", "its_model"] == pytest.approx(psi(*binned))


def psi(reference, now):
    total = 0.0
    for one, other in zip(now, reference, strict=True):
        p = (one + 0.5) / (sum(now) + 0.5 * len(now))
        q = (other + 0.5) / (sum(reference) + 0.5 * len(reference))
        total += (p - q) * math.log(p / q)
    return total


def test_what_was_live_is_what_was_published_last(night):
    run = night()
    assert live_on(run, date(2024, 1, 8)) is None  # lists of a date are live from the next day on
    assert live_on(run, date(2024, 1, 9)).as_of == date(2024, 1, 8)
    live = live_on(run, DAY)
    assert (live.as_of, live.model_version, live.model_date, live.earlier) == (
        date(2024, 1, 9), MODEL, date(2024, 1, 8), date(2024, 1, 8),
    )  # fmt: skip
    later = night()
    publish(later, date(2024, 1, 8), 2)  # put back
    publish(later, date(2024, 1, 9), 3, variant="other")
    publish(later, date(2024, 1, 9), 3, status="gated")
    publish(later, date(2024, 1, 10), 4)  # live the day after
    assert live_on(night(), DAY).as_of == date(2024, 1, 8)


def test_users_of_another_variant_are_not_shown_the_lists(night):
    run = night()
    assigned = [("a", "new", date(2024, 1, 2)), ("b", "new", DAY), ("c", "default", date(2024, 1, 2))]
    write(
        run,
        ASSIGNMENTS,
        [
            row(ASSIGNMENTS, experiment="x", layer="lists", user_id=user, variant=variant, assigned_on=since)
            for user, variant, since in assigned
        ],
    )
    shown = lists_of(run, date(2024, 1, 9)).transform(shown_to_them(run))
    assert {one["user_id"] for one in shown.collect()} == {"b", "c"}  # b is let in on the day, so sees it the day after


def test_what_is_absent_is_said(night, spark, make_run):
    run = make_run("monitor", as_of="2024-01-02")
    run.tables.append(EVENTS, frames.events(spark, [("a", "i1", 3), ("a", "i1", 30)], value=None))
    stage_named("monitor")(run)
    assert {("events", ""), ("latency_hours", ""), ("feature_psi", "hour")} <= set(found(run))
    assert ("hit_rate", "10") not in found(run)
    page = (Path(run.root) / "reports" / "monitoring" / "2024-01-02" / "default.html").read_text()
    assert "No lists were live on 2024-01-02" in page and "event_value" in page and "have no bounds" in page
    empty = make_run("monitor", as_of="2024-03-01")  # nobody acted, and nothing in the windows
    stage_named("monitor")(empty)
    silent = empty.tables.read(MONITORING.name, {"as_of_date": date(2024, 3, 1)}).collect()
    assert {one["metric"]: one["value"] for one in silent} == {
        "events": 0.0,
        "users": 0.0,
        "latency_hours": 60 * 24 - 6.0,
    }


@pytest.mark.slow
def test_a_breach_is_written_then_raised_and_a_past_day_knows_no_later_one(night, capsys):
    run = night("monitor.features=[hour]")
    days = [DAY - timedelta(days=back) for back in range(20, 0, -1)]
    known = {"variant": "default", "metric": "events", "part": "", "n": 200, "breached": False}
    rows = [row(MONITORING, **known, as_of_date=day, value=200.0 + n % 3) for n, day in enumerate(days)]
    write(run, MONITORING, rows)
    with pytest.raises(BreachError, match=r"1 figures of 2024-01-10.*events is 5, below 1\d\d.*since 2024-01-10"):
        stage_named("monitor")(run)
    slice_of = run.tables.read(MONITORING.name, {"as_of_date": DAY}).collect()
    (events,) = [one for one in slice_of if one["metric"] == "events"]
    assert events["breached"] and events["since"] == DAY and events["method"] == "t" and events["days"] == 20
    page = Path(run.root) / "reports" / "monitoring" / str(DAY) / "default.html"
    assert "events is out of its bounds since 2024-01-10" in page.read_text()
    # again, by the command, after later days: the same rows
    write(run, MONITORING, [row(MONITORING, **{**known, "as_of_date": DAY + timedelta(days=1), "value": 9e9})])
    features = "monitor.features=[hour]"
    assert main("monitor", description="", argv=["--root", run.root, "--as-of", str(DAY), "--set", features]) == 3
    assert "breach: 1 figures of 2024-01-10" in capsys.readouterr().err
    anew = night().tables.read(MONITORING.name, {"as_of_date": DAY}).drop("run_id").collect()
    assert {tuple(one) for one in anew} == {tuple(one)[:-1] for one in slice_of}
