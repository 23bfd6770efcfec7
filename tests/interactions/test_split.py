from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.hashing import hash_of, uniform
from recsys_spark.interactions import split as split_module
from recsys_spark.interactions.split import labelled, moved, positive
from recsys_spark.transform import in_sample
from tests.frames import events

AS_OF = date(2024, 1, 31)


def split(*overrides: str):
    return load_config(settings=[f"split.{o}" for o in overrides]).split


SEED = 42


def label(spark, rows, *overrides, given_test=None, positive_from=None):
    """`(user, item, hour)` rows -> their parts, in the rows' order."""
    settings_ = [f"interactions.positive_min_value={positive_from}"] if positive_from is not None else []
    frame = events(spark, [(str(u), str(i), h) for u, i, h in rows])
    if positive_from is not None:
        frame = frame.withColumn("event_value", F.col("item_id").cast("double"))
    frame = frame.withColumn("user_idx", F.col("user_id").cast("int")).withColumn(
        "item_idx", F.col("item_id").cast("int")
    )
    frame = frame.transform(positive(load_config(settings=settings_).interactions))
    out = frame.transform(labelled(split(*overrides), AS_OF, SEED, given_test)).collect()
    by_key = {(r["user_idx"], r["position"]): (r["item_idx"], r["part"]) for r in out}
    return [by_key[key] for key in sorted(by_key)]


@pytest.mark.parametrize("days", [1, 3, 9])
def test_events_that_move_are_those_whose_part_is_another(spark, days):
    # an event every six hours, from the last of one day to the first of the next; windows of two and three days
    config, now = split("kind=time", "validation_days=2", "test_days=3"), AS_OF + timedelta(days=days)
    frame = events(spark, [("0", str(n), 6 * n - 1) for n in range(1, 31 * 4 + 1)]).selectExpr(
        "*", "cast(user_id as int) user_idx", "cast(item_id as int) item_idx", "true positive"
    )
    before, after = (
        {row["item_idx"]: row["part"] for row in frame.transform(labelled(config, day, SEED)).collect()}
        for day in (AS_OF, now)
    )
    found = {row["item_idx"] for row in frame.where(moved(config, AS_OF, now)).collect()}
    assert found == {item for item, part in before.items() if after[item] != part}
    assert len(found) == 4 * min(2 * days, 5)
    assert not frame.where(moved(split("kind=leave_last_two"), AS_OF, now)).collect()


def test_leave_last_two_holds_out_the_last_and_the_one_before(spark):
    rows = [(1, 10, 0), (1, 11, 1), (1, 12, 2), (1, 13, 3)]
    assert label(spark, rows, "kind=leave_last_two") == [
        (10, "train"),
        (11, "train"),
        (12, "validation"),
        (13, "test"),
    ]


def test_leave_last_one_has_no_validation(spark):
    rows = [(1, 10, 0), (1, 11, 1), (1, 12, 2)]
    assert [part for _, part in label(spark, rows, "kind=leave_last_one")] == ["train", "train", "test"]


def test_users_with_few_events_keep_one_in_train_and_give_up_validation_first(spark):
    rows = [(1, 10, 0), (2, 10, 0), (2, 11, 1), (3, 10, 0), (3, 11, 1), (3, 12, 2)]
    assert [part for _, part in label(spark, rows, "kind=leave_last_two")] == [
        "train",
        "train",
        "test",
        "train",
        "validation",
        "test",
    ]


def test_a_repeat_is_no_target_unless_repeats_may_be(spark):
    rows = [(1, 10, 0), (1, 11, 1), (1, 12, 2), (1, 10, 3)]
    assert label(spark, rows, "kind=leave_last_one") == [
        (10, "train"),
        (11, "train"),
        (12, "test"),
        (10, "test"),
    ]
    assert label(spark, rows, "kind=leave_last_one", "repeats=true") == [
        (10, "train"),
        (11, "train"),
        (12, "train"),
        (10, "test"),
    ]


def test_an_event_that_is_not_positive_is_no_target(spark):
    rows = [(1, 30, 0), (1, 31, 1), (1, 2, 2)]
    assert label(spark, rows, "kind=leave_last_one", positive_from=10) == [
        (30, "train"),
        (31, "test"),
        (2, "test"),
    ]


def test_ties_in_time_fall_by_the_order_in_the_source(spark):
    rows = [(1, 12, 5), (1, 10, 5), (1, 11, 5)]
    assert label(spark, rows, "kind=leave_last_two") == [(12, "train"), (10, "validation"), (11, "test")]


def test_by_time_the_windows_end_with_the_as_of_date(spark):
    # as of 31 January: test is the 30th and 31st, validation the 29th
    hours = [24 * 27 + 23, 24 * 28, 24 * 28 + 23, 24 * 29, 24 * 30 + 23]
    rows = [(1, 10 + n, hour) for n, hour in enumerate(hours)]
    parts = [part for _, part in label(spark, rows, "kind=time", "validation_days=1", "test_days=2")]
    assert parts == ["train", "validation", "validation", "test", "test"]


def test_given_pairs_are_the_test_and_the_latest_of_the_rest_is_validation(spark):
    rows = [(1, 10, 0), (1, 11, 1), (1, 12, 2), (1, 13, 3)]
    test = spark.createDataFrame([(1, 11)], "user_idx int, item_idx int")
    assert label(spark, rows, "kind=given", given_test=test) == [
        (10, "train"),
        (11, "test"),
        (12, "train"),
        (13, "validation"),
    ]


def test_given_without_pairs_is_refused(spark):
    with pytest.raises(UserError, match="test_file"):
        label(spark, [(1, 10, 0)], "kind=given")


def chance(spark, *overrides, seed=SEED):
    """20,000 pairs, each with two events, under a random split: (user, item) -> the parts of its events."""
    pairs = spark.range(20_000).selectExpr(
        "int(id % 200) user_idx", "int(id / 200) item_idx", "explode(array(0, 50)) day"
    )
    events = pairs.selectExpr(
        "*",
        "timestamp '2024-01-01' + make_interval(0, 0, 0, (item_idx + day) % 70) event_time",
        "cast(null as double) event_value",
        "day = 0 positive",
        "bigint(item_idx) event_order",
        "concat_ws('-', user_idx, item_idx, day) event_id",
    )
    out = events.transform(labelled(split("kind=random", *overrides), AS_OF, seed))
    return out.groupBy("user_idx", "item_idx").agg(F.collect_list("part").alias("parts"))


def test_a_random_split_keeps_a_pair_together_and_to_its_shares(spark):
    rows = chance(spark, "test_share=0.25", "validation_share=0.1").collect()
    assert len(rows) == 20_000
    assert all(len(row["parts"]) == 2 and len(set(row["parts"])) == 1 for row in rows)
    found = Counter(row["parts"][0] for row in rows)
    for part, share in (("test", 0.25), ("validation", 0.1), ("train", 0.65)):
        assert abs(found[part] - 20_000 * share) < 4 * (20_000 * share * (1 - share)) ** 0.5


def test_a_random_split_depends_on_the_seed_and_on_no_other_draw(spark):
    def held_out(seed):
        rows = chance(spark, seed=seed).where("parts[0] = 'test'")
        return rows.select(
            "user_idx", "item_idx", in_sample(0.5, SEED, "user_idx", "item_idx").alias("sampled")
        ).collect()

    first, second = held_out(SEED), held_out(SEED + 1)
    assert len({row[:2] for row in first} & {row[:2] for row in second}) < 300  # 200 by chance
    assert 850 < sum(row["sampled"] for row in first) < 1150
    # nor on what the random baseline scores by
    scores = uniform(hash_of(SEED, *np.array([row[:2] for row in first]).T))
    assert abs(scores.mean() - 0.5) < 0.03


def test_a_random_split_may_have_no_validation_and_must_have_a_train_part(spark):
    parts = {row["parts"][0] for row in chance(spark, "validation_share=0").collect()}
    assert parts == {"train", "test"}
    with pytest.raises(UserError, match=r"split\.test_share 0\.6 .*leave no train part"):
        labelled(split("kind=random", "test_share=0.6", "validation_share=0.4"), AS_OF, SEED)


def test_cold_users_and_items_are_held_out_wherever_they_stand(spark, monkeypatch):
    # an id's number stands for its hash: up to 4 is cold for test, 5 to 9 for validation, the rest is warm
    monkeypatch.setattr(split_module, "_drawn", lambda *hashed: hashed[-1].cast("int") / 100)
    half = ("cold_item_share=0.1", "cold_user_share=0.1", "cold_validation_share=0.5")
    rows = [
        *[(20, item, hour) for hour, item in enumerate([51, 52, 4, 53, 54, 8])],
        *[(3, 51, 0), (3, 8, 1)],
        *[(7, 51, 0), (7, 4, 1), (7, 52, 2)],
        (30, 4, 0),
        *[(40, 51, 0), (40, 8, 1)],
        *[(50, 51, 0), (50, 52, 1)],
    ]
    assert label(spark, rows, "kind=leave_last_two", *half) == [
        *[(51, "test"), (8, "test")],  # user 3
        *[(51, "validation"), (4, "test"), (52, "validation")],  # user 7
        # user 20: the last two of its warm items are held out as ever
        *[(51, "train"), (52, "train"), (4, "test"), (53, "validation"), (54, "test"), (8, "validation")],
        (4, "test"),  # user 30
        *[(51, "train"), (8, "validation")],  # user 40 keeps its one warm target
        *[(51, "train"), (52, "test")],  # user 50 gives up the last alone
    ]


def cold(spark, *overrides, seed=SEED, first_index=0):
    """All pairs of 60 users and 150 items under a split with cold ones: (user, item) -> part."""
    pairs = spark.range(9_000).selectExpr("concat('u', id % 60) user_id", "concat('i', id div 60) item_id", "id")
    events = pairs.selectExpr(
        "*",
        f"int(substring(user_id, 2)) + {first_index} user_idx",
        f"int(substring(item_id, 2)) + {first_index} item_idx",
        "timestamp '2024-01-01' + make_interval(0, 0, 0, int(id % 31)) event_time",
        "cast(null as double) event_value",
        "true positive",
        "id event_order",
        "string(id) event_id",
    )
    out = events.transform(labelled(split(*overrides), AS_OF, seed)).collect()
    return {(row["user_idx"] - first_index, row["item_idx"] - first_index): row["part"] for row in out}


def cold_of(parts, place):
    """The users (place 0) or items (1) that no pair of train has."""
    return {pair[place] for pair in parts} - {pair[place] for pair, part in parts.items() if part == "train"}


def test_cold_ones_hang_on_seed_and_id_alone_and_keep_to_their_share(spark):
    shares = ("cold_item_share=0.2", "cold_validation_share=0")
    first = cold(spark, "kind=leave_last_one", *shares)
    items = cold_of(first, 1)
    assert abs(len(items) / 150 - 0.2) < 4 * (0.2 * 0.8 / 150) ** 0.5
    assert {part for pair, part in first.items() if pair[1] in items} == {"test"}
    # neither other indices nor another kind of split make others cold, another seed does
    assert cold_of(cold(spark, "kind=random", "validation_share=0", *shares, first_index=1000), 1) == items
    assert cold_of(cold(spark, "kind=leave_last_one", *shares, seed=SEED + 1), 1) != items
    # a part of the cold ones is for validation; more of them are cold in a larger share
    shares = ("cold_item_share=0.3", "cold_validation_share=0.5")
    parts = cold(spark, "kind=leave_last_one", *shares)
    assert cold_of(parts, 1) > items
    kept_for = [{part for pair, part in parts.items() if pair[1] == item} for item in cold_of(parts, 1)]
    assert {frozenset(found) for found in kept_for} == {frozenset(["test"]), frozenset(["validation"])}


def test_cold_shares_do_not_go_with_a_given_test(spark):
    with pytest.raises(UserError, match=r"split\.cold_item_share"):
        labelled(split("kind=given", "cold_user_share=0.1"), AS_OF, SEED)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 1 << 30),
    st.sampled_from(["kind=leave_last_one", "kind=leave_last_two", "kind=time", "kind=random"]),
    st.floats(0.05, 0.6),
    st.floats(0.0, 0.9),
)
def test_no_pair_of_a_cold_user_is_trained_on(spark, seed, kind, share, validation):
    of_users = (kind, f"cold_user_share={share}", f"cold_validation_share={validation}")
    parts = cold(spark, *of_users, f"cold_item_share={share}", seed=seed)
    assert len(parts) == 9_000 and set(parts.values()) <= {"train", "validation", "test"}
    alone = cold(spark, *of_users, seed=seed)
    users = cold_of(alone, 0)
    for user in users:  # all that is theirs is held out, for one part
        assert len({part for pair, part in alone.items() if pair[0] == user}) == 1
    for pair, part in parts.items():  # and stays so whatever the items are, but for those of test
        if pair[0] in users:
            assert part in (alone[pair], "test")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(0, 4)), min_size=1, max_size=20),
    st.sampled_from(["kind=leave_last_one", "kind=leave_last_two", "kind=time"]),
    st.sampled_from(["repeats=false", "repeats=true"]),
)
def test_no_part_begins_before_an_earlier_one_has_ended(spark, rows, kind, repeats):
    order = {"train": 0, "validation": 1, "test": 2}
    frame = events(spark, [(str(u), str(i), h) for u, i, h in rows])
    frame = frame.selectExpr("*", "int(user_id) user_idx", "int(item_id) item_idx", "true positive")
    out = frame.transform(labelled(split(kind, repeats), AS_OF, SEED)).collect()
    assert len(out) == len(rows)
    for user in {r["user_idx"] for r in out}:
        own = sorted((r["position"], order[r["part"]]) for r in out if r["user_idx"] == user)
        assert [part for _, part in own] == sorted(part for _, part in own)
        if kind != "kind=time":
            assert own[0][1] == 0
