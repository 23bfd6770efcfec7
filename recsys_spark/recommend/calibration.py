"""Scores as probabilities, learnt on validation: a sigmoid over what the evaluate fit says of the held-out lists.

A held-out list is a user's targets among sampled candidates, so each candidate counts for as many items as it was drawn
from: a probability is that of the user taking an item of the whole catalogue, in a time as long as validation.

Source: Platt (1999), "Probabilistic Outputs for Support Vector Machines"; King and Zeng (2001), "Logistic Regression in
Rare Events Data", for the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_columns
from recsys_spark.errors import UserError
from recsys_spark.interactions.split import VALIDATION
from recsys_spark.ragged import padded
from recsys_spark.recommend.barring import ragged_of
from recsys_spark.recommend.histories import users_of
from recsys_spark.recommend.pools import Sigmoid
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.runs import Run
from recsys_spark.storage import load_manifest

_TAKEN, _WEIGHT = "taken", "weight"
_HASH_STEPS: Final = 1 << 20
_OFF: Final = "set recommend.calibration=none"

Doubles = npt.NDArray[np.float64]


def calibration(run: Run, model: Mapping[str, Any]) -> Sigmoid | None:
    """The sigmoid of a model's scores, None where none is asked for; a note says what it is.

    It is learnt from the scores of the fit that vouches for the model, which has not seen validation, on the date's lists of
    about `calibration_users` users. These are scored on the executors; a row a pair comes to the driver.

    Raises:
        UserError: there are no such lists or no such fit, the model predicts ratings or takes a context, or its scores do not
            tell what is taken.
    """
    config = run.config.recommend
    if config.calibration == "none":
        return None
    fit = _vouching(run, model)
    lists = run.tables.read_slice("eval_examples", {c.AS_OF_DATE: fit[c.AS_OF_DATE], c.PART: VALIDATION})
    sampled = lists.transform(lambda rows: _some(rows, config.calibration_users, run.seed))
    sequences = run.tables.read_slice("sequences", {c.AS_OF_DATE: fit[c.AS_OF_DATE], c.FIT: "evaluate"})
    sampled = sampled.join(sequences.select(c.USER_IDX, c.ITEMS), on=c.USER_IDX, how="left")
    schema = f"{c.SCORE} double, {_TAKEN} int, {_WEIGHT} double"
    scored = sampled.mapInArrow(_scored(str(fit["path"]), config.block_users), schema).persist()
    try:
        names = [c.SCORE, _TAKEN, _WEIGHT]
        came = collect_columns(scored, names, "scores of validation", run.config.run.driver_bytes)
    finally:
        scored.unpersist()
    found = platt(came[c.SCORE], came[_TAKEN], came[_WEIGHT])
    run.notes.append(
        f"scores are probabilities, 1 / (1 + exp(-(a s + b))) with a = {found.slope:.6g}, b = {found.shift:.6g}, learnt from "
        f"{len(came[_TAKEN]):,} pairs of validation"
    )
    return found


def platt(scores: Doubles, taken: npt.NDArray[Any], weights: Doubles) -> Sigmoid:
    """The sigmoid of the greatest likelihood of what was taken (0 or 1), each pair counted by its weight: all (P,).

    Raises:
        UserError: nothing was taken, or all was, or higher scores are not taken more often.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(taken)) < 2:
        raise UserError(
            f"recommend.calibration: validation has no pairs to learn it from; run jobs/examples.py, or {_OFF}"
        )
    middle, width = float(np.mean(scores)), float(np.std(scores)) or 1.0
    fitted = LogisticRegression(C=1e12, max_iter=1000).fit(((scores - middle) / width)[:, None], taken, weights)
    slope = float(fitted.coef_[0, 0]) / width
    if slope <= 0.0:
        raise UserError(f"recommend.calibration: on validation higher scores are not taken more often; {_OFF}")
    return Sigmoid(slope, float(fitted.intercept_[0]) - slope * middle)


def _vouching(run: Run, model: Mapping[str, Any]) -> Row:
    """The row of the evaluate fit that vouches for a model: of an earlier date, where a night keeps its model."""
    rows = run.tables.read("models").where(F.col(c.MODEL_VERSION) == model["evaluated_by"])
    found = rows.head() if model["evaluated_by"] else None
    if found is None:
        raise UserError(
            f"recommend.calibration: no evaluate fit vouches for {model[c.MODEL_VERSION]}; train with `evaluate` among "
            f"examples.fits, or {_OFF}"
        )
    manifest = load_manifest(found["path"])
    scoring = manifest.get("scoring", {})
    if scoring.get("ratings") or scoring.get("context"):
        what = "predicts ratings" if scoring.get("ratings") else "takes a context"
        raise UserError(f"recommend.calibration: {manifest['model_version']} {what}, which has no probability; {_OFF}")
    return found


def _some(lists: DataFrame, most: int, seed: int) -> DataFrame:
    """About `most` users' lists, by a hash."""
    share = most / max(1, lists.count())
    if share >= 1.0:
        return lists
    place = F.pmod(F.xxhash64(F.lit(seed), c.USER_IDX), F.lit(_HASH_STEPS))
    return lists.where(place < int(share * _HASH_STEPS))


def _scored(path: str, block_users: int) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, block_users):
                columns = _pairs(path, batch.slice(start, block_users))
                yield pa.RecordBatch.from_arrays([pa.array(each) for each in columns], [c.SCORE, _TAKEN, _WEIGHT])

    return score


def _pairs(path: str, block: pa.RecordBatch) -> tuple[Doubles, npt.NDArray[np.int32], Doubles]:
    """A block of held-out lists -> each pair's score, whether it is a target, and how many items it stands for."""
    scorer = load_scorer(path)
    users = users_of(block, scorer.history, scorer.n_items)
    scored = []
    for name in (c.TARGETS, c.CANDIDATES):
        indptr, values = ragged_of(block.column(name))
        items = padded(np.diff(indptr), values)
        there = (items >= 0) & (items < scorer.n_items) & scorer.knows(users)[:, None]
        rows = np.flatnonzero(there.any(axis=1))
        scores = np.zeros(items.shape, np.float64)
        if len(rows):
            scores[rows] = scorer.scores(users[rows], np.where(there, items, 0)[rows])
        scored.append((scores, there))
    (of_targets, targets), (of_others, others) = scored
    stands_for = (scorer.n_items - targets.sum(axis=1)) / np.maximum(others.sum(axis=1), 1)
    weights = np.broadcast_to(np.maximum(stands_for, 1.0)[:, None], others.shape)
    taken = np.repeat(np.array([1, 0], np.int32), [targets.sum(), others.sum()])
    all_weights = np.concatenate([np.ones(targets.sum()), weights[others]])
    return np.concatenate([of_targets[targets], of_others[others]]), taken, all_weights
