"""Which arrays have a row a user, held to every model; rows blanked in their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys_spark import storage
from recsys_spark.config import load_config
from recsys_spark.features.spec import FeatureSpec
from recsys_spark.forget.artifacts import Places, blank, is_of_users, still_there
from recsys_spark.models import _MODELS, build_model
from recsys_spark.training.checkpoint import _named
from recsys_spark.training.optimizers import Adam

SIDE = [FeatureSpec("half", "user", "categorical", 0, 1, 4), FeatureSpec("users", "user", "dense", 0, 1, None)]


def shapes(name: str, users: int) -> list[tuple[str, tuple[int, ...]]]:
    """All that a training of the model keeps: weights, and an optimizer's slots."""
    chosen = load_config(settings=[f"model.name={name}"]).model.chosen
    settings = chosen.arguments() | ({"length": 5} if chosen.examples == "sequences" else {})
    settings |= {"user_side": SIDE} if "user" in chosen.sides else {}
    model = build_model(name, settings, users, 3)
    optimizer = Adam(0.1)
    optimizer.build(model.trainable_variables)
    return [(key, array.shape) for key, array in _named([*model.weights, *optimizer.variables]).items()]


@pytest.mark.parametrize("name", sorted(_MODELS))
def test_arrays_that_grow_with_the_users_are_known_by_name(name):
    few, more = shapes(name, 1), shapes(name, 2)
    growing = [key for (key, shape), (_, before) in zip(more, few, strict=True) if shape != before]
    assert [key for key, _ in more if is_of_users(key)] == growing


def model_folder(place: Path) -> str:
    arrays = {
        "000 m/users": np.arange(1.0, 9.0).reshape(4, 2),
        "001 m/items": np.ones((4, 2)),
        "002 user_side/numbers": np.ones((4, 1), dtype=np.float32),
        "003 user_side/codes": np.ones((4, 1), dtype=np.int32),
    }
    storage.save_folder(str(place), {"model": {"n_users": 4}, "versions": {"users": 5}}, arrays)
    return str(place)


def test_a_persons_rows_are_blanked_and_no_others(tmp_path):
    folder = model_folder(tmp_path / "artifacts" / "v" / "r")
    begun = tmp_path / "artifacts" / "v" / "killed" / "arrays"
    begun.mkdir(parents=True)
    np.save(begun / "000.npy", np.ones(3))
    whole, unfinished = storage.folders_below(str(tmp_path / "artifacts"))
    assert (whole, unfinished) == ([folder], [str(begun.parent)])
    found, rows = Places(tuple(whole), tuple(unfinished), ()), np.array([2, 7])  # 7 is newer than the model
    assert set(still_there(found, rows, np.array([6, 6]))) == {folder, str(begun.parent)}
    assert set(still_there(found, rows, np.array([5, 5]))) == {str(begun.parent)}  # trained after they were forgotten
    assert blank(found, rows) == {folder: 3}
    assert blank(found, rows) == {folder: 0}
    assert list(still_there(found, rows, np.array([6, 6]))) == [str(begun.parent)] and not begun.exists()
    arrays = storage.load_arrays(folder)
    assert arrays["000 m/users"].tolist() == [[1, 2], [3, 4], [0, 0], [7, 8]]
    assert arrays["001 m/items"].tolist() == [[1, 1]] * 4
    assert np.isnan(arrays["002 user_side/numbers"]).ravel().tolist() == [False, False, True, False]
    assert arrays["003 user_side/codes"].ravel().tolist() == [1, 1, 0, 1]


def test_rows_of_a_remote_array_are_blanked_too():
    storage.save_folder("memory://forget/model", {}, {"users": np.ones((3, 2))})
    assert storage.blank_rows("memory://forget/model", "users", np.array([1]), 0.0) == 1
    assert storage.load_arrays("memory://forget/model")["users"].tolist() == [[1, 1], [0, 0], [1, 1]]
