"""The second model's configuration is the night's own but for what it says."""

from __future__ import annotations

import pytest

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.retriever import kinds_of, retriever_config
from recsys_spark.training.artifact import meaning_of

NIGHT = ["retriever.name=two_tower", "retriever.settings={training.epochs: 3, model.two_tower.width: 16}"]


def test_its_own_settings_hold_over_the_nights():
    night = load_config(settings=[*NIGHT, "training.batch_rows=77"])
    own = retriever_config(night)
    assert own is not None and own.model.name == "two_tower" and own.model.two_tower.width == 16
    assert (own.training.epochs, own.training.batch_rows) == (3, 77)
    assert night.training.epochs == 20 and night.model.two_tower.width == 64
    assert retriever_config(own) is None and retriever_config(load_config()) is None


def test_it_changes_nothing_of_what_the_nights_model_is():
    assert meaning_of(load_config(settings=NIGHT)) == meaning_of(load_config())
    assert load_config(settings=NIGHT).digest() == load_config().digest()


def test_examples_of_its_kind_are_made():
    assert kinds_of(load_config()) == {"pairs"}
    assert kinds_of(load_config(settings=NIGHT)) == {"pairs", "sequences"}
    assert kinds_of(load_config(settings=NIGHT), "evaluate") == {"pairs"}
    assert kinds_of(load_config(settings=[*NIGHT, "examples.kinds=[ratings]"])) == {"ratings", "sequences"}


def test_a_slip_is_named():
    wrong = load_config(settings=["retriever.name=gru4rec", "retriever.settings={training.epoch: 3}"])
    with pytest.raises(
        UserError, match=r"retriever.settings: unknown key `training.epoch`; did you mean `training.epochs`"
    ):
        retriever_config(wrong)
    with pytest.raises(UserError, match=r"retriever.name"):
        load_config(settings=["retriever.name=neumf"])
