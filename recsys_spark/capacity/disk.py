"""How much disk each table takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recsys_spark.capacity.coefficients import Coefficients
from recsys_spark.capacity.memory import table_weights
from recsys_spark.capacity.work import Counts, kinds_of, positives
from recsys_spark.model_settings import IMPRESSIONS, PAIRS, SEQUENCES
from recsys_spark.settings import Config

_FITS: Final = 3  # sequences are made for each fit, also for those that are not trained
_PARTS: Final = 2  # validation and test
_PAIR, _IMPRESSION = 2, 4  # indices and numbers of a row, beside negatives


@dataclass(frozen=True)
class TableSize:
    """One table, or the artifacts: its rows and bytes, and whether every further date adds as much."""

    name: str
    rows: int
    bytes: int
    each_date: bool


def disk_of(counts: Counts, config: Config, coefficients: Coefficients) -> list[TableSize]:
    """Rows and compressed bytes of a night's tables, at most. A row takes what it takes in the root, where there is one.

    - events, users, items: once; all others once a date
    - interactions: pairs; user_features, item_features: users and items x fits
    - sequences: min(events, users x `features.sequence_length`) events kept, x 3 fits
    - train_examples: positives x draws x fits rows of (2 + negatives) indices; train_sequences: users x windows x fits rows
      of `examples.window` indices; train_impressions: events x fits rows of 4
    - eval_examples: users x 2 parts rows of (1 + `examples.eval_negatives`) indices
    - recommendations: users x `recommend.n` rows; recommendations_current as many, once
    - artifacts: 4 bytes a weight of the embedding tables x fits

    Declared features and contexts, attributes, `metrics` and `runs` are not counted, nor are files that a rerun of the same
    date left behind until they are vacuumed.
    """
    each, made, fits = coefficients.bytes, config.examples, len(config.examples.fits)
    kept = _FITS * min(counts.events, counts.users * config.features.sequence_length)
    rows: list[tuple[str, int, float, bool]] = [
        ("events", counts.events, each["event"], False),
        ("users", counts.users, each["user"], False),
        ("items", counts.items, each["item"], False),
        ("interactions", counts.pairs, each["pair"], True),
        ("user_features", counts.users * fits, each["user_features"], True),
        ("item_features", counts.items * fits, each["item_features"], True),
        ("sequences", counts.users * _FITS, each["in_sequence"] * kept / max(1, counts.users * _FITS), True),
    ]
    kinds = kinds_of(config)
    if PAIRS in kinds:
        number = positives(counts, config) * made.draws * fits
        rows.append(("train_examples", number, each["index"] * (_PAIR + made.negatives), True))
    if SEQUENCES in kinds:
        rows.append(("train_sequences", counts.users * made.windows * fits, each["index"] * made.window, True))
    if IMPRESSIONS in kinds:
        rows.append(("train_impressions", counts.events * fits, each["index"] * _IMPRESSION, True))
    rows += [
        ("eval_examples", counts.users * _PARTS, each["index"] * (1 + made.eval_negatives), True),
        ("recommendations", counts.users * config.recommend.n, each["list_row"], True),
        ("recommendations_current", counts.users * config.recommend.n, each["list_row"], False),
    ]
    tables = [
        TableSize(name, number, round(number * counts.row_bytes.get(name, bytes_each)), each_date)
        for name, number, bytes_each, each_date in rows
    ]
    return [*tables, TableSize("artifacts", fits, 4 * table_weights(counts, config) * fits, True)]
