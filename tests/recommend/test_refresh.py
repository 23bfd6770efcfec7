"""Lists that are kept from the night before are those of a full run, and are not kept where that cannot be known."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace

import pytest

from recsys_spark import schemas
from recsys_spark.config import load_config
from recsys_spark.interactions.carry import EarlierRun
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
    write(root, schemas.ITEM_AVAILABILITY, [{"item_id": "i8", "available_from": day(34)}])

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
    second, third = AS_OF + timedelta(days=1), date(2024, 2, 3)
    after = [*EVENTS, (4, 2, 32)]
    write_day(root, second, after)
    came_in(2, [("u4", day(32))], second)
    some = play("recommend", second, recommend, "night.refresh=changed")
    kept, made_by = lists(some)
    assert some.counts["users_made_anew"] == 1
    assert {user: run_id for (user, _), run_id in made_by.items()} == {
        f"u{user}": first.run_id if user < 4 else some.run_id for user in range(5)
    }
    everyone = play("recommend", second, recommend)
    whole, made_by = lists(everyone)
    assert (whole, set(made_by.values()), len(whole)) == (kept, {everyone.run_id}, 10)

    publish(everyone)
    write_day(root, third, after)  # the day on which a span of availability begins
    came_in(3, [], third)
    anew = play("recommend", third, recommend, "night.refresh=changed")
    assert "users_made_anew" not in anew.counts and set(lists(anew)[1].values()) == {anew.run_id}
    assert any("spans of table item_availability begin or end after 2024-02-01" in note for note in anew.notes)
