from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys_spark.errors import UserError
from recsys_spark.storage import load_arrays, load_manifest, save_folder
from recsys_spark.training.artifact import hold_against, load_learnt, save_artifact

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


LEARNT = [
    {
        "feature": {"name": "job", "of": "user", "kind": "categorical"},
        "vocabulary": {"b\u00e4cker": 3, "": 2},
        "idf": None,
    },
    {
        "feature": {"name": "title", "of": "item", "kind": "text"},
        "vocabulary": None,
        "idf": [0.1 + 0.2, 1e-300],
        "seed": 7,
    },
]


@pytest.fixture
def artifact(tmp_path: Path) -> str:
    save_folder(str(tmp_path / "checkpoint"), {}, {"w": np.arange(3)})
    save_artifact(str(tmp_path / "artifact"), MANIFEST, str(tmp_path / "checkpoint"), LEARNT)
    return str(tmp_path / "artifact")


def test_what_was_learnt_of_features_comes_back_as_it_was_saved(artifact):
    manifest = load_manifest(artifact)
    assert load_learnt(artifact, manifest) == LEARNT  # each number to its last bit
    np.testing.assert_array_equal(load_arrays(artifact)["w"], [0, 1, 2])
    assert manifest["format"] == 1 and manifest["model"] == MANIFEST["model"]


@pytest.mark.parametrize("content", [None, b"", b"[]", b'[{"feature"'])
def test_a_file_of_features_that_is_not_as_it_was_written_is_refused(artifact, content):
    file = Path(artifact) / "learnt.json"
    file.unlink() if content is None else file.write_bytes(content)
    what = "missing" if content is None else "damaged"
    with pytest.raises(UserError, match=rf"artifact/learnt\.json is {what}.*jobs/train\.py"):
        load_learnt(artifact, load_manifest(artifact))


def test_an_artifact_from_before_it_carried_features_is_told_apart(artifact):
    manifest = {key: value for key, value in load_manifest(artifact).items() if key != "learnt"}
    assert load_learnt(artifact, manifest) is None
