from __future__ import annotations

from types import SimpleNamespace

import pytest

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.features.spec import FeatureSpec
from recsys_spark.training import stage
from recsys_spark.training.assemble import (
    _check_declared,
    _from_data,
    _has_conversions,
    _moments,
    ignored_features,
)

NAN = float("nan")
AGE = "{name: age, of: user, kind: categorical, source: age}"
BRAND = "{name: brand, of: item, kind: categorical, source: brand}"
TITLE = "{name: title, of: item, kind: text, source: title, width: 8}"
ENCODED = [FeatureSpec("age", "user", "categorical", 0, 1, 5), FeatureSpec("title", "item", "text", 0, 8, None)]


def configured(name: str, declared: str = f"[{AGE}, {BRAND}]"):
    return load_config(settings=[f"model.name={name}", f"features.declared={declared}"])


@pytest.mark.parametrize(
    ("name", "declared", "said"),
    [
        ("neumf", f"[{AGE}, {BRAND}]", []),
        ("matrix_factorization", "[]", []),
        ("matrix_factorization", f"[{AGE}]", ["no features of users, so it learns nothing from age"]),
        ("matrix_factorization", f"[{AGE}, {BRAND}]", ["nothing from age", "nothing from brand"]),
        ("sasrec", f"[{AGE}, {BRAND}]", ["no features of users, so it learns nothing from age"]),
    ],
)
def test_features_that_a_model_does_not_take_are_said(name, declared, said):
    lines = ignored_features(configured(name, declared))
    assert len(lines) == len(said)
    for line, part in zip(lines, said, strict=True):
        assert part in line and "neumf" in line and "matrix_factorization," not in line


def test_the_train_job_says_it_once_however_many_fits(monkeypatch):
    monkeypatch.setattr(stage, "_fit", lambda run, fit, vouching: None)
    monkeypatch.setattr(stage, "tracking_uri", lambda *of: "")
    run = SimpleNamespace(config=configured("matrix_factorization", f"[{AGE}]"), root="", notes=[])
    run.tables = SimpleNamespace(in_catalog=False)
    stage.run(run)
    assert sum("age" in note for note in run.notes) == 1


def test_what_a_model_does_not_take_is_not_read():
    run = SimpleNamespace(config=configured("matrix_factorization"), tables=None)
    assert _from_data(run, "pairs", {}) == {}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (f"[{AGE}, {TITLE}]", ""),
        (
            f"[{AGE}, {TITLE}, {BRAND}]",
            "`brand` is categorical of length 1 of items in features.declared, but missing in",
        ),
        (f"[{AGE}]", "`title` is missing in features.declared, but text of length 8 of items in"),
        (f"[{AGE}, {TITLE.replace('8', '16')}]", "`title` is text of length 16 of items in .* but text of length 8"),
        (f"[{AGE.replace('user', 'item')}, {TITLE}]", "`age` is categorical of length 1 of items in .* of users in"),
    ],
)
def test_what_was_encoded_is_held_against_what_is_declared(declared, message):
    features = configured("neumf", declared).features.declared
    if not message:
        _check_declared(features, ENCODED)
        return
    with pytest.raises(UserError, match=rf"feature {message}.*jobs/features\.py"):
        _check_declared(features, ENCODED)


@pytest.mark.parametrize(
    ("converted", "settings", "found"),
    [
        ([1.0, 0.0, 0.0], ["examples.conversion_types=[purchase]"], True),
        ([], [], False),
        ([0.0, 0.0], ["examples.conversion_types=[refund]"], r"0% of the positives have an event of .* \(refund\)"),
        ([1.0, 1.0], ["examples.conversion_types=[view]"], "100% of the positives"),
        ([float("nan")], ["examples.conversion_types=[purchase]"], r"which pairs converted: run jobs/examples\.py"),
        ([], ["model.multitask.rank_by=conversion"], r"rank_by is conversion, but examples\.conversion_types"),
    ],
)
def test_there_is_a_task_of_conversion_where_some_positives_convert(spark, converted, settings, found):
    examples = spark.createDataFrame([(value,) for value in converted], "converted float")
    tables = SimpleNamespace(read_slice=lambda name, where: examples)
    run = SimpleNamespace(config=load_config(settings=settings), tables=tables)
    if isinstance(found, bool):
        assert _has_conversions(run, {}) is found
        return
    with pytest.raises(UserError, match=found):
        _has_conversions(run, {})


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        ([1.0, 5.0, NAN], [], ""),
        ([0.0, 5.5], [], ""),
        (
            [1.0, 12.25],
            [],
            r"values go from 1 to 12\.25, but model\.embedding_mlp predicts from 0 to 5\.5.*embedding_mlp\.high",
        ),
        ([-0.5, 5.0], [], r"values go from -0\.5 to 5, .*embedding_mlp\.low"),
        ([-0.5, 5.0], ["model.embedding_mlp.low=-1.0"], ""),
        ([1.0, 100.0], ["model.name=matrix_factorization", "model.matrix_factorization.loss_name=mse"], ""),
        ([NAN], [], "no training event has one"),
    ],
)
def test_values_that_a_model_could_never_predict_are_said(spark, values, settings, message):
    examples = spark.createDataFrame([(value,) for value in values], "value float")
    tables = SimpleNamespace(read_slice=lambda name, where: examples)
    run = SimpleNamespace(config=load_config(settings=["model.name=embedding_mlp", *settings]), tables=tables)
    if not message:
        known = [value for value in values if value == value]
        assert _moments(run, "ratings", {}) == {"mean_value": pytest.approx(sum(known) / len(known))}
        return
    with pytest.raises(UserError, match=message):
        _moments(run, "ratings", {})
