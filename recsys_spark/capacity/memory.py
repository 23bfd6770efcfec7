"""How much memory each process takes: embedding tables, item-sized arrays, what Petastorm reads ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recsys_spark.capacity.coefficients import Coefficients
from recsys_spark.capacity.work import Counts
from recsys_spark.feed.layouts import layout_of
from recsys_spark.model_settings import section_of
from recsys_spark.settings import Config

_MIB: Final = 1 << 20
_FLOAT, _INT = 4, 4
_OF_ITEM: Final = 16  # two numbers of eight bytes: what comes to the driver, and is broadcast, of an item
_ON_ARRIVAL: Final = 2  # pandas and numpy hold it at once
_ROW_GROUPS: Final = 6  # decoded: two waiting, one at work, one as a block, one with the rest before it, one permuted
_STACKS: Final = 3  # of batches: two ahead of the step, one in it
_BATCH_ROWS: Final = 10_000  # users of one Arrow batch, spark.sql.execution.arrow.maxRecordsPerBatch
_BLOCKS: Final = 4  # of evaluate.block_bytes, in use at once
_SLOTS: Final = {"adam": 2, "adagrad": 1}
_ITEMS_ONLY: Final = ("sasrec", "gru4rec", "softmax_dnn", "two_tower", "din")
_IN_NUMPY: Final = ("neumf", "gmf", "mlp")
RETRIEVE: Final = ("matrix_factorization", "sasrec", "gru4rec", "softmax_dnn", "two_tower")


@dataclass(frozen=True)
class Memory:
    """Resident bytes of one process, and what they are made of."""

    process: str
    bytes: int
    made_of: str


def memory_of(counts: Counts, config: Config, coefficients: Coefficients) -> list[Memory]:
    """Each process of a night at its peak, less what Java takes on the executors."""
    mib, rank = coefficients.mib, rank_bytes(counts, config, coefficients)
    items = _ON_ARRIVAL * _OF_ITEM * counts.items
    driver = round(mib["python"] * _MIB) + items
    inside = ""
    if config.training.ranks == 1:
        driver, inside = items + rank, ", and the training"
    processes = [
        Memory("driver, Java's live heap", round(mib["heap"] * _MIB), "the same for any number of events"),
        Memory("driver, Python", driver, f"{_ON_ARRIVAL * _OF_ITEM} bytes an item{inside}"),
    ]
    if config.training.ranks > 1:
        processes.append(Memory("a rank of the training", rank, "weights, slots, gradients, rows read ahead"))
    recommending, measuring = worker_bytes(counts, config, coefficients)
    return [
        *processes,
        Memory("a worker of recommend, a task slot", recommending, "the model, a block of scores, histories"),
        Memory("a worker of evaluate, a task slot", measuring, f"the model, {_BLOCKS} x evaluate.block_bytes"),
    ]


def table_widths(config: Config) -> tuple[int, int]:
    """Weights a user and an item in the model's embedding tables.

    The layers beside them do not grow with the data and are left out, as are declared features.
    """
    name, settings = config.model.name, getattr(config.model, section_of(config.model.name))
    match name:
        case "neumf":
            each = settings.gmf_width + settings.mlp_width
        case "gmf":
            each = settings.gmf_width
        case "mlp":
            each = settings.mlp_width
        case "matrix_factorization" | "din" | "two_tower":
            each = settings.width + 1  # a bias, or whether it is known
        case _:
            each = settings.width
    return (0 if name in _ITEMS_ONLY else each), each


def table_weights(counts: Counts, config: Config) -> int:
    """Weights of the embedding tables: users x their width + items x theirs."""
    of_user, of_item = table_widths(config)
    return counts.users * of_user + counts.items * of_item


def feed_bytes(config: Config) -> int:
    """What reading ahead takes: 4 bytes x the integers of a row x (6 row groups of `examples.rows_per_file` rows and 3
    stacks of `training.steps_per_call` x `training.batch_rows` rows).

    A row holds 2 + negatives integers of pairs, 2 + window of sequences.
    """
    made = config.examples
    width = layout_of(config.model.chosen.examples, made.negatives, made.window).width
    rows = _ROW_GROUPS * made.rows_per_file + _STACKS * config.training.steps_per_call * config.training.batch_rows
    return _INT * width * rows


def rank_bytes(counts: Counts, config: Config, coefficients: Coefficients) -> int:
    """One rank: TensorFlow, 4 bytes x weights x (1 + slots) twice (a checkpoint copies them), 4 bytes x the weights of
    tables of up to `training.dense_rows` rows for their gradients, and what is read ahead.

    Adam has two slots a weight, Adagrad one.
    """
    of_user, of_item = table_widths(config)
    dense = sum(rows * width for rows, width in ((counts.users, of_user), (counts.items, of_item))
                if rows <= config.training.dense_rows)  # fmt: skip
    kept = table_weights(counts, config) * (1 + _SLOTS[config.training.optimizer])
    return round(coefficients.mib["tensorflow"] * _MIB) + _FLOAT * (2 * kept + dense) + feed_bytes(config)


def worker_bytes(counts: Counts, config: Config, coefficients: Coefficients) -> tuple[int, int]:
    """A Python worker of recommend and one of evaluate: the process, the model, 16 bytes an item of what is broadcast,
    10,000 users' histories twice, and a block of scores; whatever the number of users.

    Models that are scored in numpy map their tables, of which those of the items are resident; others load all weights
    beside TensorFlow. Workers of one machine share what is mapped, which is not taken off here.
    """
    in_numpy = config.model.name in _IN_NUMPY and not config.features.declared
    how = "index" if in_numpy else "query" if config.model.name in RETRIEVE else "network"
    mib = coefficients.mib
    base = round(mib["python" if in_numpy else "tensorflow"] * _MIB)
    weights = counts.items * table_widths(config)[1] if in_numpy else table_weights(counts, config)
    histories = 2 * _INT * _BATCH_ROWS * counts.pairs // max(1, counts.users)
    held = base + _FLOAT * weights + _OF_ITEM * counts.items + histories
    scores = round(mib[f"block_{how}"] * _MIB)
    return held + scores, held + max(scores, _BLOCKS * config.evaluate.block_bytes)
