"""Declared features through the stage: a train day with users a and b, then a day on which c takes an item that is new."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.features import stage as features
from recsys_spark.features.knowledge import knowledge, those_of
from recsys_spark.features.learning import learn
from recsys_spark.features.newer import encoded_newer
from recsys_spark.features.sources import ATTRIBUTES, INDEX, values
from recsys_spark.features.spec import FeatureSpec, feature_specs
from recsys_spark.interactions import stage as index
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS, FEATURE_SPECS, ITEM_ATTRIBUTES, ITEM_FEATURES, USER_ATTRIBUTES, USER_FEATURES
from recsys_spark.storage import save_folder
from recsys_spark.training.artifact import save_artifact
from recsys_spark.training.warm import EarlierModel, _knows_the_same
from tests.frames import START, events

EVALUATE = ["split.kind=time", "split.validation_days=1", "split.test_days=1", "examples.fits=[evaluate]"]
TAKEN = [("a", "i1", 0), ("a", "i2", 6), ("b", "i1", 12), ("c", "i3", 72)]  # hours; the train part ends after 48
USERS = [("a", "F", "20", {"job": "baker"}), ("b", "F", "40", None), ("c", "M", "90", {"job": "baker", "pet": "cat"})]
ITEMS = [
    ("i1", "Red shoe", "Comedy|Drama", None, 3.0, 1999),
    ("i2", "Blue shoe", "Drama", "B", None, 1999),
    ("i3", "Red shoe", "Drama|Western|War", "C", 7.0, 2001),
]

GENDER = {"name": "gender", "of": "user", "kind": "categorical", "source": "gender"}
JOB = {"name": "job", "of": "user", "kind": "categorical", "source": "attributes.job"}
AGE = {"name": "age", "of": "user", "kind": "dense", "source": "age"}
GENRES = {"name": "genres", "of": "item", "kind": "multi_hot", "source": "category", "slots": 2}
BRAND = {"name": "brand", "of": "item", "kind": "categorical", "source": "brand"}
PRICE = {"name": "price", "of": "item", "kind": "dense", "source": "price", "log": True}
TITLE = {"name": "title", "of": "item", "kind": "text", "source": "title", "width": 4}
YEAR = {"name": "year", "of": "item", "kind": "dense", "source": "year"}

AS_OF, NAN = date(2024, 1, 4), float("nan")
LATER = r"`{}` is counted up to the end .* declare it `of: context`, with `recency_days` or `frequency` as its source"


@pytest.fixture(scope="module")
def indexed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with events, attributes and the index, made once; tests work on copies."""
    run = Run("index", spark, load_config(settings=EVALUATE), str(tmp_path_factory.mktemp("indexed") / "root"), "test")
    run.tables.append(EVENTS, events(spark, TAKEN))
    users = [(*row, START, "r0") for row in USERS]
    items = [(*row, None, START, "r0") for row in ITEMS]
    run.tables.append(USER_ATTRIBUTES, spark.createDataFrame(users, USER_ATTRIBUTES.schema))
    run.tables.append(ITEM_ATTRIBUTES, spark.createDataFrame(items, ITEM_ATTRIBUTES.schema))
    index.run(run)
    return Path(run.root)


@pytest.fixture
def make(indexed: Path, make_run: Callable[..., Run], tmp_path: Path) -> Callable[..., Run]:
    """`make(GENDER, AGE, ...)`: a run of the features stage that declares these."""
    shutil.copytree(indexed, tmp_path / "root")

    def declaring(*declared: dict[str, Any], fits: str = "[evaluate]", seed: int = 42, model: str = "two_tower") -> Run:
        settings = [*EVALUATE[:3], f"examples.fits={fits}", f"run.seed={seed}", f"model.name={model}"]
        settings.append(f"features.declared={json.dumps(declared)}")
        return make_run("features", *settings)

    return declaring


def encoded(run: Run, of: str, fit: str = "evaluate") -> dict[int, tuple[list[int], list[float]]]:
    rows = run.tables.read(f"{of}_encoded", {"as_of_date": run.as_of, "fit": fit}).collect()
    return {row[f"{of}_idx"]: (row.codes, row.numbers) for row in rows}


def specs(run: Run, fit: str = "evaluate") -> dict[str, Any]:
    rows = run.tables.read("feature_specs", {"as_of_date": run.as_of, "fit": fit}).collect()
    return {row.feature: row for row in rows}


def vectors(folder: Path, ids: list[str], rows: list[list[float]]) -> dict[str, Any]:
    table = pa.table({"item_id": ids, "vector": pa.array(rows, pa.list_(pa.float32()))})
    write_deltalake(str(folder / "vectors"), table, mode="overwrite")
    return {"name": "image", "of": "item", "kind": "vector", "path": str(folder / "vectors"), "width": 2}


def test_everyone_is_encoded_by_what_the_train_part_taught(make, tmp_path):
    image = vectors(tmp_path, ["i1", "i3", "other"], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    run = make(GENRES, GENDER, AGE, BRAND, PRICE, JOB, TITLE, image, YEAR)
    features.run(run)

    users = encoded(run, "user")  # a, b, c by index; c was held out
    assert users == {0: ([2, 2], [-1.0]), 1: ([2, 0], [1.0]), 2: ([1, 2], [6.0])}

    items = encoded(run, "item")
    assert [items[idx][0] for idx in range(3)] == [[3, 2, 0], [2, -1, 2], [2, 1, 1]]
    numbers = np.array([items[idx][1] for idx in range(3)])
    # only i1 has a price in the train part: its log1p is the mean, and the deviation, 0, does not divide
    np.testing.assert_allclose(numbers[:, 0], [0.0, NAN, np.log(8.0) - np.log(4.0)], rtol=1e-6)
    titles = numbers[:, 1:5]
    np.testing.assert_allclose(np.linalg.norm(titles, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(titles[2], titles[0])
    assert abs(titles[0] @ titles[1]) < 0.99
    np.testing.assert_array_equal(numbers[:, 5:7], [[1.0, 2.0], [NAN, NAN], [3.0, 4.0]])
    np.testing.assert_array_equal(numbers[:, 7], [0.0, 0.0, 2.0])  # all that were learnt from are of one year

    rows = specs(run)
    assert feature_specs(row.asDict() for row in rows.values()) == (
        FeatureSpec("genres", "item", "multi_hot", 0, 2, 4),
        FeatureSpec("gender", "user", "categorical", 0, 1, 3),
        FeatureSpec("age", "user", "dense", 0, 1, None),
        FeatureSpec("brand", "item", "categorical", 2, 1, 3),
        FeatureSpec("price", "item", "dense", 0, 1, None),
        FeatureSpec("job", "user", "categorical", 1, 1, 3),
        FeatureSpec("title", "item", "text", 1, 4, None),
        FeatureSpec("image", "item", "vector", 5, 2, None),
        FeatureSpec("year", "item", "dense", 7, 1, None),
    )
    assert rows["genres"].vocabulary == {"Drama": 2, "Comedy": 3}
    assert (rows["age"].mean, rows["age"].std, rows["age"].vocabulary) == (30.0, 10.0, None)
    assert len(rows["title"].idf) == 1 << 14
    counted = {name: (row.learnt_from, row.missing, row.unknown) for name, row in rows.items()}
    assert counted == {
        "genres": (2, 0, 1),
        "gender": (2, 0, 1),
        "age": (2, 0, 0),
        "brand": (1, 1, 1),
        "price": (1, 1, 0),
        "job": (1, 1, 0),
        "title": (2, 0, 0),
        "image": (1, 1, 0),
        "year": (2, 0, 0),
    }
    assert (run.counts["user_encoded_evaluate"], run.counts["item_encoded_evaluate"]) == (3, 3)
    genres = "2 values learnt, 0 missing, 1 unknown, 1 with more than 2 values, cut"
    assert f"evaluate: feature genres of 3 items: {genres}" in run.notes


@pytest.mark.slow
def test_each_fit_learns_from_its_own_parts_and_a_second_run_changes_nothing(make):
    for _ in range(2):
        run = make(GENDER, AGE, fits="[evaluate, production]")
        features.run(run)
    assert specs(run)["gender"].vocabulary == {"F": 2}
    assert specs(run, "production")["gender"].vocabulary == {"F": 2, "M": 3}
    assert specs(run)["age"].mean == 30.0
    np.testing.assert_array_equal([row[1] for row in encoded(run, "user").values()], [[-1.0], [1.0], [6.0]])
    assert [codes for codes, _ in encoded(run, "user", "production").values()] == [[2], [2], [3]]
    assert specs(run, "production")["age"].mean == 50.0
    assert not run.tables.exists("item_encoded")


@pytest.mark.slow
def test_without_declarations_nothing_is_written(make):
    run = make()
    features.run(run)
    assert set(run.tables.versions_written) == {"user_features", "item_features", "sequences"}
    assert run.notes == []


def test_a_vector_of_another_length_is_said_before_anything_is_written(make, tmp_path):
    image = vectors(tmp_path, ["i3", "i2", "i1"], [[1.0, 2.0], [1.0], [1.0, 2.0, 3.0]])
    run = make(GENDER, image)
    with pytest.raises(UserError, match=r"`image`: .*vector of item_id 'i1' has 3 numbers, expected width 2"):
        features.run(run)
    assert run.tables.versions_written == {}
    assert not run.tables.exists("user_features")


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        (
            {**JOB, "source": "attributes.jop"},
            r"`job`: `attributes.jop` has no value.*2 users.*gender, age, attributes.job",
        ),
        ({**JOB, "source": "attributes.pet"}, r"`attributes.pet` has no value for any of the 2 users"),
        ({**JOB, "source": "wage"}, r"user_attributes has no column `wage`.*gender, age, .*attributes\.KEY"),
        ({**AGE, "source": "gender"}, r"`gender` has 2 values.*no number"),
        ({**AGE, "source": "recency_days"}, LATER.format("recency_days")),
        ({**AGE, "source": "events"}, LATER.format("events")),
        ({**PRICE, "source": "mean_value"}, LATER.format("mean_value")),
        ({**PRICE, "source": "users"}, LATER.format("users")),
        # so that a vocabulary, which models carry, has no ids
        ({**GENDER, "source": "user_id"}, r"user_attributes has no column `user_id`"),
        ({**BRAND, "source": "item_id"}, r"item_attributes has no column `item_id`"),
        (
            {**GENRES, "source": "year"},
            r"`genres` is multi_hot, which `year` cannot be.*int; declare it as dense",
        ),
        (
            {**BRAND, "source": "price"},
            r"is categorical, which `price` cannot be.*double",
        ),
    ],
)
def test_a_source_that_cannot_be_what_is_declared(spark, declaration, message):
    of, rows = (declaration["of"], USERS if declaration["of"] == "user" else ITEMS)
    index = spark.createDataFrame([(row[0], n, "r0") for n, row in enumerate(rows)], INDEX[of].schema)
    nothing = (None,) * (len(ATTRIBUTES[of].schema) - len(rows[0]) - 2)
    attributes = spark.createDataFrame([(*row, *nothing, START, "r0") for row in rows], ATTRIBUTES[of].schema)
    table = USER_FEATURES if of == "user" else ITEM_FEATURES
    counts = [1, 1, START, START, *[None] * (len(table.schema) - 7)]
    counted = spark.createDataFrame([(AS_OF, "evaluate", n, *counts) for n in (0, 1)], table.schema)
    (declared,) = load_config(settings=[f"features.declared={json.dumps([declaration])}"]).features.declared
    with pytest.raises(UserError, match=message):
        learn(index.transform(values(of, [declared], attributes, counted)), [declared], attributes, 1 << 20)


@pytest.mark.parametrize(
    ("folder", "ids", "message"),
    [
        ("vectors", ["i2", "i2"], r"several rows of item_id 'i2'"),
        ("vectors", ["i3"], r"vector of none of the 2 items"),
        ("nowhere", ["i2"], r"nowhere: no Delta table here.*`image`"),
    ],
)
def test_a_table_of_vectors_that_cannot_be_used(spark, tmp_path, folder, ids, message):
    image = {**vectors(tmp_path, ids, [[1.0, 2.0]] * len(ids)), "path": str(tmp_path / folder)}
    items = spark.createDataFrame([(row[0], n, "r0") for n, row in enumerate(ITEMS)], INDEX["item"].schema)
    attributes = spark.createDataFrame([], ITEM_ATTRIBUTES.schema)
    counted = [(AS_OF, "evaluate", n, 1, 1, START, START, None) for n in (0, 1)]
    (declared,) = load_config(settings=[f"features.declared={json.dumps([image])}"]).features.declared
    with pytest.raises(UserError, match=message):
        everyone = items.transform(
            values("item", [declared], attributes, spark.createDataFrame(counted, ITEM_FEATURES.schema))
        )
        learn(everyone, [declared], attributes, 1 << 20)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ([GENDER, {**AGE, "name": "gender"}], "two features are called gender"),
        ([{**AGE, "slots": 2}], "features.declared.0.dense.slots"),
        ([{"name": "image", "of": "item", "kind": "vector", "path": "x"}], "features.declared.0.vector.width"),
        ([{**AGE, "name": "Age of user"}], "features.declared.0.dense.name"),
    ],
)
def test_a_declaration_that_does_not_hold_is_said_when_it_is_read(declared, message):
    with pytest.raises(UserError, match=message):
        load_config(settings=[f"features.declared={json.dumps(declared)}"])


@pytest.mark.slow
def test_who_came_later_is_encoded_by_what_the_model_carries(make, tmp_path):
    image = vectors(tmp_path, ["i1", "i3", "other"], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    first = make(GENRES, GENDER, AGE, BRAND, PRICE, JOB, TITLE, image, YEAR)
    features.run(first)
    carried = json.loads(json.dumps(knowledge(first, "evaluate", ("user", "item"))))  # as an artifact keeps it
    assert [one["feature"]["name"] for one in those_of(carried, "user")] == ["gender", "age", "job"]
    assert knowledge(first, "evaluate", ("user",)) == those_of(carried, "user")
    assert [one["vocabulary"] for one in carried if one["vocabulary"]] == [
        {"Drama": 2, "Comedy": 3},
        {"F": 2},
        {"B": 2},
        {"baker": 2},
    ]
    expected = {of: encoded(first, of)[2] for of in ("user", "item")}

    shutil.rmtree(tmp_path / "root" / "item_encoded")  # what is new is not looked up
    later = make(JOB, seed=7)  # and what is declared, learnt and drawn since is another thing
    features.run(later)
    assert set(specs(later)) == {"job"}
    shutil.rmtree(tmp_path / "root" / "feature_specs")
    for of in ("user", "item"):
        row = encoded_newer(later, of, "evaluate", carried, 2, 3).collect()
        assert [one[f"{of}_idx"] for one in row] == [2]
        assert row[0].codes == expected[of][0]
        np.testing.assert_array_equal(row[0].numbers, expected[of][1])


def test_a_warm_start_needs_a_model_that_learnt_the_same_of_the_features_it_takes(make, tmp_path):
    run = make(GENDER, BRAND)
    rows = [
        (run.as_of, "evaluate", name, of, "categorical", place, 0, 1, 3, {value: 2}, None, None, None, 42, 0, 0, 2)
        for place, (name, of, value) in enumerate([("gender", "user", "F"), ("brand", "item", "B")])
    ]
    run.tables.append(FEATURE_SPECS, run.spark.createDataFrame(rows, FEATURE_SPECS.schema))
    location, known = str(tmp_path / "artifact"), knowledge(run, "evaluate", ("user", "item"))
    earlier = EarlierModel("m", location)
    save_folder(str(tmp_path / "checkpoint"), {}, {"w": np.zeros(1)})

    def knows(learnt: list[Any], context: list[Any]) -> bool:
        save_artifact(location, {"context": context}, str(tmp_path / "checkpoint"), learnt)
        return _knows_the_same(run, "evaluate", earlier)

    assert not knows([known[0], {**known[1], "seed": 7}], [])
    assert not knows([{**known[0], "vocabulary": {"M": 2}}, known[1]], [])
    assert not knows(known[:1], [])
    assert not knows(known, known[:1])
    assert knows(known, [])
    (tmp_path / "artifact" / "learnt.json").write_text("[]")
    assert not _knows_the_same(run, "evaluate", earlier)
    assert _knows_the_same(make(GENDER, BRAND, model="matrix_factorization"), "evaluate", earlier)  # takes none


def test_a_feature_that_is_declared_since_is_named(make):
    run = make(GENDER, JOB)
    row = (run.as_of, "evaluate", "gender", "user", "categorical", 0, 0, 1, 3, {"F": 2}, *[None] * 3, 42, 0, 0, 2)
    run.tables.append(FEATURE_SPECS, run.spark.createDataFrame([row], FEATURE_SPECS.schema))
    with pytest.raises(UserError, match=r"feature `job` is new in features\.declared: run jobs/features\.py"):
        knowledge(run, "evaluate", ("user",))
