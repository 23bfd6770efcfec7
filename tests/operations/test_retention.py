from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.operations.retention import Kept, Listed, days_of_log, hours_to_keep, kept, outdated
from tests.operations.helpers import model, ran

NOW = datetime(2024, 2, 1, tzinfo=UTC)
RUNS = [
    ran("index-1", 1, {"events": 1}, {"users": 1}),
    ran("train-1", 2, {"users": 1, "feature_specs": 4}, {"models": 1}),
    ran("train-2", 3, {"users": 1, "feature_specs": 5}, {"models": 2}),
    ran("recommend-1", 20, {"models": 2}, {"recommendations": 7}),
    ran("recommend-2", 25, {"models": 2}, {"recommendations": 8}),
]
EVALUATE = model("neumf-1e", 2, "train-1", fit="evaluate")
MODELS = [EVALUATE, model("neumf-1p", 2, "train-1", evaluated_by="neumf-1e"), model("neumf-2p", 3, "train-2")]


def run_ids(keeping: Kept) -> set[str]:
    return {run.run_id for run in keeping.runs}


def versions(keeping: Kept) -> set[str]:
    return {model.version for model in keeping.models}


def test_runs_of_the_days_stay_and_older_ones_do_not():
    keeping = kept(RUNS, [], [], [], since=datetime(2024, 1, 20, tzinfo=UTC))
    assert run_ids(keeping) == {"recommend-1", "recommend-2"}
    assert keeping.oldest_versions() == {"models": 2, "recommendations": 7}


def test_the_live_lists_keep_all_that_they_stem_from_however_old():
    live = [Listed("recommend-1", "neumf-1p")]
    keeping = kept(RUNS, MODELS, live, live, since=NOW)
    # the lists' run, its model's run and that one's index; neumf-2p as the newest production fit, with its run
    assert run_ids(keeping) == {"recommend-1", "train-1", "index-1", "train-2"}
    assert versions(keeping) == {"neumf-1p", "neumf-1e", "neumf-2p"}
    assert keeping.oldest_versions()["feature_specs"] == 4


def test_models_that_kept_lists_used_stay():
    listed = [Listed("recommend-1", "neumf-1p"), Listed("recommend-2", "neumf-2p")]
    since = datetime(2024, 1, 22, tzinfo=UTC)
    assert versions(kept(RUNS, MODELS, listed, [], since)) == {"neumf-2p"}
    assert versions(kept(RUNS, MODELS, listed, [], since - timedelta(days=5))) == {"neumf-2p", "neumf-1p", "neumf-1e"}


def test_the_newest_production_fit_of_each_model_stays():
    others = [*MODELS, model("sasrec-1", 1, "gone"), model("sasrec-2", 2, "gone too", fit="evaluate")]
    assert versions(kept([], others, [], [], since=NOW)) == {"neumf-2p", "sasrec-1"}


@pytest.mark.parametrize(
    ("hours_ago", "least", "hours"), [(None, 168, 168), (10.0, 168, 168), (200.5, 168, 201), (5.5, 0, 6), (0.0, 0, 0)]
)
def test_hours_reach_back_to_when_the_version_became_the_newest(hours_ago, least, hours):
    current_from = None if hours_ago is None else NOW - timedelta(hours=hours_ago)
    assert hours_to_keep(current_from, NOW, least) == hours


@given(age=st.floats(0, 5000), least=st.integers(0, 400))
def test_no_file_that_a_needed_version_reads_is_old_enough_to_go(age, least):
    current_from = NOW - timedelta(hours=age)
    hours = hours_to_keep(current_from, NOW, least)
    assert NOW - timedelta(hours=hours) <= current_from
    assert hours >= least
    assert days_of_log(hours) * 24 >= hours + 7 * 24


def test_the_log_is_kept_in_steps_of_thirty_days():
    assert [days_of_log(hours) for hours in (0, 168, 23 * 24, 23 * 24 + 1, 60 * 24)] == [30, 30, 30, 60, 90]


def test_folders_go_when_nothing_names_them_and_nobody_wrote_to_them():
    since = NOW - timedelta(days=30)
    changed = {"named": since - timedelta(1), "old": since - timedelta(1), "new": since, "empty": None}
    assert outdated(changed, {"named"}, since) == ["old"]
