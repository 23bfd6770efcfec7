"""The search space: what it accepts, what it says of what it does not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.settings import Config
from recsys_spark.tuning.space import Dimension, as_yaml, dimensions, study_name

DAY = date(2024, 12, 31)


CONF = Path(__file__).parents[2] / "conf"


def configured(space: str, *settings: str) -> Config:
    return load_config(settings=[f"tune.space={space}", *settings])


def test_a_space_is_read_in_the_order_of_its_keys():
    config = configured(
        "{training.learning_rate: {low: 0.001, high: 0.01, log: true}, model.neumf.mlp_layers: {choices: [[8], [16, 8]]},"
        " training.batch_rows: {low: 64, high: 512}}"
    )
    assert dimensions(config) == [
        Dimension("model.neumf.mlp_layers", choices=([8], [16, 8])),
        Dimension("training.batch_rows", low=64, high=512, whole=True),
        Dimension("training.learning_rate", low=0.001, high=0.01, log=True),
    ]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("{}", "tune.space is empty.*conf/tune-<model>.yaml"),
        ("{training.learning_rat: {low: 0.1, high: 1}}", "did you mean `training.learning_rate`"),
        ("{neumf.gmf_width: {choices: [16]}}", "unknown key `neumf`"),
        ("{gmf_width: {choices: [16]}}", "did you mean `model.neumf.gmf_width`"),
        ("{model.neumf: {choices: [16]}}", "`model.neumf` is a section"),
        ("{examples.negatives: {choices: [2, 4]}}", "`examples.negatives` cannot be tuned.*only trains"),
        ("{run.seed: {choices: [2, 4]}}", "expected keys under model. and training."),
        ("{model.name: {choices: [gmf, mlp]}}", "a study is of one model"),
        ("{training.optimizer: {low: 1, high: 2}}", "`training.optimizer` is no number.*choices"),
        ("{training.mixed_precision: {low: 0, high: 1}}", "is no number"),
        ("{training.batch_rows: {low: 1.5, high: 2}}", "`training.batch_rows` is a whole number"),
        ("{model.neumf.dropout: {low: 0.0, high: 1.5}}", "tune.space: .*`model.neumf.dropout`.*less than 1"),
        ("{training.optimizer: {choices: [adam, sgd]}}", "tune.space: .*`training.optimizer`.*'adagrad'"),
    ],
)
def test_a_mistaken_space_is_said(space, message):
    with pytest.raises(UserError, match=message):
        dimensions(configured(space))


@pytest.mark.parametrize(
    "values", ["{low: 1}", "{low: 2, high: 1}", "{low: 1, high: 2, choices: [1]}", "{}", "{low: 0, high: 1, log: true}"]
)
def test_values_are_a_range_or_choices(values):
    with pytest.raises(UserError, match=r"tune.space.training.epochs.*(expected|must be)"):
        configured(f"{{training.epochs: {values}}}")


def test_a_study_is_named_by_what_its_trials_have_in_common():
    space = "{training.epochs: {choices: [1, 2]}}"

    def name(*settings: str, space: str = space) -> str:
        config = configured(space, "dataset=shop", *settings)
        return study_name(config, DAY, dimensions(config))

    assert name().startswith("shop-neumf-20241231-")
    # how many trials, where they are kept, and what the configuration says of a setting in the space: no matter
    assert name("tune.trials=99", "tune.storage=sqlite:///x.db", "training.epochs=7", "root=/elsewhere") == name()
    others = [
        name("run.seed=1"),
        name("examples.negatives=2"),
        name("training.batch_rows=2"),
        name("tune.metric=hr@10"),
        name(space="{training.epochs: {choices: [1, 3]}}"),
    ]
    assert len({name(), *others}) == 6


@pytest.mark.parametrize("file", sorted(CONF.glob("tune-*.yaml")), ids=lambda file: file.stem)
def test_our_spaces_are_of_settings_of_their_model(file):
    config = load_config([file])
    assert file.stem == f"tune-{config.model.name}"
    sections = {tried.key.rpartition(".")[0] for tried in dimensions(config)}
    assert sections == {"training", f"model.{config.model.name}"}
    assert config.tune.metric == ("rmse" if config.model.chosen.examples == "ratings" else "ndcg@10")


def test_every_model_has_a_space():
    models = set(type(load_config().model).model_fields) - {"name"}
    assert {file.stem.removeprefix("tune-") for file in CONF.glob("tune-*.yaml")} == models


def test_settings_are_written_as_config_reads_them(tmp_path):
    settings = {"model.neumf.mlp_layers": [16, 8], "model.neumf.l2": 1e-05, "training.epochs": 3}
    text = as_yaml(settings)
    assert yaml.safe_load(text)["training"] == {"epochs": 3}
    (tmp_path / "best.yaml").write_text(text)
    config = load_config([tmp_path / "best.yaml"])
    assert (config.model.neumf.mlp_layers, config.model.neumf.l2, config.training.epochs) == ([16, 8], 1e-05, 3)
