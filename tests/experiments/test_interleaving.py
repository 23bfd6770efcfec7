"""Team-draft interleaving: fair lists, and who is preferred."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from recsys_spark.experiments.interleaving import Preference, interleaved, preference, team_draft

TEAMS = ("old", "new")
ITEMS = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10)


@given(st.text(max_size=5), ITEMS, ITEMS, st.integers(1, 12))
def test_a_draft_is_fair(user, first, second, n):
    listed = team_draft("s", TEAMS, user, first, second, n)
    items = [item for item, _ in listed]
    assert len(set(items)) == len(items) == min(n, len({*first, *second}))
    assert listed == team_draft("s", TEAMS, user, first, second, n)
    for end in range(1, len(listed) + 1):
        before = items[: end - 1]
        item, team = listed[end - 1]
        own = first if team == "old" else second
        assert item == next(one for one in own if one not in before)  # its team's best that is left
        others = [one for one in (second if team == "old" else first) if one not in before]
        picks = [of for _, of in listed[:end]]
        if others:  # while both can pick, neither is two ahead
            assert picks.count(team) - picks.count("new" if team == "old" else "old") <= 1


def test_either_begins_as_often():
    begun = [team_draft("s", TEAMS, str(user), ["a"], ["b"], 2)[0][1] for user in range(4000)]
    assert binom.cdf(min(begun.count("old"), begun.count("new")), 4000, 0.5) > 0.0005


def test_lists_and_clicks_in_spark(spark):
    rows = [
        (variant, user, rank, item)
        for user in ("1", "2", "3")
        for variant, items in (("old", "abc"), ("new", "cde"))
        for rank, item in enumerate(items, 1)
    ]
    rows += [("old", "4", 1, "a"), ("other", "1", 1, "z")]  # no list of both; another variant
    lists = spark.createDataFrame(rows, "variant string, user_id string, rank int, item_id string")
    shown = interleaved(lists, TEAMS, 4, "s").persist()
    by_user = {
        user: [(row["item_id"], row["team"]) for row in shown.where(f"user_id = '{user}'").orderBy("rank").collect()]
        for user in "1234"
    }
    assert by_user == {user: team_draft("s", TEAMS, user, "abc", "cde", 4) for user in "123"} | {"4": []}
    of = {user: {team: [item for item, own in by_user[user] if own == team] for team in TEAMS} for user in "123"}
    taken = (
        [("1", item) for item in of["1"]["old"]]
        + [("2", of["2"]["new"][0])] * 2
        + [("2", of["2"]["old"][0]), ("1", "zz")]
    )
    taken = spark.createDataFrame(taken, "user_id string, item_id string")
    assert preference(shown, taken, TEAMS) == Preference(first=1, second=1, ties=1)
    shown.unpersist()


def test_the_sign_test_by_hand():
    clear = Preference(first=9, second=1, ties=90)
    assert clear.p_value == pytest.approx(2 * (1 + 10) / 1024)
    assert clear.margin == pytest.approx(0.04)
    assert Preference(0, 0, 5).p_value == 1.0
    assert Preference(0, 0, 0).margin == 0.0
