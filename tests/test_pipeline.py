"""Which stages a night runs, and who may run them."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

import pytest
from deltalake import DeltaTable

from recsys_spark.errors import LeaseHeldError, LeaseLostError, UserError
from recsys_spark.lease import Lease, holder, is_held
from recsys_spark.nights import due
from recsys_spark.pipeline import chosen, dates, left_by
from recsys_spark.schemas import GATE_RESULTS, LEASES, RECOMMENDATIONS_CURRENT
from recsys_spark.stages import PIPELINE
from recsys_spark.tables import Tables

STAGES = ("ingest", "index", "features")
DAY = date(2024, 5, 1)
NOW = datetime.now()


def row(stage, minutes, pipeline="night-p", status="done", as_of=DAY, config="d", code="1"):
    return {
        "pipeline_id": pipeline, "stage": stage, "as_of_date": as_of, "status": status, "config": config,
        "started_at": NOW - timedelta(hours=1) + timedelta(minutes=minutes), "code_version": code, "version": minutes,
    }  # fmt: skip


def test_stages_are_chosen_from_one_to_another():
    assert chosen(STAGES, None, None) == STAGES
    assert chosen(STAGES, "index", "index") == ("index",)
    with pytest.raises(UserError, match="no stage 'train'"):
        chosen(STAGES, "train", None)
    with pytest.raises(UserError, match="--until ingest comes before --from features"):
        chosen(STAGES, "features", "ingest")


def test_a_killed_night_goes_on_after_its_last_whole_stage():
    night = left_by([row("ingest", 0, as_of=None), row("index", 1)], STAGES, "d", None, "1")
    assert (night.stages, night.done, night.as_of, night.pipeline_id) == (
        ("features",),
        ("ingest", "index"),
        DAY,
        "night-p",
    )
    failed = [row("ingest", 0), row("index", 1, status="failed")]
    assert left_by(failed, STAGES, "d", DAY, "1").stages == ("index", "features")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], ""),
        ([row(stage, place) for place, stage in enumerate(STAGES)], ""),  # whole
        ([row("ingest", 0), row("features", 2)], ""),  # whole, the model was kept
        ([row("index", 0)], ""),  # began in the middle
        ([row("ingest", 0, pipeline="p")], ""),  # a job by itself
        ([row("ingest", 0, config="other")], "the configuration is another"),
        ([row("ingest", 0), row("index", 1), row("features", 2, status="gated")], "a gate stopped it"),
        ([row("ingest", 0, code="0")], "the code is another"),
        ([row("ingest", 0, as_of=date(2024, 4, 30))], "it was of 2024-04-30"),
        ([row("ingest", 0), row("ingest", 1, pipeline="night-q", config="other")], "the configuration is another"),
    ],
)
def test_nothing_is_gone_on_with_but_the_latest_run_of_the_same_night(rows, why):
    night = left_by(rows, STAGES, "d", DAY, "1")
    assert (night.stages, night.done, night.anew) == (STAGES, (), why)


def test_a_night_that_kept_its_model_goes_on_after_its_last_whole_stage_too():
    done = [row(stage, place) for place, stage in enumerate(("ingest", "index", "features", "recommend"))]
    assert left_by(done, PIPELINE, "d", DAY, "1").stages == ("publish",)
    assert left_by(done[:3], PIPELINE, "d", DAY, "1").stages[0] == "examples"
    gated = [*done, row("publish", 9, status="gated")]
    assert left_by(gated, PIPELINE, "d", DAY, "1", by_force=True).stages == ("publish",)


def test_lists_that_a_gate_stopped_are_gone_on_with_by_force_alone():
    rows = [row("ingest", 0), row("index", 1), row("features", 2, status="gated")]
    night = left_by(rows, STAGES, "d", DAY, "1", by_force=True)
    assert night.stages == ("features",)


def test_without_a_date_only_a_young_night_is_gone_on_with():
    old = [{**row("ingest", 0), "started_at": NOW - timedelta(days=1)}]
    assert left_by(old, STAGES, "d", None, "1").anew == "no date is asked for, and it is not of the last hours"
    assert left_by(old, STAGES, "d", DAY, "1").done == ("ingest",)


def test_what_ran_last_is_told_by_the_table_and_not_by_a_clock_that_jumped():
    tomorrow = NOW + timedelta(days=1)
    finished = [{**row(stage, place, "night-p"), "started_at": tomorrow} for place, stage in enumerate(STAGES)]
    killed = [row("ingest", 3, "night-q")]
    assert left_by(finished + killed, STAGES, "d", DAY, "1").pipeline_id == "night-q"
    other = [{**row("ingest", 0, "night-p"), "started_at": tomorrow}, row("ingest", 1, "night-q", config="other")]
    assert not left_by(other, STAGES, "d", DAY, "1").done
    ahead = [{**row("ingest", 0), "started_at": tomorrow}]
    assert not left_by(ahead, STAGES, "d", None, "1").done  # of which night it was is not known


def test_a_backfill_is_of_every_day():
    assert dates(date(2024, 2, 28), date(2024, 3, 1)) == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]
    with pytest.raises(UserError, match="the last day comes before the first"):
        dates(date(2024, 3, 1), date(2024, 2, 28))


def test_a_model_is_due_so_many_days_after_the_last_from_scratch():
    models = [
        {"as_of_date": date(2024, 5, 1), "started_from": None},
        {"as_of_date": date(2024, 5, 4), "started_from": "m-20240501"},
    ]
    assert not due(models, date(2024, 5, 7), 7)
    assert due(models, date(2024, 5, 8), 7)
    assert due([], DAY, 7)


def test_publishing_comes_last():
    assert PIPELINE[-2:] == ("recommend", "publish")


@pytest.mark.parametrize(
    ("released", "seconds_ago", "alive", "held"),
    [
        (True, 0, True, False),
        (False, 10_000, True, True),  # seen to live
        (False, 0, False, False),  # seen to be dead
        (False, 599, None, True),
        (False, 601, None, False),
        (False, -86_400, None, False),  # by a clock that was set back since
    ],
)
def test_a_lease_is_held_by_who_lives_or_gave_a_sign_of_life(released, seconds_ago, alive, held):
    now = datetime(2024, 5, 1, 12, tzinfo=UTC)
    last = {"holder": "h/1/2", "renewed_at": now - timedelta(seconds=seconds_ago), "released": released}
    assert is_held(last, now, 600, lambda _: alive) == held


def test_this_very_process_lives():
    assert is_held({"holder": holder(), "renewed_at": datetime.now(UTC), "released": False}, datetime.now(UTC), 1)
    gone = holder().rsplit("/", 1)[0] + "/1"
    assert not is_held({"holder": gone, "renewed_at": datetime.now(UTC), "released": False}, datetime.now(UTC), 600)


def test_a_root_has_one_writer_and_who_lost_its_lease_publishes_nothing(spark, tmp_path):
    root = str(tmp_path / "root")
    empty = spark.createDataFrame([], RECOMMENDATIONS_CURRENT.schema)

    def tables(run_id, lease):
        return Tables(spark, root, run_id, turn=lease.turn)

    first, second = Lease(spark, root, "one", 600), Lease(spark, root, "two", 600)
    with first:
        tables("a", first).replace(RECOMMENDATIONS_CURRENT, empty, {"variant": "default"})
        with pytest.raises(LeaseHeldError, match=r"is in use: .*has its lease"), second:
            pass
        # it seems to die: its last sign of life is of a process that is no more
        dead = spark.read.format("delta").load(f"{root}/leases").first().asDict() | {"holder": "elsewhere/1/2"}
        dead |= {"renewed_at": datetime(2000, 1, 1)}
        spark.createDataFrame([tuple(dead.values())], LEASES.schema).write.format("delta").mode("overwrite").save(
            f"{root}/leases"
        )
        with second:
            with pytest.raises(LeaseLostError, match="took the lease"):
                tables("b", first).replace(RECOMMENDATIONS_CURRENT, empty, {"variant": "default"})
            tables("c", second).replace(RECOMMENDATIONS_CURRENT, empty, {"variant": "default"})
            tables("d", first).append(GATE_RESULTS, spark.createDataFrame([], GATE_RESULTS.schema))  # nobody's lists
    # given back by a clock that was set back since the last sign of life, which is of somewhere else
    number = 1 + max(row["generation"] for row in spark.read.format("delta").load(f"{root}/leases").collect())
    signs = [(number, "elsewhere/1/2", "p", datetime.now(UTC) - timedelta(hours=back), bool(back)) for back in (0, 1)]
    spark.createDataFrame(signs, LEASES.schema).write.format("delta").mode("append").save(f"{root}/leases")
    third = Lease(spark, root, "three", 600)
    with third:
        assert third.turn() > second.turn() > first.turn()


@pytest.mark.slow
def test_two_that_go_on_with_one_killed_night_do_not_both_get_the_lease(spark, tmp_path, monkeypatch):
    root = str(tmp_path / "root")
    first, second = Lease(spark, root, "night-p", 600), Lease(spark, root, "night-p", 600)
    monkeypatch.setattr(second, "_newest", lambda: None)  # it looked before the other had claimed it
    with first, pytest.raises(LeaseHeldError, match="another run took its lease this moment"), second:
        pass


@pytest.mark.slow
def test_signs_of_life_are_left_without_spark(spark, tmp_path):
    root = str(tmp_path / "root")
    with Lease(spark, root, "one", 1):
        deadline = time.monotonic() + 30
        while DeltaTable(f"{root}/leases").version() < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
    rows = spark.read.format("delta").load(f"{root}/leases").collect()
    assert {(row["generation"], row["pipeline_id"], row["holder"]) for row in rows} == {(1, "one", holder())}
    assert [row["released"] for row in rows].count(True) == 1 and len(rows) >= 3
    engines = [commit.get("clientVersion", "") for commit in DeltaTable(f"{root}/leases").history()]
    assert any(engine.startswith("delta-rs") for engine in engines)
