"""Lists that are kept from the night before are those of a full run, and are not kept where that cannot be known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from recsys_spark import schemas
from recsys_spark.config import load_config
from recsys_spark.interactions.carry import EarlierRun
from recsys_spark.recommend.barring import Catalogue
from recsys_spark.recommend.refresh import _changed, hangs_on, tables_read
from recsys_spark.recommend.stage import run as recommend
from recsys_spark.runs import run_stage
from tests.recommend.test_stage import AS_OF, EVENTS, day, write, write_day, write_world

ALWAYS = ("item_availability", "blocked_pairs")
RERANK = "recommend.rerank"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ([], None),
        (["recommend.candidates={sources: {retriever: 5, model: 5, repeat: 2}, retriever: two_tower}"], None),
        (["recommend.filters.blocked_categories=[toys]", "recommend.calibration=platt"], None),
        ([f"{RERANK}={{diversity: {{kind: mmr}}, category_cap: 2}}"], None),
        ([f"{RERANK}.exposure={{group: brand, least: {{own: 0.1}}}}"], None),
        ([f"{RERANK}.exposure.group=popularity"], None),  # measured alone
        ([f"{RERANK}.exposure={{group: popularity, least: {{tail: 0.1}}}}"], "popularity"),
        ([f"{RERANK}.freshness.weight=0.5"], "freshness"),
        ([f"{RERANK}.exploration.epsilon=0.1"], "exploration"),
        (["recommend.candidates.sources={model: 5, co_occurrence: 5}"], "co_occurrence"),
        (["recommend.candidates.sources={recent_popular: 5}"], "recent_popular"),
        (["recommend.candidates.sources={new_items: 5}"], "new_items"),
        (["recommend.filters.rules=[{name: a, users: 'age < 18', items: 'price > 1'}]"], "rules"),
        (["recommend.active_days=30"], "active_days"),
        (["interactions.min_user_items=5"], "everyone's events"),
    ],
)
def test_what_forbids_to_keep_a_list(settings, why):
    found = list(hangs_on(load_config(settings=settings)))
    assert (found == []) if why is None else (len(found) == 1 and why in found[0])


@pytest.mark.parametrize(
    ("settings", "further"),
    [
        ([], []),
        (["recommend.candidates={sources: {retriever: 5}, retriever: two_tower}"], ["models"]),
        (["recommend.filters.blocked_categories=[toys]"], ["item_attributes"]),
        ([f"{RERANK}.category_cap=2"], ["item_attributes"]),
        ([f"{RERANK}.diversity={{kind: dpp, by: category}}"], ["item_attributes"]),
        ([f"{RERANK}.diversity={{kind: dpp, by: vectors}}"], []),
    ],
)
def test_the_tables_that_must_be_as_they_were(settings, further):
    assert set(tables_read(load_config(settings=settings))) == {*ALWAYS, *further}


@pytest.mark.parametrize(("before", "now"), [({"blocked_pairs": 3}, 4), ({}, 0), ({"blocked_pairs": 3}, None)])
def test_a_table_that_changed_is_named(before, now):
    tables = SimpleNamespace(exists=lambda name: name == "blocked_pairs" and now is not None, pin=lambda name: now)
    run = SimpleNamespace(config=load_config(), tables=tables)
    why = next(_changed(run, EarlierRun(AS_OF, 1, before), None, 1))
    assert why == "table blocked_pairs changed since 2024-01-31"


@pytest.mark.parametrize(
    ("spans", "turns"),
    [
        # days of January at midnight: the dates end with 32 and 33, and what ends at a moment is not available at it
        ([(1, 32), (31, None)], False),
        ([(None, 33)], True),
        ([(33, None)], True),
        ([(34, 40)], False),
    ],
)
def test_a_span_that_begins_or_ends_between_the_dates_is_one(spark, spans, turns):
    rows = [tuple(at and datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=at - 1) for at in span) for span in spans]
    frames = {
        "item_availability": spark.createDataFrame(rows, "available_from timestamp, available_to timestamp"),
        "interactions": spark.createDataFrame([(0,), (2,), (7,)], "item_idx int"),
    }
    tables = SimpleNamespace(exists=frames.__contains__, pin=lambda name: 5, read=lambda name, where=None: frames[name])
    run = SimpleNamespace(config=load_config(), tables=tables, as_of=AS_OF + timedelta(days=1))
    # of the model's three items, 1 has its first event on the date
    known = Catalogue(np.zeros(8, np.uint8), np.zeros(8, np.int64))
    found = list(_changed(run, EarlierRun(AS_OF, 1, {"item_availability": 5}), known, 3))
    of_spans = ["spans of table item_availability begin or end after 2024-01-31"] if turns else []
    assert found == [*of_spans, "items of the model had their first event after 2024-01-31"]
    known.barred[1] = 1 + 2  # without an event still, and not available
    assert list(_changed(run, EarlierRun(AS_OF, 1, {"item_availability": 5}), known, 3)) == of_spans


@pytest.mark.slow
def test_lists_of_candidates_that_are_kept_are_those_of_a_full_run(make_run):
    settings = [
        "recommend.n=2",
        "recommend.candidates.sources={model: 4, repeat: 1}",
        "recommend.filters.blocked_categories=[toys]",
        f"{RERANK}={{category_cap: 1, effects_users: 0}}",
    ]
    root = make_run("recommend").root
    write_world(root, None)
    write(root, schemas.ITEM_ATTRIBUTES, [{"item_id": item, "category": "food"} for item in ("i6", "i7")])

    def play(stage, as_of, made, *more):
        run = make_run(stage, *settings, *more, as_of=str(as_of))
        run_stage(run, made)
        return run

    def came_in(number, rows, as_of):
        def ingest(run):
            ids = {"event_id": str(number), "run_id": run.run_id}
            write(
                root, schemas.EVENTS, [{"user_id": user, "item_id": "i0", "event_time": at} for user, at in rows], **ids
            )
            run.tables.versions_written["events"] = run.tables.version("events")

        def index(run):
            run.tables.pin("events")
            run.tables.versions_written["interactions"] = run.tables.version("interactions")

        play("ingest", as_of, ingest)
        play("index", as_of, index)

    def lists(run):
        written = run.tables.read("recommendations", {"as_of_date": run.as_of}).collect()
        rows = [row.asDict() for row in written]
        made_by = {(row["user_id"], row["rank"]): row.pop("run_id") for row in rows}
        return sorted(rows, key=lambda row: (row["user_id"], row["rank"])), made_by

    def publish(run):
        of_date = run.tables.read("recommendations", {"as_of_date": run.as_of})
        run.tables.replace(schemas.RECOMMENDATIONS_CURRENT, of_date)

    came_in(1, [(f"u{user}", day(at)) for user, _, at in EVENTS], AS_OF)
    first = play("recommend", AS_OF, recommend, "night.refresh=changed")
    assert "users_made_anew" not in first.counts
    publish(first)
    second = AS_OF + timedelta(days=1)
    write_day(root, second, [*EVENTS, (4, 2, 32)])
    came_in(2, [("u4", day(32))], second)
    some = play("recommend", second, recommend, "night.refresh=changed")
    kept, made_by = lists(some)
    assert some.counts["users_made_anew"] == 1
    assert {user: run_id for (user, _), run_id in made_by.items()} == {
        f"u{user}": first.run_id if user < 4 else some.run_id for user in range(5)
    }
    # nobody is about no one, and yet the table is another: all lists are made, and they are the same
    write(root, schemas.BLOCKED_PAIRS, [{"user_id": "nobody", "item_id": "i2"}])
    everyone = play("recommend", second, recommend, "night.refresh=changed")
    whole, made_by = lists(everyone)
    assert (whole, set(made_by.values()), len(whole)) == (kept, {everyone.run_id}, 10)
    assert "users_made_anew" not in everyone.counts
    assert any("table blocked_pairs changed since 2024-01-31" in note for note in everyone.notes)
