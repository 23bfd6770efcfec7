"""The recommend stage: a model and the interactions -> the date's slice of `recommendations`."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import check
from recsys_spark.errors import MissingTableError, UserError
from recsys_spark.interactions.index import index_ids, index_sizes
from recsys_spark.nights import is_alike, models_of
from recsys_spark.recommend import candidates
from recsys_spark.recommend.barring import Catalogue
from recsys_spark.recommend.calibration import calibration
from recsys_spark.recommend.counts import Counts, write_counts
from recsys_spark.recommend.effects import Night, measure_effects
from recsys_spark.recommend.eligible import eligible, in_context, with_latest_items
from recsys_spark.recommend.fallback import popular
from recsys_spark.recommend.filters import Effect, catalogue, effect, with_filters
from recsys_spark.recommend.item_facts import facts_of_items, hold_vectors
from recsys_spark.recommend.lists import Policy, top_n_lists
from recsys_spark.recommend.newer import with_newer
from recsys_spark.recommend.publish import is_fallback, recommendations
from recsys_spark.recommend.reasons import CO_OCCURRENCE, REPEAT, RETRIEVER, words
from recsys_spark.recommend.recall import measure_recall
from recsys_spark.recommend.refresh import kept_lists
from recsys_spark.recommend.rerank import ItemFacts, RerankPolicy, policy_of, steps_of
from recsys_spark.recommend.sources import Sources
from recsys_spark.recommend.tally import Tally
from recsys_spark.runs import Run
from recsys_spark.schemas import ITEM_ATTRIBUTES, RECOMMENDATIONS
from recsys_spark.storage import load_manifest
from recsys_spark.tables import SliceKey
from recsys_spark.training.artifact import hold_against

_SHOWN_USERS, _SHOWN_ITEMS = 3, 5


def run(run: Run) -> None:
    """Propose, filter, score, fill, write the slice. O(users x items) in blocks, on the executors, or O(users x candidates)
    where there are sources of these."""
    model = _newest_model(run, run.config.model.name)
    hold_against(
        load_manifest(model["path"]), run.config.examples.window, *index_sizes(run.tables), index_ids(run.tables)
    )
    where: SliceKey = {c.AS_OF_DATE: run.as_of, c.VARIANT: run.config.recommend.variant}
    with with_newer(run, model["path"]) as path:
        night = _write_lists(run, where, model, path)
    measure_effects(run, night)
    _report(run, where)


def _write_lists(run: Run, where: SliceKey, model: Mapping[str, Any], path: str) -> Night:
    """Write the slice by the model that lies at `path`, and what its steps counted; what there is to tell of its groups.

    Raises:
        UserError: too few items are popular, or lists are shorter than filters make them.
    """
    config = run.config.recommend
    interactions = run.tables.read_slice("interactions", {c.AS_OF_DATE: run.as_of})
    features = run.tables.read_slice("user_features", {c.AS_OF_DATE: run.as_of, c.FIT: "production"})
    most_popular = popular(interactions, features, config.segment_head, run.config.run.driver_bytes)
    if len(most_popular.overall) < config.n:
        raise UserError(
            f"recommend.n is {config.n}, but only {len(most_popular.overall)} items have a positive event by {run.as_of}: "
            "lower recommend.n"
        )
    known, retriever = catalogue(run, interactions), _retriever(run, path)
    users = _users(run, interactions, features, path, retriever).persist()
    filtered = effect(run, users, known, most_popular.overall)
    run.say(f"scoring {_scored(run, path)} for {filtered.users:,} users with {model[c.MODEL_VERSION]}")
    tasks = max(run.spark.sparkContext.defaultParallelism, ceil(filtered.users / config.users_per_task))
    sources = _sources(run, path, retriever, interactions, features)
    barred = run.spark.sparkContext.broadcast(known)
    reranking, facts = _reranking(run, path)
    groups = () if facts is None else _counted_groups(run, facts.value, tasks)
    counts = Counts(run.spark.sparkContext, len(groups))
    policy = Policy(path, config.n, config.exclude_seen, config.block_users, calibration(run, model), reranking)
    kept = kept_lists(run, where, model, path, retriever, known)
    anew = users if kept is None else users.join(kept.users, on=c.USER_IDX, how="left_anti")
    lists = _with_candidates(run, anew, where, sources, barred, tasks, counts).transform(
        top_n_lists(policy, run.spark.sparkContext.broadcast(most_popular), barred, sources, facts, counts)
    )
    in_ids = recommendations(
        run.as_of,
        config.variant,
        model[c.MODEL_VERSION],
        run.run_id,
        run.tables.read("users"),
        run.tables.read("items"),
    )
    written = lists.transform(in_ids)
    written = written if kept is None else written.unionByName(kept.rows)
    rows = run.tables.replace(RECOMMENDATIONS, written, where)
    if kept is not None:
        run.counts["users_made_anew"] = filtered.users - kept.users.count()
    recall = Tally() if sources is None else measure_recall(run, users, filtered.users, sources, barred)
    users.unpersist()
    _tell(run, filtered, rows)
    counted = counts.total()
    write_counts(run, where, filtered, len(known.barred), (recall, counted))
    return Night(counted, groups, model[c.MODEL_VERSION])


def _reranking(run: Run, path: str) -> tuple[RerankPolicy | None, Broadcast[ItemFacts] | None]:
    """How lists are re-ranked, and what is to be known of the items: nothing where no step is on and no group is named."""
    settings = run.config.recommend.rerank
    if not steps_of(settings) and not settings.exposure.group:
        return None, None
    if settings.diversity.by == "vectors" and "diversity" in steps_of(settings):
        hold_vectors(load_manifest(path))
    facts = facts_of_items(run, run.as_of, "production")
    policy = policy_of(settings, facts.group_names, run.seed, run.as_of.toordinal())
    return policy if policy.steps else None, run.spark.sparkContext.broadcast(facts)


def _counted_groups(run: Run, facts: ItemFacts, tasks: int) -> tuple[str, ...]:
    """The groups whose exposure each task counts, none where the driver has no room for two numbers a group and task."""
    try:
        check(tasks * len(facts.group_names), 16, "exposure of groups of items, by task", run.config.run.driver_bytes)
    except UserError as error:
        run.notes.append(f"exposure in the lists is not measured: {error}")
        return ()
    return facts.group_names


def _with_candidates(
    run: Run,
    users: DataFrame,
    where: SliceKey,
    sources: Broadcast[Sources] | None,
    barred: Broadcast[Catalogue],
    tasks: int,
    counts: Counts,
) -> DataFrame:
    """Users in as many tasks, with what table `candidates` has of them, written now, where it is kept."""
    config, spread = run.config.recommend, users.repartition(tasks, c.USER_IDX)
    if sources is None or not config.candidates.table:
        return spread
    propose = candidates.proposals(sources, barred, config.block_users, config.exclude_seen, counts)
    proposed = candidates.write_candidates(run, spread, where, propose)
    return users.join(proposed, on=c.USER_IDX, how="left").repartition(tasks, c.USER_IDX)


def _users(run: Run, interactions: DataFrame, features: DataFrame, path: str, retriever: str) -> DataFrame:
    """Who gets a list, with all that sources, filters and models read of them."""
    config, manifests = run.config.recommend, [load_manifest(location) for location in (path, retriever) if location]
    by_history = any(name in config.candidates.sources for name in (CO_OCCURRENCE, REPEAT))
    by_history |= any(manifest.get("scoring", {}).get("history", 0) for manifest in manifests)
    contexts: list[Any] = [manifest["context"] for manifest in manifests if manifest.get("context")]
    users = eligible(interactions, features, run.as_of, config.active_days, run.config.interactions.counts_by_type)
    users = users.transform(with_latest_items(run, by_history)).transform(
        in_context(run, features, contexts[0] if contexts else [])
    )
    return users.transform(with_filters(run))


def _retriever(run: Run, path: str) -> str:
    """Where the model lies that retrieves candidates, empty without such a source."""
    config = run.config.recommend.candidates
    if RETRIEVER not in config.sources:
        return ""
    location = str(_newest_model(run, config.retriever)["path"])
    candidates.check_retriever(run, location, load_manifest(path).get("context", []))
    return location


def _sources(
    run: Run, path: str, retriever: str, interactions: DataFrame, features: DataFrame
) -> Broadcast[Sources] | None:
    if not run.config.recommend.candidates.sources:
        return None
    return run.spark.sparkContext.broadcast(candidates.sources_of(run, path, retriever, interactions, features))


def _scored(run: Run, path: str) -> str:
    quotas = run.config.recommend.candidates.sources
    if quotas:
        return f"up to {sum(quotas.values()):,} candidates of {', '.join(quotas)}"
    return f"{load_manifest(path)['model']['n_items']:,} items"


def _tell(run: Run, filtered: Effect, rows: int) -> None:
    """Leave what each filter is about, and hold the rows against what filters leave.

    Raises:
        UserError: there are fewer rows than there must be.
    """
    run.counts["users"], run.counts["rows"] = filtered.users, rows
    run.counts["users_due"] = filtered.with_list
    for name, pairs in filtered.removed.items():
        run.counts[f"removed_{name}"] = pairs
        if pairs:
            run.notes.append(
                f"filter {name.replace('_', ' ')}: keeps {pairs:,} pairs of a user and an item out of lists"
            )
    if rows < filtered.rows:
        raise UserError(
            f"the lists of {run.as_of} have {rows:,} rows, expected {filtered.rows:,} or more by what filters leave: run "
            "jobs/recommend.py again"
        )
    missing = filtered.users * run.config.recommend.n - rows
    run.counts["missing_rows"] = missing
    if missing:
        run.notes.append(f"{missing:,} places are empty: filters left too few items for some users")


def _newest_model(run: Run, name: str) -> Mapping[str, Any]:
    """The production model of that name of the latest date up to the run's: of these settings, if there is one.

    Raises:
        MissingTableError: there is none.
    """
    known = models_of(run, "production", name)
    if not known:
        raise MissingTableError(
            f"table `models` under {run.root} has no production fit of {name} up to {run.as_of}: run "
            "jobs/train.py with `production` among examples.fits"
        )
    if name != run.config.model.name:
        return known[0]
    # one trained by other settings gives way to one of these, be it older
    alike = [row for row in known if is_alike(row, run.config)]
    if not alike:
        run.notes.append(f"model {known[0][c.MODEL_VERSION]} was trained by other settings than these")
    return (alike or known)[0]


def _examples(written: DataFrame, attributes: DataFrame) -> list[str]:
    """The heads of three users' lists, for a person to look at."""
    some = written.select(c.USER_ID).distinct().orderBy(F.xxhash64(c.USER_ID)).limit(_SHOWN_USERS)
    heads = written.where(F.col(c.RANK) <= _SHOWN_ITEMS).join(F.broadcast(some), on=c.USER_ID, how="left_semi")
    named = heads.join(attributes.select(c.ITEM_ID, c.TITLE, c.BRAND), on=c.ITEM_ID, how="left")
    told = attributes.select(F.col(c.ITEM_ID).alias(c.REASON_ITEM_ID), F.col(c.TITLE).alias(c.BECAUSE))
    named = named.join(told, on=c.REASON_ITEM_ID, how="left")
    lines: list[str] = []
    for row in named.orderBy(c.USER_ID, c.RANK).collect():
        if row[c.RANK] == 1:
            lines.append(f"for user {row[c.USER_ID]}:")
        brand = f" ({row[c.BRAND]})" if row[c.BRAND] else ""
        why = words(row[c.REASON_CODE], row[c.BECAUSE] or row[c.REASON_ITEM_ID])
        lines.append(f"  {row[c.RANK]}. {row[c.TITLE] or row[c.ITEM_ID]}{brand}: {why}")
    return lines


def _report(run: Run, where: SliceKey) -> None:
    written = run.tables.read("recommendations", where)
    counts = F.count("*").alias("count"), F.count_if(is_fallback()).alias("fallback")
    by_reason = written.groupBy(c.REASON_CODE).agg(*counts).orderBy(F.desc("count")).collect()
    run.counts |= {f"rows_{row[c.REASON_CODE]}": row["count"] for row in by_reason}
    fallback = sum(row["fallback"] for row in by_reason)
    if fallback:
        run.notes.append(f"{fallback:,} rows are fallback: what is popular, in the user's segment or overall")
    run.notes += _examples(written, run.tables.read_or_empty(ITEM_ATTRIBUTES))
    run.notes.append(
        "next: jobs/publish.py holds these lists against its gates and puts them in the place of the live ones"
    )
