"""The recommend stage over tables written by hand: several sources, every filter, and what is told of both."""

from __future__ import annotations

import json
import math
import shutil
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql.pandas.types import to_arrow_schema

from recsys_spark import recommend_items, schemas
from recsys_spark.errors import UserError
from recsys_spark.interactions.index import index_ids
from recsys_spark.models import build_model
from recsys_spark.recommend.rules import mask_of
from recsys_spark.recommend.stage import run as recommend
from recsys_spark.runs import run_stage
from recsys_spark.storage import save_folder

AS_OF = date(2024, 1, 31)
N_USERS, N_ITEMS = 5, 10
# (user, item, day of January); item 8 has none by the date
EVENTS = [
    (0, 0, 1), (0, 1, 2), (0, 0, 30), (1, 0, 3), (1, 1, 4), (1, 2, 5), (1, 9, 10), (2, 1, 6), (2, 2, 7), (2, 7, 9),
    (2, 3, 29), (3, 4, 30), (3, 5, 30), (4, 0, 8), (4, 6, 28),
]  # fmt: skip
SCORES = np.random.default_rng(3).permutation(N_USERS * N_ITEMS).reshape(N_USERS, N_ITEMS).astype(np.float32) / 10
# item 3 is sold out, 5 is a toy, 4 is not for user 1 (who is 15), 2 never for user 0
NEVER = {0: {2, 3, 5, 8}, 1: {3, 4, 5, 8}, 2: {3, 5, 8}, 3: {3, 5, 8}, 4: {3, 5, 8}}
FILTERS = [
    "recommend.filters.blocked_categories=[toys]",
    "recommend.filters.rules=[{name: adults, users: 'age < 18', items: \"attributes['adult'] = '1'\"}]",
]
SEEN = defaultdict(set)
for _user, _item, _day in EVENTS:
    SEEN[_user].add(_item)


def day(number: int) -> datetime:
    return datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=number - 1)


def write(root: str, table: schemas.Table, rows: list[dict], **values) -> None:
    full = [dict.fromkeys(table.schema.names) | values | row for row in rows]
    arrow = pa.Table.from_pylist(full, schema=to_arrow_schema(table.schema))
    write_deltalake(f"{root}/{table.name}", arrow, mode="append", partition_by=list(table.partitioned_by) or None)


def write_day(root: str, as_of: date, events: list[tuple[int, int, int]]) -> None:
    """The slices of a date that recommend reads."""
    days = defaultdict(list)
    for user, item, at in events:
        days[user, item].append(at)
    pairs = [
        {
            "user_idx": user,
            "item_idx": item,
            "positives": len(at),
            "first_time": day(min(at)),
            "last_time": day(max(at)),
        }
        for (user, item), at in days.items()
    ]
    write(root, schemas.INTERACTIONS, pairs, as_of_date=as_of)
    write(
        root,
        schemas.USER_FEATURES,
        [{"user_idx": user} for user in range(N_USERS)],
        as_of_date=as_of,
        fit="production",
    )
    first = {item: min(at for _, other, at in events if other == item) for _, item, _ in events}
    items = [{"item_idx": item, "first_time": day(at)} for item, at in first.items()]
    write(root, schemas.ITEM_FEATURES, items, as_of_date=as_of, fit="production")
    by_user = [sorted((at, item) for user, item, at in events if user == one) for one in range(N_USERS)]
    rows = [
        {"user_idx": user, "items": [i for _, i in own], "times": [int(day(at).timestamp()) for at, _ in own]}
        for user, own in enumerate(by_user)
    ]
    for fit in ("production", "evaluate"):
        write(root, schemas.SEQUENCES, rows, as_of_date=as_of, fit=fit)


def write_world(root: str, retriever: str | None) -> None:
    write(root, schemas.USERS, [{"user_id": f"u{user}", "user_idx": user} for user in range(N_USERS)])
    write(root, schemas.ITEMS, [{"item_id": f"i{item}", "item_idx": item} for item in range(N_ITEMS)])
    write_day(root, AS_OF, EVENTS)
    attributes = {0: {"title": "Milk"}, 4: {"attributes": {"adult": "1"}}, 5: {"category": "games|toys"}}
    write(root, schemas.ITEM_ATTRIBUTES, [{"item_id": f"i{item}"} | known for item, known in attributes.items()])
    write(root, schemas.USER_ATTRIBUTES, [{"user_id": "u1", "age": "15"}, {"user_id": "u2", "age": "40"}])
    spans = [("i3", None, day(15)), ("i9", day(1), None), ("i9", None, day(2))]
    write(
        root,
        schemas.ITEM_AVAILABILITY,
        [dict(zip(schemas.ITEM_AVAILABILITY.schema.names, span, strict=True)) for span in spans],
    )
    write(root, schemas.BLOCKED_PAIRS, [{"user_id": "u0", "item_id": "i2"}, {"user_id": "nobody", "item_id": "i1"}])
    lists = [{"user_idx": user, "targets": [item], "candidates": [8, 5]} for user, item in enumerate([3, 0, 4, 1, 9])]
    write(root, schemas.EVAL_EXAMPLES, lists, as_of_date=AS_OF, part="validation")
    models = [
        {"model_version": f"m-{fit}", "fit": fit, "path": f"{root}/m-{fit}"} for fit in ("production", "evaluate")
    ]
    models[0]["evaluated_by"] = "m-evaluate"
    write(root, schemas.MODELS, models, model_name="neumf", as_of_date=AS_OF, created_at=day(31))
    other = {"model_version": "mf", "model_name": "matrix_factorization", "fit": "production", "path": retriever}
    write(root, schemas.MODELS, [other] if retriever else [], as_of_date=AS_OF, created_at=day(30))
    telling = SCORES.copy()
    telling[np.arange(N_USERS), [3, 0, 4, 1, 9]] += 3  # the evaluate fit scores what was taken higher, mostly
    for fit, scores in (("production", SCORES), ("evaluate", telling)):
        manifest = {"format": 1, "model_version": f"m-{fit}", "model": {"n_users": N_USERS, "n_items": N_ITEMS}}
        weights = {
            "user_gmf": scores,
            "item_gmf": np.eye(N_ITEMS),
            "output_gmf": np.ones(N_ITEMS),
            "output_bias": np.zeros(1),
        }
        save_folder(f"{root}/m-{fit}", manifest, {name: value.astype(np.float32) for name, value in weights.items()})


def rows_of(root: str, table: str) -> list[dict]:
    files = DeltaTable(f"{root}/{table}").file_uris()
    return ds.dataset([file.removeprefix("file://") for file in files]).to_table().to_pylist()


@pytest.fixture
def made(make_run):
    def make(*settings: str, retriever: str | None = None):
        run = make_run("recommend", "recommend.n=3", *FILTERS, *settings, as_of=str(AS_OF))
        write_world(run.root, retriever)
        run_stage(run, recommend)
        run.tables.replace(schemas.RECOMMENDATIONS_CURRENT, run.tables.read("recommendations"))
        lists = defaultdict(list)
        for row in sorted(rows_of(run.root, "recommendations_current"), key=lambda row: (row["user_id"], row["rank"])):
            lists[int(row["user_id"][1:])].append(row)
        return run, lists

    return make


@pytest.mark.slow
def test_candidates_of_five_sources_under_every_filter(made):
    quotas = {"co_occurrence": 2, "repeat": 1, "recent_popular": 2, "new_items": 1, "model": 2}
    sources = ", ".join(f"{name}: {quota}" for name, quota in quotas.items())
    run, lists = made(
        f"recommend.candidates.sources={{{sources}}}",
        "recommend.candidates.shrinkage=0",
        "recommend.candidates.recent_days=7",
        "recommend.candidates.new_days=25",
        "recommend.calibration=platt",
    )
    assert {name: run.counts[f"removed_{name}"] for name in ("unavailable", "blocked_category", "without_event")} == {
        "unavailable": 5, "blocked_category": 5, "without_event": 5
    }  # fmt: skip
    assert run.counts["removed_rule_adults"] == run.counts["removed_blocked_pairs"] == 1
    assert run.counts["removed_seen"] == sum(map(len, SEEN.values()))
    candidates = {row["user_idx"]: row for row in rows_of(run.root, "candidates")}
    # user 0 had 0, 1 and 0: 9 goes with both, 6 with 0, 1 / sqrt(3) each time. 0 is the repeat. A user each took 0, 3, 4, 5
    # and 6 in the last 7 days, of which 4 and 6 are left; 3, 4, 5, 6, 7 and 9 are new in the last 25, of which 4 is
    first = candidates[0]
    assert first["items"][:4] == [9, 6, 0, 4]
    assert first["because"] == [0, 0] + [-1] * (len(first["items"]) - 2)
    assert [bits & ~1 for bits in first["sources"][:4]] == [4, 4 + 8, 32, 8 + 16]
    for user, rows in lists.items():
        found = candidates[user]
        assert not (NEVER[user] | SEEN[user]) & {
            i for i, b in zip(found["items"], found["sources"], strict=True) if not b & 32
        }
        best = sorted(found["items"], key=lambda item, user=user: -SCORES[user, item])[:3]
        assert [row["item_id"] for row in rows] == [f"i{item}" for item in best]
        assert not NEVER[user] & {int(row["item_id"][1:]) for row in rows}
        assert all(0 <= row["score"] <= 1 and row["propensity"] == 1.0 for row in rows)
        for row in rows:
            assert row["reason_code"] == min(row["sources"], key=list(quotas).index)
            assert row["reason_item_id"] == (
                row["item_id"] if row["reason_code"] == "repeat" else row["reason_item_id"]
            )
    assert run.counts["missing_rows"] == 0
    notes = "\n".join(run.notes)
    assert "filter rule adults: keeps 1 pairs" in notes and "scores are probabilities" in notes
    # what the tasks counted is what the table has
    bits = {"model": 1, "co_occurrence": 4, "recent_popular": 8, "new_items": 16, "repeat": 32}
    proposed = [found for row in candidates.values() for found in row["sources"]]
    assert run.counts["candidates"] == len(proposed)
    assert all(
        run.counts[f"candidates_{name}"] == sum(found & bits[name] != 0 for found in proposed) for name in quotas
    )
    counted = {(row["stage"], row["step"]): row for row in rows_of(run.root, "recommend_counts")}
    assert all(row["rows_in"] - row["rows_out"] == row["removed"] >= 0 for row in counted.values())
    assert len({row["position"] for row in counted.values()}) == len(counted)
    assert [counted["catalogue", "seen"][name] for name in ("users", "rows_in", "removed")] == [
        N_USERS, N_USERS * N_ITEMS, sum(map(len, SEEN.values()))
    ]  # fmt: skip
    assert counted["candidates", "joined"]["rows_out"] == counted["scoring", "model"]["rows_in"] == len(proposed)
    # new are 4, 6, 7 and 9 to who had neither, and 3 and 5, which are barred: all six stand in the list of what is new
    assert counted["candidates", "new_items"]["rows_out"] == N_USERS
    assert counted["filters", "rule_adults"]["removed"] == run.counts["removed_candidates_rule_adults"] > 0
    assert ("reranking", "pool") not in counted
    shown = recommend_items("u0", top_n=3, root=run.root)
    assert shown["item_id"].tolist() == [row["item_id"] for row in lists[0]]
    told = dict(zip(shown["item_id"], shown["reason"], strict=True))
    assert all(why == "because you had Milk" for item, why in told.items() if item in ("i9", "i6"))
    assert len(recommend_items("u0", top_n=9, root=run.root)) == 3  # no unfiltered list is made up
    with pytest.raises(UserError, match=r"the lists under .* are filtered"):
        recommend_items("nobody", root=run.root)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["recommend.exclude_seen=true", "recommend.exclude_seen=false"])
def test_the_whole_catalogue_under_every_filter(made, setting):
    group = "recommend.rerank={exposure: {group: adult}, effects_users: 0}"
    run, lists = made(setting, "recommend.n=4", group)
    for user, rows in lists.items():
        barred = NEVER[user] | (SEEN[user] if run.config.recommend.exclude_seen else set())
        allowed = sorted(set(range(N_ITEMS)) - barred, key=lambda item, user=user: -SCORES[user, item])
        items = [int(row["item_id"][1:]) for row in rows]
        assert items[: len(allowed)] == allowed[:4] and len(items) == 4
        assert not NEVER[user] & set(items)
        assert all(row["reason_code"] == "repeat" for row in rows if int(row["item_id"][1:]) in SEEN[user])
    assert "candidates" not in run.counts
    counted = {(row["stage"], row["step"]): row for row in rows_of(run.root, "recommend_counts")}
    assert {stage for stage, _ in counted} == {"catalogue", "scoring"}
    assert counted["scoring", "model"]["rows_in"] == N_USERS * N_ITEMS
    # item 4 alone is of a group
    weights = [(1 / math.log2(1 + row["rank"]), row["item_id"]) for rows in lists.values() for row in rows]
    share = sum(weight for weight, item in weights if item == "i4") / sum(weight for weight, _ in weights)
    effects = {row["step"]: row for row in rows_of(run.root, "rerank_effects")}
    assert set(effects) == {"night", "published"}
    assert (effects["published"]["segment"], effects["published"]["n"]) == ("1", N_USERS)
    assert effects["published"]["value"] == pytest.approx(share)


@pytest.mark.slow
@pytest.mark.parametrize("index", ["exact", "ivf"])
def test_another_model_retrieves_and_the_ranking_model_scores(made, make_run, index):
    if index == "ivf":
        pytest.importorskip("faiss", reason="needs the extra `index`")
    settings = {"width": 3, "stddev": 1.0, "seed": 3}
    model = build_model("matrix_factorization", settings, n_users=N_USERS, n_items=N_ITEMS)
    items = np.tile(np.arange(N_ITEMS, dtype=np.int32), (N_USERS, 1))
    dots = np.asarray(model({"user": np.arange(N_USERS, dtype=np.int32), "items": items}))
    spec = {"name": "matrix_factorization", "settings": settings, "n_users": N_USERS, "n_items": N_ITEMS}
    arrays = {f"{n:03d} {v.path}": np.asarray(v) for n, v in enumerate(model.weights)}
    arrays["catalogue"] = np.asarray(model.catalogue())
    root = make_run("recommend").root
    manifest = {"format": 1, "model_version": "mf", "model": spec, "scoring": {"by": "query"}}
    save_folder(f"{root}/mf", manifest, arrays)
    chosen = f"{{sources: {{retriever: 4}}, retriever: matrix_factorization, table: false, index: {index}}}"
    run, lists = made(f"recommend.candidates={chosen}", retriever=f"{root}/mf")
    for user, rows in lists.items():
        barred = NEVER[user] | SEEN[user]
        retrieved = sorted(set(range(N_ITEMS)) - barred, key=lambda item, user=user: -dots[user, item])[:4]
        best = sorted(retrieved, key=lambda item, user=user: -SCORES[user, item])
        items_and_reasons = [(row["item_id"], row["reason_code"]) for row in rows][: len(best)]
        assert items_and_reasons == [(f"i{item}", "retriever") for item in best[:3]]
    assert not (Path(run.root) / "candidates").exists()
    assert run.counts["candidates"] == run.counts["candidates_retriever"] > 0
    # all that there is: the index has ten items, and is asked for more
    sought = sum(min(4, N_ITEMS - len(NEVER[user] | SEEN[user])) for user in range(N_USERS)) if index == "ivf" else None
    assert run.counts.get("retrieval_sought") == run.counts.get("retrieval_found") == sought
    assert any("recall@4 of exact is 1.0000, of 5 users" in note for note in run.notes) == (index == "ivf")


@pytest.mark.parametrize("predicate", ["age <", "shoe_size > 3", "age", "count(*) > 1"])
def test_a_predicate_that_is_none_is_named(spark, predicate):
    frame = spark.createDataFrame([("u", "30")], "user_id string, age string")
    with pytest.raises(UserError, match=r"rule `adults`: .* is no condition over user_attributes \(user_id, age\)"):
        mask_of({"minors": "age < 18", "adults": predicate}, frame, "user_attributes")


def test_rules_are_bits(spark):
    frame = spark.createDataFrame([("a", "10"), ("b", "30"), ("c", None)], "user_id string, age string")
    mask = mask_of({"minors": "age < 18", "known": "age IS NOT NULL"}, frame, "user_attributes")
    assert [row[0] for row in frame.select(mask).collect()] == [3, 2, 0]


@pytest.mark.slow
def test_an_artifact_of_an_index_that_was_made_anew_is_refused_and_nothing_is_written(make_run):
    run = make_run("recommend", "recommend.n=3", as_of=str(AS_OF))
    write_world(run.root, None)
    of_training = index_ids(run.tables)
    run.tables.append(schemas.ITEMS, run.tables.read("items").where("item_idx < 0"))
    assert index_ids(run.tables) == of_training  # a table that grows is the same one
    manifest = Path(run.root) / "m-production" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"index": of_training}))
    items = run.tables.read("items").toPandas()
    shutil.rmtree(f"{run.root}/items")
    write_deltalake(
        f"{run.root}/items", pa.Table.from_pandas(items[::-1], schema=to_arrow_schema(schemas.ITEMS.schema))
    )
    with pytest.raises(UserError, match=r"table `items` was made anew since model m-production"):
        run_stage(make_run("recommend", "recommend.n=3", as_of=str(AS_OF)), recommend)
    assert not run.tables.exists("recommendations")
