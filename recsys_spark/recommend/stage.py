"""The recommend stage: a model and the interactions -> the date's slice of `recommendations`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from math import ceil
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.errors import MissingTableError, UserError
from recsys_spark.feature_settings import CategoricalFeature, DenseFeature
from recsys_spark.features.context_sources import FREQUENCY, values_of_users
from recsys_spark.features.contexts import learnt_of, packed
from recsys_spark.interactions.index import index_sizes
from recsys_spark.interactions.split import until
from recsys_spark.recommend.fallback import popular
from recsys_spark.recommend.lists import POPULAR, POPULAR_SEGMENT, REASONS, SEEN, Policy, top_n_lists
from recsys_spark.recommend.newer import with_newer
from recsys_spark.recommend.publish import recommendations
from recsys_spark.runs import Run
from recsys_spark.schemas import ITEM_ATTRIBUTES, RECOMMENDATIONS
from recsys_spark.storage import load_manifest
from recsys_spark.tables import SliceKey
from recsys_spark.training.artifact import hold_against
from recsys_spark.transform import Transformer

_SHOWN_USERS, _SHOWN_ITEMS = 3, 5


def run(run: Run) -> None:
    """Score, fill, write the slice. O(users x items) in blocks, on the executors."""
    model = _newest_model(run)
    hold_against(load_manifest(model["path"]), run.config.examples.window, *index_sizes(run.tables))
    where: SliceKey = {c.AS_OF_DATE: run.as_of, c.VARIANT: run.config.recommend.variant}
    with with_newer(run, model["path"]) as path:
        _write_lists(run, where, model[c.MODEL_VERSION], path)
    _report(run, where)


def _write_lists(run: Run, where: SliceKey, version: str, path: str) -> None:
    """Write the slice by the model that lies at `path`."""
    config, manifest = run.config.recommend, load_manifest(path)
    interactions = run.tables.read_slice("interactions", {c.AS_OF_DATE: run.as_of})
    features = run.tables.read_slice("user_features", {c.AS_OF_DATE: run.as_of, c.FIT: "production"})
    most_popular = popular(interactions, features, config.segment_head, run.config.run.driver_bytes)
    if len(most_popular.overall) < config.n:
        raise UserError(
            f"recommend.n is {config.n}, but only {len(most_popular.overall)} items have a positive event by {run.as_of}: "
            "lower recommend.n"
        )
    users = _eligible(interactions, features, run.as_of, config.active_days)
    users = users.transform(_with_latest_items(run, bool(manifest.get("scoring", {}).get("history", 0))))
    users = users.transform(_in_context(run, features, manifest.get("context", []))).persist()
    eligible = users.count()
    policy = Policy(path, config.n, config.exclude_seen, config.block_users)
    tasks = max(run.spark.sparkContext.defaultParallelism, ceil(eligible / config.users_per_task))
    run.say(f"scoring {manifest['model']['n_items']:,} items for {eligible:,} users with {version}")
    lists = users.repartition(tasks, c.USER_IDX).transform(
        top_n_lists(policy, run.spark.sparkContext.broadcast(most_popular))
    )
    in_ids = recommendations(
        run.as_of, config.variant, version, run.run_id, run.tables.read("users"), run.tables.read("items")
    )
    rows = run.tables.replace(RECOMMENDATIONS, lists.transform(in_ids), where)
    run.counts["users"], run.counts["rows"] = eligible, rows
    users.unpersist()


def _newest_model(run: Run) -> Row:
    """The production model of the latest date up to the run's.

    Raises:
        MissingTableError: there is none.
    """
    models = run.tables.read("models").where(
        (F.col(c.FIT) == "production")
        & (F.col(c.AS_OF_DATE) <= F.lit(run.as_of))
        & (F.col(c.MODEL_NAME) == run.config.model.name)
    )
    newest = models.orderBy(F.desc(c.AS_OF_DATE), F.desc("created_at")).head()
    if newest is None:
        raise MissingTableError(
            f"table `models` under {run.root} has no production fit of {run.config.model.name} up to {run.as_of}: run "
            "jobs/train.py with `production` among examples.fits"
        )
    return newest


def _eligible(interactions: DataFrame, features: DataFrame, as_of: date, active_days: int) -> DataFrame:
    """`(user_idx, segment, seen)`: users with an event by the date (and lately, if so configured), with all that they had."""
    histories = interactions.groupBy(c.USER_IDX).agg(
        F.array_sort(F.collect_list(c.ITEM_IDX)).alias(SEEN), F.max(c.LAST_TIME).alias(c.EVENT_TIME)
    )
    if active_days:
        histories = histories.where(~until(as_of - timedelta(days=active_days)))
    return histories.drop(c.EVENT_TIME).join(features.select(c.USER_IDX, c.SEGMENT), on=c.USER_IDX, how="left")


def _with_latest_items(run: Run, wanted: bool) -> Transformer:
    """Users -> the same with `items`, what they had last, oldest first; null where no model reads it."""
    if not wanted:
        return lambda users: users.withColumn(c.ITEMS, F.lit(None).cast("array<int>"))
    sequences = run.tables.read_slice("sequences", {c.AS_OF_DATE: run.as_of, c.FIT: "production"})
    return lambda users: users.join(sequences.select(c.USER_IDX, c.ITEMS), on=c.USER_IDX, how="left")


def _in_context(run: Run, features: DataFrame, known: Sequence[Mapping[str, Any]]) -> Transformer:
    """`_eligible` users -> the same with `context`, where the model takes one: the given one, and the user's own recency
    and frequency at the end of the date."""
    learnt = learnt_of(known)
    declared = [one.feature for one in learnt if isinstance(one.feature, CategoricalFeature | DenseFeature)]
    values = values_of_users(declared, run.config.recommend.context, run.as_of)
    latest = features.select(c.USER_IDX, F.col(c.LAST_TIME).alias(c.EVENT_TIME), F.col(c.EVENTS).alias(FREQUENCY))

    def add(users: DataFrame) -> DataFrame:
        if not learnt:
            return users
        return users.join(latest, on=c.USER_IDX, how="left").transform(values).transform(packed(learnt, users.columns))

    return add


def _examples(written: DataFrame, attributes: DataFrame) -> list[str]:
    """The heads of three users' lists, for a person to look at."""
    some = written.select(c.USER_ID).distinct().orderBy(F.xxhash64(c.USER_ID)).limit(_SHOWN_USERS)
    heads = written.where(F.col(c.RANK) <= _SHOWN_ITEMS).join(F.broadcast(some), on=c.USER_ID, how="left_semi")
    named = heads.join(attributes.select(c.ITEM_ID, c.TITLE, c.BRAND), on=c.ITEM_ID, how="left")
    lines: list[str] = []
    for row in named.orderBy(c.USER_ID, c.RANK).collect():
        if row[c.RANK] == 1:
            lines.append(f"for user {row[c.USER_ID]}:")
        brand = f" ({row[c.BRAND]})" if row[c.BRAND] else ""
        lines.append(f"  {row[c.RANK]}. {row[c.TITLE] or row[c.ITEM_ID]}{brand}: {REASONS[row[c.REASON_CODE]]}")
    return lines


def _report(run: Run, where: SliceKey) -> None:
    written = run.tables.read("recommendations", where)
    by_reason = written.groupBy(c.REASON_CODE).count().orderBy(F.desc("count")).collect()
    run.counts |= {f"rows_{row[c.REASON_CODE]}": row["count"] for row in by_reason}
    fallback = sum(row["count"] for row in by_reason if row[c.REASON_CODE] in (POPULAR, POPULAR_SEGMENT))
    if fallback:
        run.notes.append(f"{fallback:,} rows are fallback: what is popular in the user's segment, or overall")
    run.notes += _examples(written, run.tables.read_or_empty(ITEM_ATTRIBUTES))
    run.notes.append(
        "next: jobs/publish.py holds these lists against its gates and puts them in the place of the live ones"
    )
