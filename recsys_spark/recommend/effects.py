"""What each step of re-ranking does to the lists, measured on validation: the table `rerank_effects`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.bounded import collect_columns
from recsys_spark.interactions.pairs import positives_in
from recsys_spark.interactions.split import TRAIN, VALIDATION
from recsys_spark.nights import models_of
from recsys_spark.ragged import padded
from recsys_spark.ranking import Floats
from recsys_spark.recommend.effect_sums import EXPOSURE, SUMS, Sums
from recsys_spark.recommend.histories import users_of
from recsys_spark.recommend.item_facts import facts_of_items, hold_vectors, with_vectors
from recsys_spark.recommend.list_figures import category_diversity, gini, list_ndcg, vector_diversity
from recsys_spark.recommend.rerank import ItemFacts, RerankPolicy, Scored, policy_of, rerank, steps_of
from recsys_spark.recommend.scorer import load_scorer
from recsys_spark.recommend.tally import BEFORE, PUBLISHED, Tally
from recsys_spark.runs import Run
from recsys_spark.schemas import RERANK_EFFECTS
from recsys_spark.tables import SliceKey
from recsys_spark.transform import in_sample

SCORES: Final = "scores"
NIGHT, OF_PUBLISHED = "night", "published"  # of the date's own lists: the model's best n, and as they are written
NDCG, DIVERSITY, CATEGORY_DIVERSITY = "ndcg", "diversity", "category_diversity"
COVERAGE, GINI = "coverage", "gini"
_SEEN: Final = "seen"

Figure = tuple[int, str, str, float, int]  # step, metric, segment, value, users
_Row = tuple[Any, ...]  # of `rerank_effects`


@dataclass(frozen=True)
class Measuring:
    """What a worker needs; it travels with the tasks."""

    artifact: str
    policy: RerankPolicy
    facts: Broadcast[ItemFacts]
    n: int
    exclude_seen: bool
    block_users: int


class Night(NamedTuple):
    """What the tasks that made the date's own lists counted, the groups whose exposure they counted, and the model's version."""

    counted: Tally
    groups: Sequence[str]
    version: str


def measure_effects(run: Run, night: Night | None = None) -> None:
    """Write the effects of the steps, one on top of the other, if there is an evaluate fit and a step is on or groups are named;
    and with them what the groups were given by the date's own lists.

    The lists are those of the newest evaluate fit up to the date, for about `recommend.rerank.effects_users` users with
    validation items whom it knows; their train items are left out where `recommend.exclude_seen` says so. Contexts are not
    given. O(users x items) scores once, and a re-ranking a step; partial sums and item-sized arrays come to the driver.

    Raises:
        UserError: a table or its slice is missing, or an array of the items does not fit `run.driver_bytes`.
    """
    rerank, rows = run.config.recommend.rerank, list[_Row]()
    steps = steps_of(rerank)
    if rerank.effects_users and (steps or rerank.exposure.group):
        rows += _on_validation(run, steps)
    if night is not None:
        rows += _of_night(run, night, len(steps) + 1)
    if rows:
        where: SliceKey = {c.AS_OF_DATE: run.as_of, c.VARIANT: run.config.recommend.variant}
        effects = run.spark.createDataFrame(rows, RERANK_EFFECTS.schema)
        run.counts["rerank_effects"] = run.tables.replace(RERANK_EFFECTS, effects, where)


def _on_validation(run: Run, steps: Sequence[str]) -> list[_Row]:
    """Rows of `rerank_effects` of the newest evaluate fit, none without one."""
    config, fit = run.config.recommend, _evaluate_fit(run)
    if fit is None:
        return []
    facts = facts_of_items(run, fit[c.AS_OF_DATE], "evaluate")
    policy = policy_of(config.rerank, facts.group_names, run.seed, run.as_of.toordinal())
    manifest = storage.load_manifest(fit["path"])
    if config.rerank.diversity.by == "vectors" and "diversity" in steps:
        hold_vectors(manifest)
    shared = run.spark.sparkContext.broadcast(facts)
    measuring = Measuring(fit["path"], policy, shared, config.n, config.exclude_seen, config.block_users)
    users = _users(run, fit, bool(manifest.get("scoring", {}).get("history", 0)))
    tasks = run.config.run.shuffle_partitions or 2 * run.spark.sparkContext.defaultParallelism
    sums = users.repartition(tasks, c.USER_IDX).mapInArrow(effects_pass(measuring), SUMS).persist()
    try:
        figures = _figures(run, sums, facts, policy, int(manifest["model"]["n_items"]))
    finally:
        sums.unpersist()
        shared.unpersist()
    _tell(run, figures, (SCORES, *policy.steps))
    return _rows(run, figures, (SCORES, *policy.steps), fit[c.MODEL_VERSION])


def _of_night(run: Run, night: Night, first: int) -> list[_Row]:
    """Rows of the groups' exposure in the date's own lists, before re-ranking and as they are written."""
    counted = night.counted
    if not counted.lists:
        return []
    before, after = (dict(zip(night.groups, counted.shares(place), strict=True)) for place in (BEFORE, PUBLISHED))
    shown = ", ".join(f"{name} {before[name]:.4f} -> {after[name]:.4f}" for name in list(before)[:8])
    run.notes.append(f"exposure in {counted.lists:,} lists, of the model's best and as published: {shown}")
    figures = [
        (place, EXPOSURE, name, float(share), counted.lists)
        for place, shares in enumerate((before, after))
        for name, share in shares.items()
    ]
    return _rows(run, figures, (NIGHT, OF_PUBLISHED), night.version, first)


def _evaluate_fit(run: Run) -> Mapping[str, Any] | None:
    """The newest evaluate fit up to the date whose artifact and validation part are there."""
    newest = next(iter(models_of(run, "evaluate", run.config.model.name)), None)
    if newest is None or not storage.has_folder(newest["path"]):
        run.notes.append("no evaluate fit is there: the effects of re-ranking are not measured")
        return None
    where: SliceKey = {c.AS_OF_DATE: newest[c.AS_OF_DATE], c.PART: VALIDATION}
    if run.tables.read("eval_examples", where).isEmpty():
        run.notes.append("the split holds out no validation part: the effects of re-ranking are not measured")
        return None
    return newest


def _users(run: Run, fit: Mapping[str, Any], reads_history: bool) -> DataFrame:
    """`(user_idx, targets, seen, items)`: a sample of those with validation items, with what they had in train."""
    as_of = fit[c.AS_OF_DATE]
    held_out = run.tables.read("eval_examples", {c.AS_OF_DATE: as_of, c.PART: VALIDATION})
    share = min(1.0, run.config.recommend.rerank.effects_users / max(1, held_out.count()))
    chosen = held_out.where(in_sample(share, run.seed, c.USER_IDX)).select(c.USER_IDX, c.TARGETS)
    taken = run.tables.read_slice("interactions", {c.AS_OF_DATE: as_of}).where(positives_in(TRAIN) > 0)
    by_user = taken.groupBy(c.USER_IDX).agg(F.array_sort(F.collect_list(c.ITEM_IDX)).alias(_SEEN))
    nothing = F.array().cast("array<int>")
    users = chosen.join(by_user, on=c.USER_IDX, how="left").withColumn(_SEEN, F.coalesce(_SEEN, nothing))
    if not reads_history:
        return users.withColumn(c.ITEMS, F.lit(None).cast("array<int>"))
    sequences = run.tables.read_slice("sequences", {c.AS_OF_DATE: as_of, c.FIT: "evaluate"})
    return users.join(sequences.select(c.USER_IDX, c.ITEMS), on=c.USER_IDX, how="left")


def effects_pass(measuring: Measuring) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Users with targets and histories -> partial sums (`effect_sums.SUMS`), once a task.

    Memory is the model, a block, and a number an item and step.
    """

    def measured(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        facts = with_vectors(measuring.facts.value, measuring.artifact)
        sums = Sums(len(measuring.policy.steps) + 1, len(facts.group), measuring.n)
        for batch in batches:
            for start in range(0, batch.num_rows, measuring.block_users):
                _add_block(sums, batch.slice(start, measuring.block_users), facts, measuring)
        yield from sums.to_arrow()

    return measured


def _add_block(sums: Sums, block: pa.RecordBatch, facts: ItemFacts, measuring: Measuring) -> None:
    scorer, n = load_scorer(measuring.artifact), measuring.n
    known = scorer.knows(users_of(block, scorer.history, scorer.n_items))
    block = block.filter(pa.array(known))
    users = users_of(block, scorer.history, scorer.n_items)
    if not len(users):
        return
    seen = block.column(_SEEN)
    indptr = np.concatenate([[0], np.cumsum(pc.list_value_length(seen).to_numpy(zero_copy_only=False))])
    exclude = (indptr, seen.flatten().to_numpy()) if measuring.exclude_seen else None
    pool = min(measuring.policy.pool(n), scorer.n_items)
    scored = Scored(users.idx, *scorer.top_n(users, pool, exclude))
    lengths = pc.list_value_length(block.column(c.TARGETS)).to_numpy(zero_copy_only=False)
    targets = padded(lengths, block.column(c.TARGETS).flatten().to_numpy())
    for step in range(len(measuring.policy.steps) + 1):
        listed = rerank(scored, facts, measuring.policy.first(step), n).items
        there, inside = listed >= 0, np.maximum(listed, 0)
        sums.add(step, NDCG, list_ndcg(listed, targets, n))
        sums.add(step, CATEGORY_DIVERSITY, category_diversity(facts.category[inside], there))
        if facts.vectors is not None:
            sums.add(step, DIVERSITY, vector_diversity(facts.vectors[inside], there))
        sums.show(step, listed)


def _figures(run: Run, sums: DataFrame, facts: ItemFacts, policy: RerankPolicy, n_items: int) -> list[Figure]:
    """All finished figures: means of the users' ones, and what the exposure of the items comes to."""
    of_users = sums.where(F.col(c.ITEM_IDX).isNull()).groupBy(c.POSITION, c.METRIC)
    means = of_users.agg((F.sum(c.VALUE) / F.sum(c.N)).alias(c.VALUE), F.sum(c.N).alias(c.N)).where(F.col(c.N) > 0)
    figures = [(row[0], row[1], "all", row[2], row[3]) for row in means.collect()]
    users = {step: n for step, metric, _, _, n in figures if metric == NDCG}
    of_items = sums.where(F.col(c.ITEM_IDX).isNotNull()).groupBy(c.POSITION, c.ITEM_IDX)
    shown = of_items.agg(F.sum(c.VALUE).alias(c.VALUE)).persist()
    names = [c.POSITION, c.ITEM_IDX, c.VALUE]
    came = collect_columns(shown, names, "exposure of the items", run.config.run.driver_bytes)
    shown.unpersist()
    for step, n in users.items():
        exposure, own = np.zeros(max(n_items, len(facts.group))), came[c.POSITION] == step
        exposure[came[c.ITEM_IDX][own]] = came[c.VALUE][own]
        figures += [(step, metric, segment, value, n) for metric, segment, value in _of_items(exposure, facts, n_items)]
    return sorted(figures)


def _of_items(exposure: Floats, facts: ItemFacts, n_items: int) -> Iterator[tuple[str, str, float]]:
    """Coverage (Ge, Delgado-Battenfeld and Jannach, 2010) and Gini over the items the model knows; shares of the groups."""
    yield COVERAGE, "all", float(np.count_nonzero(exposure[:n_items]) / max(1, n_items))
    yield GINI, "all", gini(exposure[:n_items])
    if exposure.sum():
        in_group = facts.group >= 0
        of_group = np.bincount(
            facts.group[in_group], exposure[: len(in_group)][in_group], minlength=len(facts.group_names)
        )
        for name, given in zip(facts.group_names, of_group / exposure.sum(), strict=True):
            yield EXPOSURE, name, float(given)


def _rows(run: Run, figures: list[Figure], names: Sequence[str], version: str, first: int = 0) -> list[_Row]:
    variant, n = run.config.recommend.variant, run.config.recommend.n
    return [
        (run.as_of, variant, names[step], first + step, metric, segment, n, value, users, version, run.run_id)
        for step, metric, segment, value, users in figures
    ]


def _tell(run: Run, figures: list[Figure], names: Sequence[str]) -> None:
    for step, name in enumerate(names):
        own = {(metric, segment): value for at, metric, segment, value, _ in figures if at == step}
        shown = ", ".join(f"{' '.join(key).removesuffix(' all')} {own[key]:.4f}" for key in list(own)[:8])
        run.notes.append(f"{'re-ranking, on validation' if not step else '  and then'}: {name}: {shown}")
