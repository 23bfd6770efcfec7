"""Every formula by numbers reckoned by hand."""

from __future__ import annotations

import inspect

import pytest

from recsys_spark.capacity import Counts, calibrated, estimate, load_coefficients
from recsys_spark.capacity.coefficients import Coefficients, Observed
from recsys_spark.capacity.memory import RETRIEVE, feed_bytes, table_weights, table_widths
from recsys_spark.capacity.work import work_of
from recsys_spark.config import load_config
from recsys_spark.files import Size
from recsys_spark.model_settings import Model

COUNTS = Counts(events=2_000_000, users=10_000, items=5_000, pairs=1_000_000)
MIB = 1 << 20
# round numbers, so that what follows can be done in the head
COSTS = Coefficients.model_validate(
    {
        "cores": 2,
        "stages": {
            "ingest": {"fixed": 5, "microseconds": 30},
            "index": {"fixed": 10, "microseconds": 2},
            "features": {"fixed": 0, "microseconds": 10},
            "examples": {"fixed": 10, "microseconds": 0.5},
            "train": {"fixed": 20, "microseconds": {"neumf": 1, "sasrec": 20}},
            "evaluate": {"fixed": 20, "microseconds": {"neumf": 0.25, "sasrec": 1}},
            "recommend": {"fixed": 10, "microseconds": {"neumf": 0.2, "sasrec": 1}},
        },
        "bytes": {
            "event": 60, "user": 8, "item": 9, "pair": 15, "user_features": 40, "item_features": 30, "in_sequence": 5,
            "index": 4, "list_row": 7,
        },
        "mib": {
            "python": 100, "tensorflow": 500, "heap": 130, "block_index": 256, "block_query": 64, "block_network": 256,
        },
        "tested": {"events": 10_000_000, "users": 100_000, "items": 50_000},
    }
)  # fmt: skip


def config(*settings: str):
    return load_config(settings=settings)


def test_what_each_stage_counts():
    # two fits, 4 negatives, 4 draws, 20 epochs; one fit is measured, on two parts
    assert {name: work.number for name, work in work_of(COUNTS, config()).items()} == {
        "ingest": 2_000_000,
        "index": 2_000_000,
        "features": 4_000_000,
        "examples": 2 * 1_000_000 * 5 * 4,
        "train": 2 * 20 * 1_000_000 * 5,
        "evaluate": 10_000 * 2 * 100 + 10_000 * 5_000,
        "recommend": 50_000_000,
    }


@pytest.mark.parametrize(
    ("settings", "stage", "number"),
    [
        (["examples.positives=events"], "train", 2 * 20 * 2_000_000 * 5),
        (["examples.fits=[evaluate,refit,production]"], "evaluate", 2 * 52_000_000),
        (["examples.fits=[production]"], "evaluate", 0),
        (["evaluate.protocols=[full]", "evaluate.full_users=500"], "evaluate", 500 * 5_000),
        (["evaluate.protocols=[full]", "evaluate.full_users=0"], "evaluate", 50_000_000),
        (["model.neumf.pretrain=true"], "train", 3 * 200_000_000),
        (["model.neumf.objective=explicit"], "train", 2 * 20 * 1_000_000),
        (["model.neumf.objective=explicit"], "examples", 40_000_000),
        (["model.neumf.objective=clicks"], "train", 2 * 20 * 2_000_000),
        (["model.name=sasrec", "training.epochs=10"], "train", 2 * 10 * 10_000 * 3 * 200),
        (["model.name=sasrec"], "examples", 2 * 10_000 * 3 * 200),
        (["recommend.candidates.sources={model: 400, repeat: 100}"], "recommend", 10_000 * 500),
        (["recommend.candidates.sources={model: 9000}"], "recommend", 10_000 * 5_000),
        (["examples.kinds=[pairs,ratings,sequences]"], "examples", 40_000_000 + 2 * 10_000 * 200),
    ],
)
def test_settings_that_change_the_work(settings, stage, number):
    assert work_of(COUNTS, config(*settings))[stage].number == number


def test_hours():
    plan = estimate(COUNTS, config(), COSTS)
    seconds = {stage.name: stage.seconds for stage in plan.stages}
    assert seconds == {
        "ingest": 5 + 60,
        "index": 10 + 4,
        "features": 40,
        "examples": 10 + 20,
        "train": 20 + 200,
        "evaluate": 20 + 13,
        "recommend": 10 + 10,
    }
    assert plan.hours == pytest.approx(422 / 3600)


def test_more_cores_speed_up_all_but_what_is_fixed_and_a_training():
    plan = estimate(COUNTS, config(), COSTS.on(8))
    seconds = {stage.name: stage.seconds for stage in plan.stages}
    assert (seconds["ingest"], seconds["train"], seconds["recommend"]) == (5 + 15, 220, 10 + 2.5)


def test_disk():
    plan = estimate(COUNTS, config(), COSTS)
    assert {table.name: (table.rows, table.bytes) for table in plan.tables} == {
        "events": (2_000_000, 120_000_000),
        "users": (10_000, 80_000),
        "items": (5_000, 45_000),
        "interactions": (1_000_000, 15_000_000),
        "user_features": (20_000, 800_000),
        "item_features": (10_000, 300_000),
        "sequences": (30_000, 30_000_000),
        "train_examples": (8_000_000, 192_000_000),
        "eval_examples": (20_000, 8_000_000),
        "recommendations": (100_000, 700_000),
        "recommendations_current": (100_000, 700_000),
        "artifacts": (2, 15_360_000),
    }
    assert plan.disk_bytes == 382_985_000
    assert plan.date_bytes == 262_160_000  # without events, users, items and the current lists


def test_disk_of_sequences_and_impressions():
    kinds = config("examples.kinds=[sequences,impressions]", "features.sequence_length=50")
    sizes = {table.name: (table.rows, table.bytes) for table in estimate(COUNTS, kinds, COSTS).tables}
    assert sizes["train_sequences"] == (20_000, 20_000 * 200 * 4)
    assert sizes["train_impressions"] == (4_000_000, 4_000_000 * 16)
    assert sizes["sequences"] == (30_000, 3 * 10_000 * 50 * 5)
    assert "train_examples" not in sizes


def test_a_table_of_the_root_says_itself_what_a_row_takes():
    counts = Counts(2_000_000, 10_000, 5_000, 1_000_000, {"events": 100.0})
    assert estimate(counts, config(), COSTS).tables[0].bytes == 200_000_000


RANK = 500 * MIB + 4 * (2 * 1_920_000 * 3 + 1_920_000) + 4 * 6 * (6 * 131_072 + 3 * 8 * 1_638)


def test_memory():
    used = {one.process.partition(",")[0]: one.bytes for one in estimate(COUNTS, config(), COSTS).memory}
    held = 100 * MIB + 4 * 5_000 * 128 + 16 * 5_000 + 2 * 4 * 10_000 * 100
    assert used["a worker of recommend"] == held + 256 * MIB
    assert used["a worker of evaluate"] == held + 4 * 128 * MIB
    driver = [one.bytes for one in estimate(COUNTS, config(), COSTS).memory if one.process == "driver, Python"]
    assert driver == [2 * 16 * 5_000 + RANK]


def test_with_several_ranks_the_driver_holds_no_model():
    used = {one.process: one.bytes for one in estimate(COUNTS, config("training.ranks=2"), COSTS).memory}
    assert used["driver, Python"] == 100 * MIB + 160_000
    assert used["a rank of the training"] == RANK


def test_gradients_of_tables_above_dense_rows_are_of_the_batch_alone():
    used = {one.process: one.bytes for one in estimate(COUNTS, config("training.dense_rows=6000"), COSTS).memory}
    assert used["driver, Python"] == 160_000 + RANK - 4 * 10_000 * 128  # the users' table has more rows


def test_a_network_loads_all_its_weights_beside_tensorflow():
    used = {
        one.process: one.bytes
        for one in estimate(COUNTS, config("model.name=sasrec", "model.sasrec.width=32"), COSTS).memory
    }
    held = 500 * MIB + 4 * 5_000 * 32 + 16 * 5_000 + 8_000_000
    assert used["a worker of recommend, a task slot"] == held + 64 * MIB


def test_what_reading_windows_ahead_takes():
    assert feed_bytes(config("model.name=sasrec")) == 4 * 202 * (6 * 131_072 + 3 * 1 * 128)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("neumf", 15_000 * 128),
        ("gmf", 15_000 * 64),
        ("mlp", 15_000 * 64),
        ("matrix_factorization", 15_000 * 65),
        ("embedding_mlp", 15_000 * 50),
        ("multitask", 15_000 * 32),
        ("sasrec", 5_000 * 64),
        ("din", 5_000 * 33),
    ],
)
def test_weights_of_the_embedding_tables(name, weights):
    assert table_weights(COUNTS, config(f"model.name={name}")) == weights


def test_runs_of_the_root_count_more_than_what_is_shipped():
    runs = [Observed("ingest", seconds, COUNTS, config()) for seconds in (130.0, 195.0, 65.0)]
    runs += [Observed("index", 7.0, COUNTS, config())]
    own = calibrated(COSTS, runs)
    assert own.observed == {"ingest": 2.0, "index": 0.5}  # 65 and 14 seconds were foretold
    plan = estimate(Counts(4_000_000, 10_000, 5_000, 1_000_000), config(), own)
    assert [(stage.seconds, stage.observed) for stage in plan.stages[:3]] == [(250, True), (9, True), (80, False)]


def test_only_the_latest_five_runs_of_a_stage_count():
    runs = [Observed("ingest", 65.0, COUNTS, config())] * 5 + [Observed("ingest", 6500.0, COUNTS, config())] * 20
    assert calibrated(COSTS, runs).observed == {"ingest": 1.0}


@pytest.mark.parametrize(
    ("counts", "settings", "said"),
    [
        (COUNTS, [], []),
        (Counts(20_000_000, 10, 10, 10), [], ["no more than 10,000,000 events"]),
        (COUNTS, ["run.driver_bytes=79999"], ["5,000 items take 80,000 bytes on the driver"]),
        (COUNTS, ["evaluate.baselines=[ease]", "run.driver_bytes=199999999"], ["ease take 200,000,000 bytes"]),
        (COUNTS, ["recommend.candidates.sources={model: 400}"], ["finding candidates"]),
        (COUNTS, ["training.ranks=8"], ["fewer rows than 8 ranks"]),
    ],
)
def test_what_will_not_do_is_said(counts, settings, said):
    warnings = estimate(counts, config(*settings), COSTS).warnings
    assert len(warnings) == len(said)
    assert all(words in warning for words, warning in zip(said, warnings, strict=True))


def test_the_lines_a_person_reads():
    lines = list(estimate(COUNTS, config(), calibrated(COSTS, [Observed("index", 7200.0, COUNTS, config())])).lines())
    assert lines[0] == "plan for neumf: 2,000,000 events, 10,000 users, 5,000 items, 1,000,000 pairs"
    assert "  index                          2.00 *  2,000,000 events" in lines
    assert "  events                          114    2,000,000 rows" in lines
    assert "  train_examples                  183 +  8,000,000 rows" in lines
    assert all(len(line) <= 130 for line in lines)


def test_the_shipped_coefficients_know_every_stage_and_model():
    shipped = load_coefficients()
    assert list(shipped.stages) == list(work_of(COUNTS, config()))
    names = set(Model.model_fields["name"].annotation.__args__)
    for stage in ("train", "evaluate", "recommend"):
        assert set(shipped.stages[stage].microseconds) == names
    for name in sorted(names):
        estimate(COUNTS, config(f"model.name={name}"), shipped)


def test_the_blocks_of_the_shipped_coefficients_are_those_of_the_code():
    from recsys_spark.models.retrieval import DotScorer
    from recsys_spark.models.scoring import BlockScorer
    from recsys_spark.recommend import scorer

    mib = load_coefficients().mib
    assert inspect.signature(BlockScorer).parameters["max_bytes"].default == mib["block_index"] * MIB
    assert inspect.signature(DotScorer).parameters["max_bytes"].default == mib["block_query"] * MIB
    assert mib["block_network"] * MIB == 4 * scorer._FLOATS_AT_A_TIME


def test_sizes_of_a_log():
    def file(day, rows, size):
        return {"partition.as_of_date": day, "num_records": rows, "size_bytes": size}

    files = [file("2024-01-02", 3, 30), file("2024-01-01", 7, 70), file("2024-01-02", None, 5)]
    assert Size.of(files, "partition.as_of_date") == Size(10, 105, 3, 35)
    assert Size.of([{"num_records": 4, "size_bytes": 9}], "partition.as_of_date") == Size(4, 9, 4, 9)
    assert Size.of([], "partition.as_of_date") == Size(0, 0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(Model.model_fields["name"].annotation.__args__))
def test_models_grow_by_the_widths_that_are_reckoned_with(name):
    from recsys_spark.models import _MODELS, build_model

    chosen = config(f"model.name={name}")
    settings = chosen.model.chosen.arguments() | ({"length": 20} if chosen.model.chosen.examples == "sequences" else {})

    def weights(n_users, n_items):
        model = build_model(name, settings, n_users, n_items)
        return sum(int(weight.value.shape.num_elements()) for weight in model.weights), model.retrieves

    (base, retrieves), (users, _), (items, _) = weights(10, 20), weights(11, 20), weights(10, 21)
    assert (users - base, items - base) == table_widths(chosen)
    assert retrieves == (name in RETRIEVE)
    assert set(_MODELS) >= {name}
