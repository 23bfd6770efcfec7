"""The experiment job over tables written by hand, beside plain loops and statsmodels on the same rows."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.api import OLS, add_constant
from statsmodels.stats.multitest import multipletests

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.experiments.assignment import variant
from recsys_spark.experiments.stage import run as experiment_job
from recsys_spark.runs import Run
from recsys_spark.schemas import (
    ASSIGNMENTS,
    EVENTS,
    EXPOSURES,
    RECOMMENDATIONS_CURRENT,
    USER_ATTRIBUTES,
    USERS,
)
from recsys_spark.tables import Tables
from recsys_spark.views import VIEWS, view_query

START, AS_OF = date(2024, 3, 1), date(2024, 3, 31)
MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
OUTCOME_DAYS, HISTORY_DAYS = 5, 10
METRICS = """{
  conversion: {of: users, types: [purchase], role: primary},
  revenue: {of: value, types: [purchase], winsorise: 0.95},
  purchases_a_view: {of: events, types: [purchase], per: [view], cuped: false},
  visits: {of: events, types: [visit]},
  views: {of: events, types: [view], role: guardrail, margin: 0.5}}"""
SETTINGS = [
    "run.shuffle_partitions=2",
    "experiment.name=shop",
    "experiment.layer=page",
    "experiment.variants={control: 0.5, treatment: 0.5}",
    f"experiment.metrics={METRICS}",
    f"experiment.outcome_days={OUTCOME_DAYS}",
    f"experiment.history_days={HISTORY_DAYS}",
    "experiment.segments=[gender]",
    "experiment.test=fixed",
    f"experiment.starts={START}",
    "experiment.design.minimum_effect=0.5",
]

GIVEN = ("experiment.design.users_a_day=20", "experiment.design.baseline=0.5")


def job(spark: Any, root: Any, action: str, *settings: str, as_of: date = AS_OF, **options: Any) -> Run:
    run = Run("experiment", spark, load_config(settings=[*SETTINGS, *settings]), str(root), "test", as_of)
    run.options = {"action": action, "effect": 0.0, **options}
    experiment_job(run)
    return run


def event(user: str, number: int, kind: str, at: datetime, value: float | None = None) -> tuple[Any, ...]:
    return (f"{user}-{number}", user, "i", at, kind, value, number, None, "hand", "test")


def exposure(user: str, group: str, at: datetime, name: str = "shop") -> tuple[Any, ...]:
    return (name, user, group, at)


def impression(user: str, number: int, group: str, at: datetime) -> tuple[Any, ...]:
    """An exposure as an event tells it."""
    *start, _, source, run_id = event(user, number, "impression", at)
    return (*start, {"experiment": "shop", "variant": group}, source, run_id)


def rows(spark: Any, root: Any, table: str) -> list[Any]:
    return Tables(spark, str(root)).read(table).collect()


class Shop:
    """Users, what they saw and did; each kind of special case is among them."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.exposures: list[tuple[Any, ...]] = []
        self.events: list[tuple[Any, ...]] = []
        self.attributes: list[tuple[Any, ...]] = []
        self.exposed: dict[str, tuple[str, datetime]] = {}
        for number in range(240):
            user, group = f"u{number}", ["control", "treatment"][number % 2]
            at = MIDNIGHT + timedelta(hours=int(rng.integers(0, 24 * 20)))
            self.exposed[user] = (group, at)
            again = at + timedelta(hours=int(rng.integers(1, 50)))
            if number % 3:
                self.exposures += [exposure(user, group, again), exposure(user, group, at)]
            else:
                self.events += [impression(user, 1001, group, again), impression(user, 1002, group, at)]
            self.attributes.append((user, "FM"[number % 3 == 0], None, None, at, "test"))
            taste = rng.uniform(0.2, 1.0)
            for n in range(int(rng.poisson(14 * taste)) + 1):
                hours = float(rng.uniform(-24 * (HISTORY_DAYS + 4), 24 * (OUTCOME_DAYS + 4)))
                kind = str(rng.choice(["view", "view", "purchase"]))
                value = float(rng.exponential(20 * taste)) if kind == "purchase" else None
                self.events.append(event(user, n, kind, at + timedelta(hours=hours), value))
            self.events.append(event(user, 99, "visit", at))  # everyone, once, on the moment of the exposure
        late = MIDNIGHT + timedelta(days=28)
        self.exposures += [
            exposure("both", "control", MIDNIGHT),
            exposure("both", "treatment", MIDNIGHT + timedelta(hours=1)),
            exposure("late", "control", late),
            exposure("before", "control", MIDNIGHT - timedelta(days=1)),
            exposure("elsewhere", "control", MIDNIGHT, "another"),
        ]
        self.events += [
            event(user, 1, "purchase", late + timedelta(hours=1), 1e6) for user in ("both", "late", "before")
        ]

    def measured(self, user: str, kinds: set[str], before: bool) -> list[Any]:
        """The user's events of these kinds within the outcome days, or the history."""
        _, at = self.exposed[user]
        first, last = (at - timedelta(days=HISTORY_DAYS), at) if before else (at, at + timedelta(days=OUTCOME_DAYS))
        return [one for one in self.events if one[1] == user and one[4] in kinds and first <= one[3] < last]

    def numbers(self, kinds: set[str], of: str, before: bool = False) -> np.ndarray:
        found = (self.measured(user, kinds, before) for user in self.exposed)
        if of == "users":
            return np.array([float(bool(own)) for own in found])
        return np.array([float(len(own)) if of == "events" else sum(one[5] for one in own) for own in found])

    @property
    def treated(self) -> np.ndarray:
        return np.array([float(group == "treatment") for group, _ in self.exposed.values()])


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


@pytest.fixture(scope="module")
def root(spark, shop, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("experiments") / "root"
    tables = Tables(spark, str(root))
    tables.append(EVENTS, spark.createDataFrame(shop.events, EVENTS.schema))
    tables.append(EXPOSURES, spark.createDataFrame(shop.exposures, EXPOSURES.schema))
    tables.append(USER_ATTRIBUTES, spark.createDataFrame(shop.attributes, USER_ATTRIBUTES.schema))
    return root


@pytest.fixture(scope="module")
def analysed(spark, root) -> Run:
    for name in ("shop", "empty"):
        job(spark, root, "design", *GIVEN, f"experiment.name={name}")
    return job(spark, root, "analyse")


@pytest.fixture(scope="module")
def results(spark, root, analysed) -> dict[tuple[str, str], Any]:
    return {(row["segment"], row["metric"]): row for row in rows(spark, root, "experiment_results")}


def regression(shop: Shop, after: np.ndarray, before: np.ndarray) -> tuple[float, float]:
    fitted = OLS(after, add_constant(np.column_stack([shop.treated, before]))).fit(cov_type="HC1")
    return fitted.params[1], fitted.bse[1]


def half(row: Any) -> float:
    return (row["high"] - row["low"]) / 2


def test_shares_of_users_are_a_loop_over_events_and_a_regression(shop, results):
    after, before = (shop.numbers({"purchase"}, "users", before) for before in (False, True))
    difference, error = regression(shop, after, before)
    row = results["all", "conversion"]
    assert (row["users_control"], row["users"]) == (120, 120)
    assert row["difference"] == pytest.approx(difference)
    assert half(row) == pytest.approx(1.959964 * error, rel=0.02)
    assert row["lift"] == pytest.approx(row["treated"] / row["control"] - 1)


def test_sums_are_cut_at_their_quantile(shop, results):
    cut = []
    for before in (False, True):
        spent = shop.numbers({"purchase"}, "value", before)
        cut.append(np.minimum(spent, np.quantile(spent, 0.95, method="inverted_cdf")))
    difference, error = regression(shop, *cut)
    row = results["all", "revenue"]
    assert row["difference"] == pytest.approx(difference)
    assert half(row) == pytest.approx(1.959964 * error, rel=0.02)
    assert row["variance_cut"] > 0.02


def test_ratios_are_of_sums(shop, results):
    bought, viewed = (shop.numbers({kind}, "events") for kind in ("purchase", "view"))
    treated = shop.treated == 1
    row = results["all", "purchases_a_view"]
    assert row["treated"] == pytest.approx(bought[treated].sum() / viewed[treated].sum())
    assert row["control"] == pytest.approx(bought[~treated].sum() / viewed[~treated].sum())


def test_a_metric_that_does_not_vary_is_said(results, analysed):
    row = results["all", "visits"]
    words = "zero variance: every user of a variant has the same value, 1 and 1"
    assert (row["status"], row["p_value"], row["reason"]) == ("untestable", None, words)
    assert f"metric visits of treatment cannot be tested: {words}" in analysed.notes


def test_p_values_are_corrected_together(results):
    tested = ["conversion", "revenue", "purchases_a_view"]
    p = [results["all", name]["p_value"] for name in tested]
    assert [results["all", name]["p_adjusted"] for name in tested] == pytest.approx(multipletests(p, method="holm")[1])
    assert results["all", "views"]["p_adjusted"] is None


def test_segments_are_marked_as_exploration(shop, results):
    segments = {segment for segment, _ in results}
    assert segments == {"all", "gender=F", "gender=M"}
    assert all(row["exploratory"] == (segment != "all") for (segment, _), row in results.items())
    assert {row["status"] for (segment, _), row in results.items() if segment != "all"} == {"exploratory", "untestable"}
    users = {
        segment: row["users"] + row["users_control"] for (segment, name), row in results.items() if name == "views"
    }
    assert users == {"all": 240, "gender=F": 160, "gender=M": 80}


def test_who_does_not_count_is_counted(spark, root, shop, analysed):
    (row,) = (row for row in rows(spark, root, "experiment_verdicts") if row["as_of_date"] == AS_OF)
    early = sum(
        MIDNIGHT <= one[3] < at for user, (_, at) in shop.exposed.items() for one in shop.events if one[1] == user
    )
    assert (row["users"], row["waiting"], row["in_several_variants"], row["early_outcomes"]) == (240, 1, 1, early)
    assert early > 0
    assert "1 users were shown more than one variant, and are left out" in analysed.notes
    assert row["mismatch_p"] == pytest.approx(1.0, abs=0.1)
    assert row["reason"] in analysed.notes[-2]


@pytest.mark.slow
def test_analysed_again_it_is_the_same_and_another_date_stands_beside_it(spark, root, results):
    earlier = AS_OF - timedelta(days=7)
    job(spark, root, "analyse", as_of=earlier)
    job(spark, root, "analyse")
    by_date = defaultdict(dict)
    for row in rows(spark, root, "experiment_results"):
        by_date[row["as_of_date"]][row["segment"], row["metric"]] = row
    assert set(by_date) >= {earlier, AS_OF}
    first, again = results["all", "revenue"], by_date[AS_OF]["all", "revenue"]
    assert {**first.asDict(), "run_id": ""} == {**again.asDict(), "run_id": ""}
    assert by_date[earlier]["all", "revenue"]["users"] < first["users"]


def test_the_page_says_the_verdict(root, analysed):
    written = (root / "verdicts" / f"shop-{AS_OF}.html").read_text()
    text = re.sub(r"<[^>]+>", " ", written)
    assert "treatment: " in text and "conversion" in text and "Exploratory" in text
    assert str(root / "verdicts") in analysed.notes[-1]
    assert not re.search(r"(?:src|href)=[\"']https?:", written)


def test_a_design_is_measured_where_nothing_is_given(spark, root, shop):
    """Everyone of the last days is taken as exposed at the first event in them."""
    run = job(spark, root, "design", "experiment.name=measured", as_of=AS_OF)
    row = next(row for row in rows(spark, root, "experiments") if row["experiment"] == "measured")
    last = AS_OF - timedelta(days=OUTCOME_DAYS)
    days = [last - timedelta(days=back) for back in range(HISTORY_DAYS)]
    first: dict[str, datetime] = {}
    for one in sorted(shop.events, key=lambda one: one[3]):
        if one[3].date() in days:
            first.setdefault(one[1], one[3])
    bought = [
        any(
            one[1] == user and one[4] == "purchase" and at <= one[3] < at + timedelta(days=OUTCOME_DAYS)
            for one in shop.events
        )
        for user, at in first.items()
    ]
    assert row["baseline"] == pytest.approx(np.mean(bought))
    assert row["deviation"] == pytest.approx(np.std(bought, ddof=1))
    assert (row["starts"], run.counts["users"]) == (START, row["users"])


@pytest.mark.parametrize(
    ("exposures", "message"),
    [
        ([], r"no exposures from 2024-03-01 to 2024-03-31 in table `exposures`"),
        (
            [("a", "control", 0), ("b", "control", 1)],
            "are of one variant, control: there is nothing to hold it against",
        ),
        (
            [("a", "control", 0), ("b", "green", 1)],
            "variants that experiment empty does not: green, expected control, treatment",
        ),
        ([("a", "control", 28), ("b", "treatment", 29)], "no user .* has had 5 days since the exposure by 2024-03-31"),
    ],
)
def test_exposures_that_allow_no_analysis_are_said(spark, root, analysed, exposures, message):
    shown = [exposure(user, group, MIDNIGHT + timedelta(days=day), "empty") for user, group, day in exposures]
    frame = spark.createDataFrame(shown, EXPOSURES.schema)
    Tables(spark, str(root)).replace(EXPOSURES, frame, {"experiment": "empty"})
    with pytest.raises(UserError, match=message):
        job(spark, root, "analyse", "experiment.name=empty")


def test_what_has_changed_since_the_design_is_said(spark, root, analysed):
    before = AS_OF - timedelta(days=3)
    changed = ["experiment.alpha=0.1", "experiment.ramp=0.5", "experiment.segments=[wealth]"]
    again = job(spark, root, "analyse", *changed, as_of=before)
    assert again.notes[0] == "changed since the design, which proves less: experiment.segments, experiment.alpha"
    assert "no user that counts has the attribute wealth of experiment.segments" in again.notes
    swapped = METRICS.replace("role: primary", "role: secondary").replace("[visit]", "[visit], role: primary")
    with pytest.raises(UserError, match="was designed on metric conversion, and its primary metric is now visits"):
        job(spark, root, "analyse", f"experiment.metrics={swapped}", as_of=before)


@pytest.fixture
def people(spark, tmp_path) -> Path:
    root = tmp_path / "people"
    ids = [*(f"u{number}" for number in range(300)), "forgotten:abc"]
    listed = [(user, number, "test") for number, user in enumerate(ids)]
    Tables(spark, str(root)).append(USERS, spark.createDataFrame(listed, USERS.schema))
    return root


def assigned(spark, root, name="shop") -> dict[str, str]:
    found = [row for row in rows(spark, root, "assignments") if row["experiment"] == name]
    return {row["user_id"]: row["variant"] for row in found}


def test_people_are_let_in_and_stay(spark, people):
    with pytest.raises(UserError, match=r"has no design under .*: run jobs/experiment\.py design first"):
        job(spark, people, "assign", *GIVEN)
    job(spark, people, "design", *GIVEN)
    job(spark, people, "assign", *GIVEN, "experiment.ramp=0.2", as_of=START)
    few = assigned(spark, people)
    run = job(spark, people, "assign", *GIVEN, "experiment.ramp=0.7")
    many = assigned(spark, people)
    chosen = load_config(settings=[*SETTINGS, "experiment.ramp=0.7"]).experiment
    expected = {f"u{number}": variant(chosen, f"u{number}") for number in range(300)}
    assert many == {user: group for user, group in expected.items() if group}
    assert 30 < len(few) < len(many) and few.items() <= many.items()
    assert run.counts["let_in"] == len(many) - len(few)
    dates = {row["user_id"]: row["assigned_on"] for row in rows(spark, people, "assignments")}
    assert {dates[user] for user in few} == {START} and {dates[user] for user in many.keys() - few.keys()} == {AS_OF}
    assert job(spark, people, "assign", *GIVEN, "experiment.ramp=0.7").counts["let_in"] == 0
    for change in (
        "experiment.ramp=0.5",
        "experiment.variants={control: 0.4, treatment: 0.6}",
        "experiment.holdout=0.3",
    ):
        with pytest.raises(UserError, match="would leave it or change their variant"):
            job(spark, people, "assign", *GIVEN, "experiment.ramp=0.7", change)
    with pytest.raises(
        UserError, match=r"was designed for slots 0 to 1 of layer page, and is configured for 0 to 0\.5"
    ):
        job(spark, people, "assign", *GIVEN, "experiment.slots=[0.0, 0.5]")
    assert assigned(spark, people) == many


@pytest.mark.slow
def test_experiments_of_a_layer_are_held_apart_until_one_ends(spark, people):
    job(spark, people, "design", *GIVEN)
    job(spark, people, "assign", *GIVEN)
    other = [*GIVEN, "experiment.name=other", "experiment.slots=[0.5, 1.0]"]
    with pytest.raises(UserError, match=r"slots 0\.5 to 1 of layer page are taken: 0 to 1 by shop"):
        job(spark, people, "design", *other)
    job(spark, people, "design", *other, "experiment.layer=mail")
    job(spark, people, "assign", *GIVEN, "experiment.ramp=0.0")
    assert assigned(spark, people) == {}
    job(spark, people, "design", *other)
    job(spark, people, "assign", *other)
    assert 100 < len(assigned(spark, people, "other")) < 200


def test_each_user_gets_the_list_of_the_assigned_variant(spark, people):
    lists = [
        *GIVEN,
        "experiment.name=lists",
        "experiment.layer=lists",
        "experiment.variants={default: 0.5, challenger: 0.5}",
    ]
    lists.append("experiment.slots=[0.0, 0.6]")
    job(spark, people, "design", *lists)
    tables = Tables(spark, str(people))
    live = [
        (AS_OF, group, f"u{user}", rank, f"{group}-{rank}", 1.0, "model", None, ["model"], 1.0, "m", "test")
        for group in ("default", "challenger")
        for user in range(300)
        for rank in (1, 2)
    ]
    of_default = spark.createDataFrame(live[:600], RECOMMENDATIONS_CURRENT.schema)
    tables.replace(RECOMMENDATIONS_CURRENT, of_default)
    with pytest.raises(UserError, match="no lists of challenger are live in `recommendations_current`"):
        job(spark, people, "assign", *lists)
    tables.append(RECOMMENDATIONS_CURRENT, spark.createDataFrame(live[600:], RECOMMENDATIONS_CURRENT.schema))
    job(spark, people, "assign", *lists)
    query = view_query(VIEWS["assigned_recommendations"], Tables(spark, str(people)).sql_name)
    shown = spark.sql(query).collect()
    groups = assigned(spark, people, "lists")
    assert set(groups.values()) == {"default", "challenger"} and len(groups) < 300
    expected = {
        (user, rank, f"{groups.get(user, 'default')}-{rank}", "lists" if user in groups else None)
        for user in (f"u{number}" for number in range(300))
        for rank in (1, 2)
    }
    assert {(row["user_id"], row["rank"], row["item_id"], row["experiment"]) for row in shown} == expected
    assert len(shown) == 600


def test_simulated_outcomes_are_for_made_events_alone(spark, root, analysed):
    with pytest.raises(UserError, match=r"holds events that were not made by jobs/generate\.py"):
        job(spark, root, "simulate")


@pytest.mark.slow
def test_a_planted_effect_is_found(spark, people, tmp_path):
    """Made events: everyone views on each day of the experiment; half of the treated views bring a purchase."""
    tables = Tables(spark, str(tmp_path))
    tables.append(USERS, Tables(spark, str(people)).read("users"))
    made = [
        (*event(f"u{user}", day, "view", MIDNIGHT + timedelta(days=day))[:8], "generated", "test")
        for user in range(300)
        for day in range(8)
    ]
    bought = [(*event(f"u{user}", 90, "purchase", MIDNIGHT, 4.0)[:8], "generated", "test") for user in range(30)]
    tables.append(EVENTS, spark.createDataFrame(made + bought, EVENTS.schema))
    plain = "experiment.metrics={spend: {of: value, types: [purchase], role: primary}}"
    settings = [
        plain,
        "experiment.test=sequential",
        "experiment.design.baseline=1.0",
        "experiment.design.deviation=2.0",
    ]
    settings.append("experiment.design.users_a_day=50")
    job(spark, tmp_path, "design", *settings)
    job(spark, tmp_path, "assign", *settings)
    run = job(spark, tmp_path, "simulate", *settings, effect=0.5)
    groups = assigned(spark, tmp_path)
    assert run.counts["exposures"] == len(groups) == 300
    assert {row["user_id"]: row["variant"] for row in rows(spark, tmp_path, "exposures")} == groups
    added = [row for row in rows(spark, tmp_path, "events") if row["source"] == "simulated shop"]
    assert {groups[row["user_id"]] for row in added} == {"treatment"}
    assert {row["event_value"] for row in added} == {4.0}
    views = 8 * list(groups.values()).count("treatment")
    assert abs(len(added) / views - 0.5) < 4 * (0.25 / views) ** 0.5
    assert job(spark, tmp_path, "simulate", *settings, effect=0.5).counts["added_purchases"] == len(added)
    job(spark, tmp_path, "analyse", *settings)
    (row,) = rows(spark, tmp_path, "experiment_verdicts")
    assert row["verdict"] == "ship"


def test_assignments_are_forgotten_with_their_user():
    from recsys_spark.forget.coverage import holds_people

    assert holds_people(ASSIGNMENTS) and holds_people(EXPOSURES)


def test_without_an_experiment_there_is_nothing_to_do(spark, tmp_path):
    run = Run("experiment", spark, load_config(), str(tmp_path), "test", AS_OF, options={"action": "design"})
    with pytest.raises(UserError, match=r"no experiment is configured: .*conf/experiments/checkout\.yaml"):
        experiment_job(run)
