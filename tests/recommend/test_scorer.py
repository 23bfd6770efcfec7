from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.models import build_model
from recsys_spark.models.users import Users
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.storage import save_folder
from recsys_spark.training.artifact import load_artifact


@pytest.mark.parametrize("name", ["neumf", "gmf", "mlp"])
def test_an_artifacts_scorer_gives_what_the_model_itself_gives(tmp_path, name):
    settings = {"gmf_width": 4, "mlp_width": 3, "mlp_layers": [6, 5], "seed": 3}
    model = build_model(name, settings, n_users=7, n_items=11)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape))
    spec = {"name": name, "settings": settings, "n_users": 7, "n_items": 11}
    arrays = {f"{n:03d} {v.path}": np.asarray(v) for n, v in enumerate(model.weights)}
    location = str(tmp_path / "artifact")
    save_folder(location, {"format": 1, "model_version": "v", "model": spec}, arrays)

    users, items = np.array([6, 0, 3], dtype=np.int32), rng.integers(0, 11, (3, 5)).astype(np.int32)
    scorer, known = load_scorer(location), Users.without_history(users)
    expected = np.asarray(model({"user": users, "items": items}))
    np.testing.assert_allclose(scorer.scores(known, items), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(scorer.all_scores(known), items, 1), expected, rtol=1e-4, atol=1e-5)
    loaded = load_artifact(location)
    np.testing.assert_array_equal(np.asarray(loaded.model({"user": users, "items": items})), expected)
    assert (scorer.n_items, scorer.model_version) == (11, "v")
    assert scorer.knows(Users.without_history([6, 7])).tolist() == [True, False]
