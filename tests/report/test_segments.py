"""Where held-out items stand, by hand; the groups of them are tested with the job."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.ranking import place_targets
from recsys_spark.report.segments import class_labels, standing

SCORES = np.array([[3.0, 2.0, 2.0, 1.0], [-np.inf, 5.0, 5.0, 5.0]])


@pytest.mark.parametrize(
    ("user", "item", "found", "above"),
    [
        (0, 0, 1.0, 0.0),
        (0, 1, 0.5, 1.5 / 3),  # second or third of four, by chance
        (0, 3, 0.0, 1.0),
        (1, 2, 2 / 3, 0.5),  # the first is no candidate, the others are equal
        (1, 0, 0.0, np.nan),  # never ranked
        (0, 9, 0.0, np.nan),  # not known
    ],
)
def test_a_held_out_item_among_the_first_two(user, item, found, above):
    placed = place_targets(SCORES, np.array([user]), np.array([item]))
    assert [of[0] for of in standing(placed, 2)] == [found, pytest.approx(above, nan_ok=True)]


def test_classes_of_counts_leave_no_gap():
    assert class_labels()[:4] == ["0", "1 to 4", "5 to 9", "10 to 19"] and class_labels()[-1] == "100,000 and more"
