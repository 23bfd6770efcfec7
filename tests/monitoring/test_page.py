"""The page of a day, without Spark: breaches first, every figure with its line, what is absent and why."""

from __future__ import annotations

from datetime import date, timedelta

from recsys_spark.config import load_config
from recsys_spark.monitoring.bounds import Bounds
from recsys_spark.monitoring.judging import Judged, Past
from recsys_spark.monitoring.live import Live
from recsys_spark.monitoring.measures import MEASURES, Figure
from recsys_spark.monitoring.page import Report, name_of, page

DAY = date(2024, 3, 4)
BOUNDED = Bounds(0.25, None, "weekday t", 27)


def html_of(*judged: Judged, **more) -> str:
    history = {("hit_rate", "10"): [Past(DAY - timedelta(days=back), 0.4 + back / 100) for back in (5, 4, 2, 1)]}
    live = Live(DAY - timedelta(days=1), "neumf-20240301-production-a", DAY - timedelta(days=3), None)
    return page(Report(load_config(), DAY, live, judged, history, more)).html()


def test_a_breach_stands_on_top_in_words():
    since = DAY - timedelta(days=1)
    old = Judged(DAY, Figure("hit_rate", "10", 0.125, 80), BOUNDED, since)
    new = Judged(DAY, Figure("events", "", 10.0, 10), Bounds(900.0, 1100.5, "t", 14), DAY)
    page_of_both = html_of(old, new)
    assert "hit rate at 10 is out of its bounds since 2024-03-03" in page_of_both
    assert "12.5%, expected at least 25.0% after 27 days. It is one alarm with the days before." in page_of_both
    assert "10, expected between 900 and 1,100 after 14 days. It began on this day." in page_of_both
    assert "<dt>out of bounds</dt><dd>2</dd>" in page_of_both and "<dt>since today</dt><dd>1</dd>" in page_of_both
    assert page_of_both.count("<svg") == 2


def test_without_bounds_and_figures_it_says_so():
    unbounded = Judged(DAY, Figure("feature_psi", "event_value", 0.1, 80), Bounds(None, None, "none", 3), None)
    text = html_of(unbounded, **{"The lists": ["No lists were live."]})
    assert "No figure is out of its bounds." in text and "1 of 1 figures have no bounds" in text
    assert "No lists were live." in text and text.count("Nothing was measured.") == 2
    assert name_of(unbounded.figure) == "feature psi of event value"


def test_every_measure_is_explained_in_the_documents():
    from pathlib import Path

    told = (Path(__file__).parent.parent.parent / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert [name for name in MEASURES if f"`{name}`" not in told] == []
