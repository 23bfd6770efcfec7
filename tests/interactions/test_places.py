from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.interactions.places import held_out, positions

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans()), max_size=30)


def by_hand(history: list[tuple[int, bool]], most: int, repeats: bool) -> list[int]:
    """One user's rows, walked from the end: which of the last targets each belongs to."""
    had: set[int] = set()
    is_target = []
    for item, eligible in history:
        is_target.append(eligible and (repeats or item not in had))
        if eligible:
            had.add(item)
    targets = [place for place, found in enumerate(is_target) if found]
    given_up = min(most, max(0, len(targets) - 1))
    cuts = targets[len(targets) - given_up :]
    return [
        sum(1 for cut in cuts if cut > place) + 1 if cuts and place >= cuts[0] else 0 for place in range(len(history))
    ]


@given(rows, st.integers(0, 3), st.booleans())
def test_places_are_those_of_a_walk_through_each_history(drawn, most, repeats):
    drawn = sorted(drawn, key=lambda row: row[0])
    users, items, eligible = (
        np.array([row[n] for row in drawn], dtype=kind) for n, kind in enumerate((int, int, bool))
    )
    histories = defaultdict(list)
    for user, item, counts in drawn:
        histories[user].append((item, counts))
    expected = [nth for history in histories.values() for nth in by_hand(history, most, repeats)]
    assert held_out(users, items, eligible, most, repeats).tolist() == expected
    assert positions(users).tolist() == [n for history in histories.values() for n in range(1, len(history) + 1)]
