"""Whose a folder of artifacts is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recsys_spark.errors import UserError
from recsys_spark.forget.artifacts import places
from recsys_spark.training.owner import claim, hold_own


def test_a_folder_of_artifacts_is_of_the_root_that_trained_into_it_first(make_run, tmp_path):
    run = make_run("train", f"storage.artifacts={tmp_path / 'artifacts'}")
    assert not hold_own(run)
    claim(run)
    claim(run)
    assert hold_own(run)
    assert places(run).leftovers == ()  # the mark is not taken for what a killed training left
    other = replace(run, root=str(tmp_path / "other"))
    for held in (claim, hold_own):
        with pytest.raises(UserError, match=f"the folder of the root {run.root}, and {other.root} needs"):
            held(other)


def test_below_the_root_nothing_is_marked(make_run, tmp_path):
    claim(make_run("train"))
    assert not list(tmp_path.rglob("root.txt"))
