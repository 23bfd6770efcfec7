from __future__ import annotations

import pytest

from recsys_spark.errors import UserError
from recsys_spark.training.artifact import hold_against

MANIFEST = {"model_version": "m1", "model": {"n_users": 3, "n_items": 5}, "scoring": {"history": 20}}


def test_newer_users_and_items_are_no_matter_to_an_artifact():
    hold_against(MANIFEST, window=20, n_users=4, n_items=9)
    hold_against({**MANIFEST, "scoring": {"history": 0}}, window=50, n_users=3, n_items=5)  # it reads no history


def test_an_artifact_of_an_index_that_was_made_anew_is_refused_however_large_it_is():
    manifest = {**MANIFEST, "index": {"users": "a", "items": "b"}}
    hold_against(manifest, 20, 4, 9, {"users": "a", "items": "b"})
    hold_against(MANIFEST, 20, 4, 9, {"users": "a", "items": "b"})  # of a release that did not say
    with pytest.raises(UserError, match=r"table `items` was made anew since model m1 was trained.*jobs/train\.py"):
        hold_against(manifest, 20, 4, 9, {"users": "a", "items": "c"})


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ({"window": 50}, r"m1 reads the latest 20 items of a user, examples\.window is 50.*examples\.window=20"),
        ({"n_users": 2}, r"m1 knows 3 users, table `users` has 2.*jobs/train\.py"),
        ({"n_items": 4}, r"m1 knows 5 items, table `items` has 4.*jobs/train\.py"),
    ],
)
def test_an_artifact_of_other_settings_or_another_index_is_refused(now, message):
    with pytest.raises(UserError, match=message):
        hold_against(MANIFEST, **{"window": 20, "n_users": 3, "n_items": 5, **now})
