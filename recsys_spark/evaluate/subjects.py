"""Which models are evaluated, and how a worker comes by their scorers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import Broadcast
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.evaluate.baselines import BY_HISTORY
from recsys_spark.evaluate.blocks import Batches, blocks
from recsys_spark.evaluate.catalogue import Catalogue
from recsys_spark.evaluate.scorers import Popularity, Random, Scorer, WithFallback
from recsys_spark.evaluate.users import CONTEXT_OF
from recsys_spark.interactions.index import index_ids, index_sizes
from recsys_spark.interactions.split import TEST
from recsys_spark.models.users import Users
from recsys_spark.ranking import Bools
from recsys_spark.recommend.histories import users_of
from recsys_spark.runs import Run
from recsys_spark.tables import SliceKey
from recsys_spark.training.artifact import hold_against

# Opens the artifact at a path. It is called once a task, so it keeps what it opened for the process's next task.
Loader = Callable[[str], Scorer]

POPULARITY: Final = "popularity"
RANDOM: Final = "random"


@dataclass(frozen=True)
class Subject:
    """One thing that is evaluated: a model by its artifact's path, or a baseline, which has none."""

    version: str
    name: str
    fit: str
    parts: tuple[str, ...]
    path: str | None = None
    logits: bool = True  # whether the sigmoid of its scores is a probability
    reads_history: bool = False


@dataclass(frozen=True)
class Plan:
    """What a worker needs for its part of the evaluation; it travels with the tasks."""

    subjects: Sequence[Subject]
    catalogue: Broadcast[Catalogue]
    load: Loader
    ks: Sequence[int]
    negatives: int
    seed: int
    exclude_seen: bool
    block_users: int
    block_bytes: int
    fitted: Mapping[str, Broadcast[Scorer]] = field(default_factory=dict)  # baselines that have learnt, by name


def subjects_of(run: Run, parts: tuple[str, ...]) -> list[Subject]:
    """The newest evaluate fit of the date and `model.name`, the newest refit it vouches for (on test alone), the baselines.

    Raises:
        UserError: the date has no evaluate fit, or an artifact is gone, or is of other settings or another index; the
            message names jobs/train.py.
    """
    of_name: SliceKey = {c.AS_OF_DATE: run.as_of, c.FIT: "evaluate", c.MODEL_NAME: run.config.model.name}
    models, index = run.tables.read_slice("models", of_name), index_sizes(run.tables)
    fitted = _newest(run, models, parts, index)
    assert fitted is not None
    refits = run.tables.read("models", {c.AS_OF_DATE: run.as_of, c.FIT: "refit"})
    refitted = _newest(run, refits.where(F.col("evaluated_by") == fitted.version), (TEST,), index)
    baselines = [
        Subject(name, name, "evaluate", parts, reads_history=name in BY_HISTORY)
        for name in run.config.evaluate.baselines
    ]
    return [fitted, *([refitted] if refitted else []), *baselines]


def _newest(run: Run, models: DataFrame, parts: tuple[str, ...], index: tuple[int, int]) -> Subject | None:
    newest_first = models.orderBy(F.col("created_at").desc(), F.col(c.MODEL_VERSION).desc())
    row = newest_first.select(c.MODEL_VERSION, c.MODEL_NAME, c.FIT, "path").head()
    return None if row is None else subject_of(run, row, parts, index)


def subject_of(run: Run, row: Row, parts: tuple[str, ...], index: tuple[int, int]) -> Subject:
    """The model of a row of `models`; `index` are the sizes of users and items.

    Raises:
        UserError: its artifact is gone, or is of other settings or another index.
    """
    if not storage.has_folder(row["path"]):
        raise UserError(
            f"model {row[c.MODEL_VERSION]} of table `models` has no artifact at {row['path']}: run jobs/train.py again"
        )
    manifest = storage.load_manifest(row["path"])
    hold_against(manifest, run.config.examples.window, *index, index_ids(run.tables))
    scoring = manifest.get("scoring", {})
    logits, reads_history = bool(scoring.get("logits", True)), bool(scoring.get("history", 0))
    return Subject(row[c.MODEL_VERSION], row[c.MODEL_NAME], row[c.FIT], parts, row["path"], logits, reads_history)


def open_scorer(subject: Subject, plan: Plan) -> Scorer:
    """The subject's scorer in this process."""
    catalogue = plan.catalogue.value
    if subject.path is None and subject.name == RANDOM:
        return Random(plan.seed, catalogue.n_items)
    popularity = Popularity(catalogue.users_of_item)
    if subject.name in plan.fitted:
        return WithFallback(plan.fitted[subject.name].value, popularity)
    return popularity if subject.path is None else WithFallback(plan.load(subject.path), popularity)


class Block(NamedTuple):
    """Some rows, and what scores them: `users` are those of the rows, as the scorer takes them."""

    subject: Subject
    scorer: Scorer
    rows: pa.RecordBatch
    users: Users

    @property
    def known(self) -> Bools:
        """Which users the scorer knows, (U,)."""
        return self.scorer.knows(self.users)


def each_subject(batches: Batches, plan: Plan, most: int) -> Iterator[Block]:
    """Blocks of at most so many users, each once for every subject that is evaluated on their part."""
    opened: dict[str, Scorer] = {}
    for rows in blocks(batches, most):
        for subject in plan.subjects:
            of_parts = rows.filter(pc.is_in(rows.column(c.PART), value_set=pa.array(subject.parts)))
            if not of_parts.num_rows:
                continue
            if subject.version not in opened:
                opened[subject.version] = open_scorer(subject, plan)
            scorer, own = opened[subject.version], in_context(of_parts, subject.fit)
            yield Block(subject, scorer, own, users_of(own, scorer.history, scorer.n_items))


def in_context(users: pa.RecordBatch, fit: str) -> pa.RecordBatch:
    """The same with `context` as the fit encodes it, where there is one."""
    column = CONTEXT_OF.get(fit)
    if column not in users.schema.names:
        return users
    return pa.RecordBatch.from_arrays([*users.columns, users.column(column)], [*users.schema.names, c.CONTEXT])


def load_model(path: str) -> Scorer:
    """The scorer of a trained model's artifact."""
    from recsys_spark.recommend.scorer import load_scorer

    scorer: Scorer = load_scorer(path)
    return scorer
