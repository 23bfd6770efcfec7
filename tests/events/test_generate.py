"""Made events: the same on any number of partitions, and with the structure that their settings promise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import pandas as pd
import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.events import generate
from recsys_spark.events.made_events import BLOCK_EVENTS, Block, block_count, make_block
from recsys_spark.events.made_population import Key, World, zipf
from recsys_spark.events.made_time import day_shares, moments
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS
from recsys_spark.settings import Generate

SMALL = ["generate.events=40000", "generate.users=400", "generate.items=200", "generate.days=28"]


def world(*settings: str, seed: int = 42) -> World:
    return World(load_config(settings=[*SMALL, *(f"generate.{setting}" for setting in settings)]).generate, seed)


def blocks(of: World) -> Iterator[Block]:
    return (make_block(of, block) for block in range(block_count(of.made)))


def frame_of(of: World) -> pd.DataFrame:
    return pd.concat([pd.DataFrame(vars(block)) for block in blocks(of)], ignore_index=True)


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One small world, written once on five partitions."""
    config = load_config(settings=[*SMALL, "generate.partitions=5"])
    run = Run("generate", spark, config, str(tmp_path_factory.mktemp("made") / "root"), "test")
    generate.run(run)
    return run


# the tables


def test_counts_are_exactly_those_configured(made: Run) -> None:
    assert made.tables.read("events").count() == 40_000
    assert made.tables.read("user_attributes").count() == 400
    assert made.tables.read("item_attributes").count() == 200
    assert made.counts == {"events": 40_000, "user_attributes": 400, "item_attributes": 200}


def test_event_ids_are_unique_and_no_required_column_is_null(made: Run) -> None:
    events = made.tables.read("events")
    assert events.select("event_id").distinct().count() == 40_000
    required = [
        "event_id",
        "user_id",
        "item_id",
        "event_time",
        "event_type",
        "event_order",
        "context",
        "source",
    ]
    assert events.dropna(subset=required).count() == 40_000


def test_one_partition_makes_the_rows_of_five(made: Run, make_run: Callable[..., Run]) -> None:
    alone = make_run("generate", *SMALL, "generate.partitions=1")
    makers = {
        "events": generate.made_events,
        "user_attributes": generate.made_users,
        "item_attributes": generate.made_items,
    }
    for table, maker in makers.items():
        in_one = maker(alone, World(alone.config.generate, alone.seed))
        assert in_one.rdd.getNumPartitions() == 1
        written = sortable(made.tables.read(table))
        ignore = {"ignore_row_order": True, "ignore_nullable": True, "ignore_metadata": True}
        assert_df_equality(sortable(in_one), written, **ignore)


def sortable(rows: DataFrame) -> DataFrame:
    """Without the run, and with maps as text: chispa sorts by all columns, which maps do not allow."""
    maps = {name: F.to_json(name) for name, kind in rows.dtypes if kind.startswith("map")}
    return rows.drop("run_id").withColumns(maps)


def test_another_seed_makes_other_events() -> None:
    assert not frame_of(world()).user.equals(frame_of(world(seed=43)).user)


@pytest.mark.slow
def test_running_it_again_replaces_its_own_events_and_no_others(make_run: Callable[..., Run]) -> None:
    def rows(events: DataFrame) -> pd.DataFrame:
        return events.drop("run_id").toPandas().sort_values("event_id", ignore_index=True)

    few = ["generate.users=50", "generate.items=20"]
    larger = make_run("generate", *few, "generate.events=3000")
    generate.run(larger)
    theirs = {"event_id": F.lit("till-1"), "source": F.lit("till.csv")}
    events = larger.tables.read("events")
    larger.tables.append(EVENTS, events.limit(1).withColumns(theirs).localCheckpoint())

    smaller = make_run("generate", *few, "generate.events=2000")
    generate.run(smaller)
    after = rows(smaller.tables.read("events"))
    alone = rows(generate.made_events(smaller, World(smaller.config.generate, smaller.seed)))
    pd.testing.assert_frame_equal(after[after.source == "generated"], alone)
    assert after[after.source != "generated"].event_id.tolist() == ["till-1"]
    assert smaller.tables.read("user_attributes").count() == 50


def test_purchases_have_a_price_times_a_quantity_and_views_have_no_value(made: Run) -> None:
    events = made.tables.read("events").join(made.tables.read("item_attributes"), "item_id", "left")
    views = events.where("event_type = 'view'")
    assert views.where("event_value is not null").isEmpty()
    purchases = events.where("event_type = 'purchase'")
    share = purchases.count() / 40_000
    assert share == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 40_000))
    assert purchases.where("price is null or abs(event_value / price - round(event_value / price)) > 0.01").isEmpty()
    assert purchases.where("event_value < price - 0.01 or event_value > 3 * price + 0.01").isEmpty()


def test_no_event_comes_before_its_item_is_launched_or_its_user_joined(made: Run) -> None:
    tables, events = made.tables, made.tables.read("events")
    for attributes, key in (("item_attributes", "item_id"), ("user_attributes", "user_id")):
        since = tables.read(attributes).select(key, "valid_from")
        known = events.join(since, key, "left")
        assert known.where("valid_from is null or event_time < valid_from").isEmpty()
        late = since.where("valid_from >= timestamp'2024-12-05'").count()
        assert late > 0, "the test would show nothing if all were there from the first day"


def test_events_fall_on_the_configured_days(made: Run) -> None:
    days = made.tables.read("events").agg(F.min(F.to_date("event_time")), F.max(F.to_date("event_time"))).head()
    assert tuple(days or ()) == (date(2024, 12, 4), date(2024, 12, 31))


def test_a_break_past_the_last_day_is_the_users_mistake(make_run: Callable[..., Run]) -> None:
    with pytest.raises(UserError, match=r"drift_day is 28, expected less than generate\.days: 28"):
        generate.run(make_run("generate", *SMALL, "generate.drift_day=28"))


# the long tails


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.0, 1.3])
def test_ranks_follow_the_zipf_mandelbrot_law(exponent: float) -> None:
    ranks = zipf((np.arange(200_000) + 0.5) / 200_000, 500, exponent)
    weights = [(10.5 + rank) ** -exponent for rank in range(500)]
    expected = np.array(weights) / sum(weights)
    assert np.bincount(ranks, minlength=500) / 200_000 == pytest.approx(expected, rel=0.05, abs=1e-5)


def test_the_most_popular_tenth_takes_at_least_what_the_exponent_says() -> None:
    # without launches, any choice among a few independent draws leaves each rank's expected share as drawn
    counts = np.sort(np.bincount(frame_of(world("new_item_share=0", "repeat_share=0")).item, minlength=200))[::-1]
    weights = [1 / (10.5 + rank) for rank in range(200)]
    expected = sum(weights[:20]) / sum(weights)
    assert counts[:20].sum() / counts.sum() > expected - 0.02
    assert expected > 0.3


def test_the_most_active_tenth_of_users_takes_at_least_what_the_exponent_says() -> None:
    counts = np.sort(np.bincount(frame_of(world("new_user_share=0")).user, minlength=400))[::-1]
    weights = [(10.5 + rank) ** -0.7 for rank in range(400)]
    assert counts[:40].sum() / counts.sum() > sum(weights[:40]) / sum(weights) - 0.02


# time


def test_weekends_show_in_the_events(made: Run) -> None:
    rows = made.tables.read("events").groupBy(F.weekday("event_time")).count().collect()
    by_weekday = dict(map(tuple, rows))  # 28 days: four of each
    assert max(by_weekday, key=by_weekday.__getitem__) == 5
    assert min(by_weekday, key=by_weekday.__getitem__) == 6
    assert by_weekday[5] > 1.3 * by_weekday[0]


def test_evenings_are_busier_than_nights(made: Run) -> None:
    hours = made.tables.read("events").groupBy(F.hour("event_time")).count().collect()
    by_hour = dict(map(tuple, hours))
    assert set(by_hour) == set(range(24))
    assert by_hour[19] > 5 * by_hour[3]


def test_growth_is_that_of_a_year_later() -> None:
    years: Generate = world("days=1461", "growth=0.5", "end=2024-12-31").made
    shares = day_shares(years)
    assert shares[365:730].sum() / shares[:365].sum() == pytest.approx(1.5, rel=0.01)


def test_quantiles_run_with_time() -> None:
    days, seconds = moments(world().made, np.linspace(0, 1, 10_001)[:-1])
    assert (np.diff(days * 86_400 + seconds) >= 0).all()
    assert (days[0], days[-1]) == (0, 27)
    assert seconds.min() >= 0
    assert seconds.max() < 86_400


def test_a_session_keeps_its_user_store_device_and_day_and_takes_minutes() -> None:
    events = frame_of(world())
    keys = ["user", "day", "store", "device"]
    opens = (events[keys] != events[keys].shift()).any(axis=1) | (events.order % BLOCK_EVENTS == 0)
    lengths = events.groupby(opens.cumsum()).size()
    # two sessions in a row of one user and place look like one
    assert lengths.mean() == pytest.approx(4.0, rel=0.1)
    pauses = events.second.diff()[~opens]
    assert 60 < pauses[pauses > 0].median() < 180
    assert ((events.second >= 0) & (events.second < 86_400)).all()


# choices


def test_users_choose_items_that_match_their_taste() -> None:
    of = world("drift=0", "new_item_share=0")
    events = frame_of(of)
    tastes, traits = of.users.tastes(np.arange(400)), of.items.tastes(np.arange(200))
    match = (tastes @ traits.T) / math.sqrt(of.made.factors)
    chosen = match[events.user, events.item].mean()
    # the same users and the same items, paired at random
    chance = match[events.user, np.roll(events.item, 12_345)]
    assert abs(chance.mean()) < 0.2
    assert chosen > 0.7


def test_tastes_show_in_the_categories(made: Run) -> None:
    """From the tables alone: what a user takes most in even events is likelier than chance in odd ones."""
    tables = made.tables
    rows = tables.read("events").join(tables.read("item_attributes").select("item_id", "category"), "item_id")
    events = rows.select("user_id", "category", (F.col("event_order") % 2).alias("odd")).toPandas()
    even, odd = events[events.odd == 0], events[events.odd == 1]
    favourite = even.groupby("user_id").category.agg(lambda category: category.mode()[0])
    hits = (odd.category == odd.user_id.map(favourite)).mean()
    chance = favourite.value_counts(normalize=True).mul(odd.category.value_counts(normalize=True), fill_value=0).sum()
    assert hits > 1.5 * chance


def test_without_taste_users_choose_by_popularity_alone() -> None:
    of = world("drift=0", "taste=0")
    events = frame_of(of)
    match = of.users.tastes(np.arange(400)) @ of.items.tastes(np.arange(200)).T / math.sqrt(of.made.factors)
    assert abs(match[events.user, events.item].mean()) < 0.1


def test_staples_are_taken_again_and_again() -> None:
    def again(share: float) -> float:
        settings = [f"repeat_share={share}", "purchase_share=0", "items=100000", "item_exponent=0"]
        return float(frame_of(world(*settings)).duplicated(["user", "item"]).mean())

    assert again(0.0) < 0.02
    # half of 40,000 choices are staples; 400 users x 8 slots x at most 2 eras are taken a first time
    assert again(0.5) > (20_000 - 400 * 8 * 2) / 40_000 - 0.02


def test_positions_stand_in_the_context_where_there_is_a_bias_and_early_ones_win() -> None:
    plain, biased = frame_of(world()), frame_of(world("position_bias=1.0"))
    shown = biased[biased.position > 0]
    assert set(shown.position) == set(range(1, 9))
    assert not shown.purchase.any()
    assert (shown.position == 1).mean() > 2 * (plain[plain.position > 0].position == 1).mean()


def test_the_context_has_the_position_of_biased_views_only(made: Run, make_run: Callable[..., Run]) -> None:
    assert made.tables.read("events").where("context['position'] is not null").isEmpty()
    run = make_run("generate", "generate.events=2000", "generate.position_bias=1.0")
    biased = generate.made_events(run, World(run.config.generate, run.seed))
    shown = biased.where("context['position'] is not null").selectExpr("event_type", "context.position").toPandas()
    assert set(shown.event_type) == {"view"}
    assert set(shown.position) == {str(n) for n in range(1, 9)}


# change


def test_tastes_turn_with_the_years() -> None:
    users = world().users
    ranks = np.arange(400)

    def kept(days: float, drift: float) -> float:
        now = users.tastes_on(ranks, np.full(400, int(days)), drift, None)
        return float(np.mean(np.sum(now * users.tastes(ranks), axis=1)) / 8)

    assert kept(0, 1.0) == pytest.approx(1.0, abs=0.1)
    assert kept(365.25 / 2, 1.0) == pytest.approx(math.cos(math.pi / 4), abs=0.1)
    assert kept(366, 1.0) == pytest.approx(0.0, abs=0.1)
    assert kept(366, 0.0) == pytest.approx(1.0, abs=0.1)


def test_a_planted_break_moves_popularity_from_its_day_on() -> None:
    steady, broken = frame_of(world()), frame_of(world("drift_day=14", "drift_strength=0.8"))
    before = steady.day < 14
    pd.testing.assert_frame_equal(steady[before], broken[before])

    def head(events: pd.DataFrame) -> float:
        return float((events[events.day >= 14].item < 100).mean())  # the more popular half

    assert head(steady) > 0.7
    assert head(broken) < 0.5


# the pieces


def test_public_numbers_are_a_permutation() -> None:
    for items in (1, 2, 7, 100, 1000):
        numbers = world(f"items={items}").items.numbers(np.arange(items))
        assert sorted(numbers) == list(range(1, items + 1))


def test_new_members_appear_evenly_and_the_first_rank_is_always_there() -> None:
    items = world("items=20000", "new_item_share=0.5").items
    since = items.first_days(np.arange(20_000))
    assert since[0] == 0
    assert since.max() == 27
    late = since[since > 0]
    # half of them, less those whose day happens to be the first
    assert len(late) / 20_000 == pytest.approx(0.5 * 27 / 28, abs=0.02)
    assert np.mean(late) == pytest.approx(14.0, abs=0.3)


def test_a_crowd_that_is_hardly_there_yet_is_still_drawn_from() -> None:
    items = world("items=1000", "new_item_share=0.9", "days=1000").items
    drawn = items.draw(np.arange(5000, dtype=np.uint64), np.zeros(5000, dtype=np.int64))
    assert (items.first_days(drawn) == 0).all()
    assert len(np.unique(drawn)) > 50


@pytest.mark.parametrize("events", [1, BLOCK_EVENTS - 1, BLOCK_EVENTS, BLOCK_EVENTS + 1])
def test_blocks_hold_exactly_the_events(events: int) -> None:
    assert sum(len(block.order) for block in blocks(world(f"events={events}"))) == events


def test_the_users_and_the_items_do_not_share_their_draws() -> None:
    of = world("items=400")
    assert of.users.key is Key.USER
    assert of.items.key is Key.ITEM
    assert not np.array_equal(of.users.tastes(np.arange(400)), of.items.tastes(np.arange(400)))


def test_gender_and_age_lean_on_taste_and_the_category_is_the_strongest_factor(made: Run) -> None:
    of, tables = World(made.config.generate, 42), made.tables
    users = tables.read("user_attributes").orderBy("user_id").toPandas()
    taste = of.users.tastes(np.argsort(of.users.numbers(np.arange(400))))
    assert taste[users.gender == "F", 0].mean() > taste[users.gender == "M", 0].mean() + 0.5
    assert set(users.age) <= {"18-24", "25-34", "35-44", "45-54", "55-64", "65+"}
    items = tables.read("item_attributes").orderBy("item_id").toPandas()
    traits = of.items.tastes(np.argsort(of.items.numbers(np.arange(200))))
    for category, members in items.groupby("category"):
        assert len({int(traits[row].argmax()) for row in members.index}) == 1, category
    assert items.price.between(1, 50).all()
    assert items.year.between(2014, 2024).all()
