from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from recsys_spark.config import default_yaml, known_keys, load_config
from recsys_spark.errors import UserError
from recsys_spark.settings import Config

CONF = Path(__file__).parent.parent / "conf"


def test_later_layers_win(tmp_path):
    (tmp_path / "a.yaml").write_text("training: {epochs: 3, patience: 1}\n")
    (tmp_path / "b.yaml").write_text("training: {epochs: 4}\n")
    config = load_config([tmp_path / "a.yaml", tmp_path / "b.yaml"], ["training.patience=2"])
    assert (config.training.epochs, config.training.patience, config.training.ranks) == (4, 2, 1)


@pytest.mark.parametrize(
    ("setting", "near"),
    [
        ("training.rank=2", "training.ranks"),
        ("trainning.ranks=2", "training"),
        ("negatives=2", "examples.negatives"),
        ("model.neumf.dropuot=0.1", "model.neumf.dropout"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(setting, near):
    with pytest.raises(UserError, match=f"unknown key.*did you mean `{near}`"):
        load_config(settings=[setting])


def test_a_models_preset_lies_under_what_the_user_sets(tmp_path):
    assert load_config(settings=["model.name=sasrec"]).training.batch_rows == 128
    assert load_config(settings=["training.batch_rows=64", "model.name=sasrec"]).training.batch_rows == 64
    assert load_config().training.batch_rows == 1638
    (tmp_path / "mine.yaml").write_text("model: {name: gmf}\npresets: {gmf: {training: {epochs: 7}}}\n")
    assert load_config([tmp_path / "mine.yaml"]).training.epochs == 7


def test_an_unknown_key_in_a_file_names_the_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("training: {epoch: 3}\n")
    with pytest.raises(UserError, match=r"mine\.yaml: unknown key `training\.epoch`; did you mean `training\.epochs`"):
        load_config([tmp_path / "mine.yaml"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.ranks=0", "training.ranks.*greater than 0"),
        ("training.ranks=two", "training.ranks.*integer"),
        ("split.kind=shuffled", "split.kind.*'leave_last_one'"),
        ("ingest.max_rejected_share=1.5", "ingest.max_rejected_share.*less than or equal to 1"),
        ("model.neumf.mlp_layers=[]", "model.neumf.mlp_layers"),
        ("training.learning_rate=.nan", "training.learning_rate"),
        ("training=3", "`training` is a section"),
        ("training.ranks", "not of the form key=value"),
    ],
)
def test_a_bad_value_names_its_key(setting, message):
    with pytest.raises(UserError, match=message):
        load_config(settings=[setting])


def test_a_missing_file_and_one_that_is_no_yaml_are_said(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_config([tmp_path / "absent.yaml"])
    (tmp_path / "broken.yaml").write_text("training: [1\n")
    with pytest.raises(UserError, match=r"broken\.yaml is not YAML"):
        load_config([tmp_path / "broken.yaml"])


def test_files_are_removed_only_where_they_are_written_for_ingest():
    assert load_config(settings=["ingest.consume=true"]).ingest.consume
    for other in ("ingest.format=movielens", "ingest.mapping.file_format=delta"):
        with pytest.raises(UserError, match="removes what was read"):
            load_config(settings=["ingest.consume=true", other])


def test_every_default_stands_in_the_file_and_nowhere_else():
    in_file = yaml.safe_load(default_yaml())
    leaves = [key for key in known_keys() if not any(other.startswith(f"{key}.") for other in known_keys())]
    for key in leaves:
        value = in_file
        for name in key.split("."):
            assert name in value, f"{key} has no default in conf/default.yaml"
            value = value[name]
    assert all(field.is_required() for field in Config.model_fields.values())


@pytest.mark.parametrize(
    "file", sorted(file for file in CONF.rglob("*.yaml") if file.name != "capacity.yaml"), ids=lambda file: file.name
)
def test_every_configuration_of_ours_holds_and_reads_back(file, tmp_path):
    config = load_config([file])
    (tmp_path / "back.yaml").write_text(config.as_yaml())
    assert load_config([tmp_path / "back.yaml"]) == config


def test_a_digest_is_of_what_changes_the_result():
    base = load_config()
    assert load_config(settings=["run.seed=9"]).digest("split") != base.digest("split")
    assert (
        load_config(settings=["ingest.path=/elsewhere", "training.threads=3", "training.find_rate=true"]).digest()
        == base.digest()
    )
    assert load_config(settings=["run.shuffle_partitions=9", "root=/elsewhere"]).digest() == base.digest()
    assert load_config(settings=["training.epochs=9"]).digest() != base.digest()
    assert load_config(settings=["training.epochs=9"]).digest("split") == base.digest("split")


def test_a_config_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_config().training.epochs = 1  # type: ignore[misc]


def test_defaults_are_read_from_an_archive_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "shipped.zip", "w") as archive:
        for file in (CONF.parent / "recsys_spark").rglob("*.py"):
            archive.write(file, file.relative_to(CONF.parent))
        archive.write(CONF / "default.yaml", "recsys_spark/conf/default.yaml")  # where the wheel has it
    code = "from recsys_spark import config; print(config.__file__, config.load_config().dataset)"
    environment = {"PYTHONPATH": str(tmp_path / "shipped.zip")}
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout.split() == [str(tmp_path / "shipped.zip" / Path("recsys_spark/config.py")), "events"]
