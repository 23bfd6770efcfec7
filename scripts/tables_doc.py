"""Write docs/tables.md from recsys_spark/schemas/: every table's columns, key, partitioning, and a query to try.

  .venv/bin/python scripts/tables_doc.py

Run it after a change of a schema; a test holds the page equal to what this would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recsys_spark.config import load_config
from recsys_spark.schemas import TABLES, Table, train_examples
from recsys_spark.views import VIEWS, View, view_query

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tables.md"

INTRODUCTION = """\
# Tables

Written by `scripts/tables_doc.py` from `recsys_spark/schemas/`; change them, not this page.

Below a root that is a path, a table lies at `ROOT/TABLE`; below a root `catalog.schema` it is `catalog.schema.TABLE`.
All are Delta tables. Times are UTC. A *slice* is what one run replaces: a date, and within it a fit, a part or a
variant. `*_id` is what the business calls a thing, `*_idx` the dense integer that stands for it. The queries run as they are
in Spark SQL and in DuckDB, over views of the tables' names ([how](../README.md#reading-the-lists)). `jobs/generate.py` makes
events and attributes in the place of `jobs/ingest.py`. [Views](#views) for those who read the lists stand at the end.
"""

VIEWS_INTRODUCTION = """
## Views
For those who read the lists. Below a root that is a catalogue, `jobs/publish.py` registers them in it. Paths hold no views:
there, put `` delta.`ROOT/TABLE` `` in the place of each table's name, or take the text that
`recsys_spark.views.register_views(Tables(spark, ROOT))` gives.

| view | what it is |
| --- | --- |"""

# What a table is, and a query that shows it, by the table's name.
PURPOSE = {
    "events": (
        "One row an event: the truth that all else is counted from. Append-only; the same file again adds nothing.",
        """\
SELECT event_type, COUNT(*) AS events, COUNT(DISTINCT user_id) AS users, MIN(event_time) AS first_event,
       MAX(event_time) AS last_event
FROM events
GROUP BY event_type""",
    ),
    "events_rejected": (
        "Rows that could not become events or attributes, as they came, each with its reason. Append-only.",
        """\
SELECT source, reason, COUNT(*) AS rejected
FROM events_rejected
GROUP BY source, reason
ORDER BY rejected DESC""",
    ),
    "user_attributes": (
        "What sources tell of users, the latest by id.",
        "SELECT age, gender, COUNT(*) AS users\nFROM user_attributes\nGROUP BY age, gender",
    ),
    "item_attributes": (
        "What sources tell of items, the latest by id.",
        "SELECT item_id, title, brand, price\nFROM item_attributes\nWHERE category LIKE '%Comedy%'",
    ),
    "exploration": (
        "The figures behind the pictures of [explore](explore.md), as many rows for any number of events.",
        """\
SELECT label AS category, value AS events
FROM exploration
WHERE picture = 'categories' AND statistic = 'events' AND as_of_date = (SELECT MAX(as_of_date) FROM exploration)
ORDER BY value DESC""",
    ),
    "monitoring": (
        "How the live lists fared: a row a day and figure, with bounds from its history ([monitoring.md](monitoring.md)).",
        """\
SELECT as_of_date, metric, part, value, low, high, since
FROM monitoring
WHERE breached AND variant = 'default'
ORDER BY as_of_date DESC, metric, part""",
    ),
    "users": (
        "The dense index of each user. Append-only: an index once given never moves.",
        "SELECT COUNT(*) AS users, MAX(user_idx) + 1 AS next_index\nFROM users",
    ),
    "items": (
        "The dense index of each item. Append-only: an index once given never moves.",
        """\
SELECT i.item_idx, i.item_id, a.title
FROM items AS i
LEFT JOIN item_attributes AS a ON a.item_id = i.item_id
WHERE i.item_idx < 10""",
    ),
    "interactions": (
        "One row a user and item, each part of the split counted apart (ADR 1).",
        """\
SELECT as_of_date, COUNT(*) AS pairs, SUM(train_positives) AS train, SUM(validation_positives) AS validation,
       SUM(test_positives) AS test
FROM interactions
GROUP BY as_of_date""",
    ),
    "user_features": (
        "What is known of a user at a fit's cut, over positive events.",
        """\
SELECT segment, COUNT(*) AS users, AVG(items) AS items_a_user
FROM user_features
WHERE fit = 'production' AND as_of_date = (SELECT MAX(as_of_date) FROM user_features)
GROUP BY segment""",
    ),
    "item_features": (
        "What is known of an item at a fit's cut, over positive events.",
        """\
SELECT a.title, f.users
FROM item_features AS f
JOIN items AS i ON i.item_idx = f.item_idx
LEFT JOIN item_attributes AS a ON a.item_id = i.item_id
WHERE f.fit = 'production' AND f.as_of_date = (SELECT MAX(as_of_date) FROM item_features)
ORDER BY f.users DESC
LIMIT 10""",
    ),
    "sequences": (
        "Each user's latest positive events in order, `features.sequence_length` at most: what models of order read. "
        "Validation is predicted from the slice of the fit `evaluate`, test from that of `refit`.",
        "SELECT as_of_date, fit, AVG(length) AS mean_length, MAX(length) AS longest\nFROM sequences\nGROUP BY as_of_date, fit",
    ),
    "user_encoded": (
        "Declared features of every user of the index, as `feature_specs` lays them out ([features.md](features.md)).",
        """\
SELECT user_idx, codes, numbers
FROM user_encoded
WHERE fit = 'production' AND user_idx < 10 AND as_of_date = (SELECT MAX(as_of_date) FROM user_encoded)""",
    ),
    "item_encoded": (
        "Declared features of every item of the index, new ones too ([features.md](features.md)).",
        """\
SELECT item_idx, codes, numbers
FROM item_encoded
WHERE fit = 'production' AND item_idx < 10 AND as_of_date = (SELECT MAX(as_of_date) FROM item_encoded)""",
    ),
    "event_contexts": (
        "The declared features of the context of every positive event, as of its own time ([features.md](features.md)).",
        "SELECT as_of_date, fit, part, COUNT(*) AS events\nFROM event_contexts\nGROUP BY as_of_date, fit, part",
    ),
    "feature_specs": (
        "One row a declared feature and fit: where it lies in the encoded tables, and what was learnt of it.",
        """\
SELECT feature, kind, first, length, size, missing, unknown, learnt_from
FROM feature_specs
WHERE fit = 'production' AND as_of_date = (SELECT MAX(as_of_date) FROM feature_specs)
ORDER BY of, position""",
    ),
    "train_examples": (
        "A positive beside its negatives, once for each draw of negatives. It has as many columns `negative_k` as the "
        "largest `examples.negatives` it was written with (here the default). Training reads its files, one row group "
        "each, not the table (ADR 3).",
        "SELECT as_of_date, fit, draw, COUNT(*) AS examples\nFROM train_examples\nGROUP BY as_of_date, fit, draw",
    ),
    "train_sequences": (
        "What models of order train on: windows of users' sequences, packed.",
        "SELECT as_of_date, fit, COUNT(*) AS windows, AVG(length) AS mean_length\nFROM train_sequences\nGROUP BY as_of_date, fit",
    ),
    "train_impressions": (
        "What models of clicks train on: each impression, whether it was clicked, and the code of its position.",
        "SELECT as_of_date, fit, shown_at, AVG(clicked) AS click_rate\nFROM train_impressions\nGROUP BY 1, 2, 3",
    ),
    "shown_positions": (
        "The positions that a fit's impressions tell apart, and how likely each is looked at, as estimated.",
        """\
SELECT position, impressions, clicks, propensity
FROM shown_positions
WHERE fit = 'production' AND as_of_date = (SELECT MAX(as_of_date) FROM shown_positions)
ORDER BY shown_at""",
    ),
    "eval_examples": (
        "A user's held-out items, and what they are ranked among in the sampled protocol.",
        "SELECT as_of_date, part, COUNT(*) AS users\nFROM eval_examples\nGROUP BY as_of_date, part",
    ),
    "models": (
        "One row a model version: where its artifact lies, and which evaluate fit vouches for it (ADR 5).",
        """\
SELECT p.model_version, p.epochs, e.validation_ndcg, p.path
FROM models AS p
LEFT JOIN models AS e ON e.model_version = p.evaluated_by
WHERE p.fit = 'production'
ORDER BY p.created_at DESC""",
    ),
    "item_availability": (
        "When items may be recommended, where a shop keeps such a table: an item with rows is available within their spans "
        "alone. Read at the end of the date, if it is there.",
        """\
SELECT COUNT(DISTINCT item_id) AS available
FROM item_availability
WHERE COALESCE(available_from <= NOW(), TRUE) AND COALESCE(available_to > NOW(), TRUE)""",
    ),
    "blocked_pairs": (
        "What a user must never be shown, where a shop keeps such a table.",
        "SELECT user_id, COUNT(*) AS items\nFROM blocked_pairs\nGROUP BY user_id",
    ),
    "candidates": (
        "What the model chose each list from, one row a user, with `recommend.candidates.sources`. Filters have passed it. A "
        "slice is a date and variant.",
        """\
SELECT as_of_date, variant, COUNT(*) AS users
FROM candidates
GROUP BY as_of_date, variant""",
    ),
    "recommendations": (
        "The lists of every date. A slice is a date and variant.",
        """\
SELECT as_of_date, variant, reason_code, COUNT(*) AS items
FROM recommendations
GROUP BY as_of_date, variant, reason_code""",
    ),
    "gate_results": (
        "What lists were held against before they went live, and days that were put back ([nightly.md](nightly.md)).",
        """\
SELECT as_of_date, gate, verdict, value, low, high, reason
FROM gate_results
WHERE verdict <> 'passed'
ORDER BY checked_at DESC""",
    ),
    "leases": (
        "Who may write below the root, now and before ([nightly.md](nightly.md#one-run-at-a-time)).",
        "SELECT generation, holder, renewed_at, released\nFROM leases\nORDER BY generation DESC, renewed_at DESC\nLIMIT 1",
    ),
    "recommendations_current": (
        "The published lists: the newest checked slice of each variant, put in place in one commit. Its columns are a "
        "contract: none is renamed or changes its type.",
        """\
SELECT r.rank, a.title, r.score, r.reason_code
FROM recommendations_current AS r
LEFT JOIN item_attributes AS a ON a.item_id = r.item_id
WHERE r.variant = 'default' AND r.user_id = '1'
ORDER BY r.rank""",
    ),
    "recommend_counts": (
        "What each step of recommend took in and gave out ([recommend.md](recommend.md#counts)): of the lists that the run made, "
        "not of those it kept. A run replaces its date and variant.",
        """\
SELECT stage, step, users, rows_in, rows_out, removed
FROM recommend_counts
WHERE variant = 'default' AND as_of_date = (SELECT MAX(as_of_date) FROM recommend_counts)
ORDER BY position""",
    ),
    "rerank_effects": (
        "What each step of [re-ranking](reranking.md) does to the lists, on validation, and what groups of items the "
        "date's own lists show. A run replaces its date and variant.",
        """\
SELECT step, metric, segment, value
FROM rerank_effects
WHERE variant = 'default' AND as_of_date = (SELECT MAX(as_of_date) FROM rerank_effects)
ORDER BY metric, segment, position""",
    ),
    "metrics": (
        "Models beside popularity and chance on held-out events. A run replaces what it measured of its date.",
        """\
SELECT model_name, metric, value, low, high
FROM metrics
WHERE protocol = 'full' AND split = 'test' AND segment = 'all' AND k = 10
ORDER BY as_of_date DESC, metric, value DESC""",
    ),
    "training_report": (
        "The figures behind the pictures of a [training's report](report.md). A run replaces those of its model.",
        """\
SELECT series, label, value AS found
FROM training_report
WHERE picture = 'segments' AND statistic = 'found' AND as_of_date = (SELECT MAX(as_of_date) FROM training_report)
ORDER BY series, found""",
    ),
    "tune_trials": (
        "One row a trial of a search for the best settings, on validation alone. A run replaces its study's rows.",
        """\
SELECT study, trial, value, settings, epochs, seconds
FROM tune_trials
WHERE status = 'done'
ORDER BY study, value DESC""",
    ),
    "benchmark_cells": (
        "One row a cell of a benchmark (a data set, a model and a seed) and thing measured in it. Append-only.",
        """\
SELECT dataset, model_name, subject, COUNT(DISTINCT seed) AS seeds,
       AVG(training_seconds) AS training_seconds, MAX(parameters) AS parameters
FROM benchmark_cells
WHERE error IS NULL
GROUP BY dataset, model_name, subject""",
    ),
    "experiments": (
        "One row an experiment: its part of its layer, and what its design says it takes ([experiments.md](experiments.md)).",
        "SELECT experiment, layer, slot_from, slot_to, starts, days, users, minimum_effect\nFROM experiments\nORDER BY starts",
    ),
    "assignments": (
        "Who is in which variant now. A row stays as it is until its experiment ends.",
        "SELECT experiment, variant, COUNT(*) AS users\nFROM assignments\nGROUP BY experiment, variant",
    ),
    "exposures": (
        "Who was shown which variant, and when: the log that whoever shows them keeps.",
        """\
SELECT experiment, variant, COUNT(DISTINCT user_id) AS users, MIN(exposed_at) AS first_exposure
FROM exposures
GROUP BY experiment, variant""",
    ),
    "experiment_results": (
        "Every metric of every treatment beside the control, as of each date of analysis.",
        """\
SELECT as_of_date, metric, variant, lift, lift_low, lift_high, p_adjusted, status
FROM experiment_results
WHERE experiment = 'demo' AND segment = 'all'
ORDER BY as_of_date, metric, variant""",
    ),
    "experiment_verdicts": (
        "What to do about each treatment, as of each date of analysis.",
        "SELECT as_of_date, variant, verdict, reason\nFROM experiment_verdicts\nWHERE experiment = 'demo'\nORDER BY as_of_date",
    ),
    "source_columns": (
        "The columns of sources that are read by a mapping, and of tables of vectors, with the types last accepted.",
        """\
SELECT source, source_column, type, seen_at
FROM source_columns
ORDER BY source, source_column""",
    ),
    "suppressed": (
        "Who is kept out at ingest, by keyed hash ([forgetting.md](forgetting.md)). Append-only.",
        "SELECT COUNT(*) AS people, MAX(suppressed_at) AS latest\nFROM suppressed",
    ),
    "forgotten": (
        "One row a person and run of the forget job: what the run removed, and its certificate. Append-only.",
        """\
SELECT run_id, MAX(forgotten_at) AS forgotten_at, COUNT(*) AS people, MAX(certificate) AS certificate
FROM forgotten
GROUP BY run_id""",
    ),
    "broken_runs": (
        "Runs that can no longer be reproduced, as versions that they read were removed with somebody. Append-only.",
        """\
SELECT r.run_id, r.stage, r.as_of_date, b.table_name, b.version
FROM broken_runs AS b
JOIN runs AS r ON r.run_id = b.run_id AND r.stage = b.stage""",
    ),
    "runs": (
        "One row a run of a stage, failed ones too: what it read, wrote and counted, under which configuration.",
        """\
SELECT stage, status, seconds, error
FROM runs
WHERE pipeline_id = (SELECT pipeline_id FROM runs ORDER BY started_at DESC LIMIT 1)
ORDER BY started_at""",
    ),
}


def page() -> str:
    """The whole page."""
    negatives = load_config().examples.negatives
    tables = [train_examples(negatives) if name == "train_examples" else table for name, table in TABLES.items()]
    overview = ["| table | made by | what it is |", "| --- | --- | --- |"]
    for table in tables:
        purpose = _first_sentence(PURPOSE[table.name][0])
        overview.append(f"| [{table.name}](#{table.name}) | {_maker(table)} | {purpose} |")
    sections = [line for table in tables for line in _section(table)]
    return "\n".join([INTRODUCTION, *overview, *sections, *_views()]) + "\n"


def _section(table: Table) -> Iterator[str]:
    purpose, query = PURPOSE[table.name]
    yield from ("", f"## {table.name}", purpose, "", f"- Made by {_maker(table)}.", f"- Key: {_names(table.key)}.")
    if table.partitioned_by:
        yield f"- Partitioned by {_names(table.partitioned_by)}."
    if table.properties:
        yield "- Properties: " + ", ".join(f"`{key}={value}`" for key, value in table.properties.items()) + "."
    yield from ("", "| column | type | what it is |", "| --- | --- | --- |")
    for column in table.schema:
        comment = column.metadata["comment"].replace("|", "&#124;")
        yield f"| `{column.name}` | `{column.dataType.simpleString()}` | {comment} |"
    yield from ("", "```sql", query, "```")


def _views() -> Iterator[str]:
    yield VIEWS_INTRODUCTION
    yield from (f"| [{view.name}](#{view.name}) | {_first_sentence(view.purpose)} |" for view in VIEWS.values())
    for view in VIEWS.values():
        yield from ("", f"### {view.name}", view.purpose, "", "```sql", _definition(view), "```")
        yield from ("", "```sql", view.example, "```")


def _definition(view: View) -> str:
    return f"CREATE OR REPLACE VIEW {view.name} AS\n" + view_query(view, lambda table: table)


def _first_sentence(text: str) -> str:
    return text.split(". ")[0].rstrip(".")


def _maker(table: Table) -> str:
    return f"`jobs/{table.made_by}.py`" if " " not in table.made_by else table.made_by


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f"`{column}`" for column in columns)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
