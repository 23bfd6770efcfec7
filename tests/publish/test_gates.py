"""Gates: figures against bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.publish.figures import lift
from recsys_spark.publish.gates import forced, judged, stability_index, whole
from recsys_spark.publish_settings import Bounds


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.5, 0.5, None, "passed"),
        (0.49, 0.5, None, "failed"),
        (1.5, None, 1.5, "passed"),
        (1.51, 0.5, 1.5, "failed"),
        (None, 0.5, None, "not_measured"),
        (math.nan, 0.5, None, "not_measured"),
    ],
)
def test_a_figure_passes_within_its_bounds(value, low, high, verdict):
    (checked,) = judged({"coverage": value}, {"coverage": Bounds(low=low, high=high)})
    assert checked.verdict == verdict
    assert checked.stops == (verdict == "failed")
    assert "share of the known items" in checked.reason


def test_a_gate_without_bounds_is_recorded_and_passes():
    checked = judged({"coverage": 0.25}, {"coverage": Bounds(low=None, high=None)})
    assert [(one.gate, one.value, one.verdict) for one in checked] == [("coverage", 0.25, "passed")]


def test_force_lets_everything_through_but_broken_lists():
    failed = judged({"overlap": 0.0}, {"overlap": Bounds(low=0.1, high=None)})
    broken = whole(["3 rows have no item"])
    by_force = forced([broken, *failed], "a new catalogue")
    assert [one.verdict for one in by_force] == ["failed", "forced"]
    assert by_force[1].reason.endswith("forced: a new catalogue")
    assert whole([]).verdict == "passed"


def test_the_stability_index_is_the_symmetric_divergence_of_the_shares():
    now, before = [10, 30, 60], [20, 30, 50]
    p, q = (np.array(counts) + 0.5 for counts in (now, before))
    p, q = p / p.sum(), q / q.sum()
    expected = float((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum())
    assert stability_index(now, before) == pytest.approx(expected)
    assert stability_index([0, 0], [1, 1]) is None


def test_the_lift_is_over_popularity_on_test_where_there_is_one_at_the_greatest_k():
    def row(version, split, k, value):
        return {"model_version": version, "split": split, "k": k, "value": value}

    rows = [
        *(row("m", "test", k, value) for k, value in ((5, 0.2), (10, 0.3))),
        *(row("popularity", "test", k, value) for k, value in ((5, 0.1), (10, 0.2))),
        *(row(version, "validation", 10, 0.5) for version in ("m", "popularity")),
    ]
    assert lift(rows, "m") == pytest.approx(1.5)
    assert lift([one for one in rows if one["split"] == "validation"], "m") == pytest.approx(1.0)
    assert lift(rows, "another") is None


def test_a_gate_that_is_set_leaves_the_others_as_they_are():
    shipped = load_config().publish.gates.bounds()
    own = load_config(settings=["publish.gates.coverage={low: 0.1, high: null}", "publish.gates.fallback.high=0.2"])
    gates = own.publish.gates.bounds()
    assert (gates["coverage"].low, gates["fallback"].low, gates["fallback"].high) == (0.1, None, 0.2)
    assert {**gates, "coverage": 0, "fallback": 0} == {**shipped, "coverage": 0, "fallback": 0}
    assert list(gates) == list(shipped) and len(gates) == 10


def test_bounds_that_nothing_can_meet_and_unknown_gates_are_refused():
    with pytest.raises(UserError, match=r"low is 2\.0 and above high, 1\.0"):
        load_config(settings=["publish.gates.coverage={low: 2.0, high: 1.0}"])
    with pytest.raises(UserError, match=r"publish\.gates"):
        load_config(settings=["publish.gates.beauty={low: 2.0, high: null}"])
