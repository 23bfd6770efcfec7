"""The lineage stage: from a published row, or any run, back to the versions of the events; it writes nothing."""

from __future__ import annotations

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark.bounded import collect_rows
from recsys_spark.errors import UserError
from recsys_spark.operations.lineage import chain, lines
from recsys_spark.operations.records import known_models, past_runs
from recsys_spark.operations.retention import KnownModel
from recsys_spark.runs import Run

_MOST_LISTS = 3  # of the newest published lists, whose lineage is said where no row is asked for


def run(run: Run) -> None:
    """Say the chain of the row that the options name; of the newest lists, one of each model, where they name none.

    Raises:
        UserError: there is no such row, or no such run.
    """
    models = {model.version: model for model in known_models(run)}
    if run.options.get("run_id"):
        _say_chain(run, run.options["run_id"], None)
        return
    for row in _rows(run):
        model = models.get(row[c.MODEL_VERSION] or "")
        for line in _of_row(row, model):
            run.say(line)
        _say_chain(run, row[c.RUN_ID], model.run_id if model else None)


def _rows(run: Run) -> list[Row]:
    """The row of the user and rank, or one row of each of the newest lists; of `--as-of`'s lists, or else the published."""
    user, table = run.options.get("user_id"), "recommendations_current"
    lists = run.tables.read(table)
    if run.requested_as_of:
        table, lists = "recommendations", run.tables.read("recommendations", {c.AS_OF_DATE: run.requested_as_of})
    lists = lists.where(F.col(c.VARIANT) == run.config.recommend.variant)
    asked = f"variant={run.config.recommend.variant}"
    if user is not None:
        asked += f", user_id={user}, rank={run.options['rank']}"
        lists = lists.where((F.col(c.USER_ID) == user) & (F.col(c.RANK) == run.options["rank"]))
    else:
        lists = _one_of_each(lists)
    found = collect_rows(lists, f"the rows of `{table}` asked for", run.config.run.driver_bytes)
    if not found:
        date = f", as_of_date={run.requested_as_of}" if run.requested_as_of else ""
        raise UserError(f"table `{table}` under {run.root} has no row for {asked}{date}: see it for those that it has")
    return found


def _one_of_each(lists: DataFrame) -> DataFrame:
    """What the rows of a run and model have in common, the newest lists first."""
    common = lists.groupBy(c.AS_OF_DATE, c.VARIANT, c.RUN_ID, c.MODEL_VERSION).agg(F.count("*").alias("rows"))
    return common.orderBy(F.desc(c.AS_OF_DATE), c.RUN_ID).limit(_MOST_LISTS)


def _of_row(row: Row, model: KnownModel | None) -> list[str]:
    of = f"lists of {row[c.AS_OF_DATE]}, variant {row[c.VARIANT]}"
    if c.USER_ID in row:
        place = f"rank {row[c.RANK]} of user {row[c.USER_ID]}: item {row[c.ITEM_ID]}, score {row[c.SCORE]:.4f}"
        because = f" because of {row[c.REASON_ITEM_ID]}" if row[c.REASON_ITEM_ID] else ""
        sources = f"from {', '.join(row[c.SOURCES] or ['no source'])}"
        said = [f"{place}, {row[c.REASON_CODE]}{because}, {sources}; {of}"]
    else:
        said = [f"{of}: {row['rows']:,} rows"]
    if model is None:
        return [*said, f"model {row[c.MODEL_VERSION]}, of which `models` has no row"]
    vouched = f", vouched for by {model.evaluated_by}" if model.evaluated_by else ""
    return [*said, f"model {model.version}, trained by {model.run_id}{vouched}, artifact {model.path}"]


def _say_chain(run: Run, run_id: str, trained_by: str | None) -> None:
    steps = chain(past_runs(run), run_id, trained_by)
    if not steps:
        raise UserError(
            f"table `runs` under {run.root} has no run {run_id}: check --run-id; a run that was killed leaves no row"
        )
    for line in lines(steps):
        run.say(line)
