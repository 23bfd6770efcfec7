# Databricks notebook source
# MAGIC %md
# MAGIC # Recommendations, from events to lists
# MAGIC
# MAGIC One night of `recsys_spark` on made events: each cell runs a stage and looks at the table that it wrote.
# MAGIC Nothing is downloaded. The stages are those that the jobs run, so what works here works under `spark-submit`.
# MAGIC
# MAGIC Off Databricks: `.venv/bin/python notebooks/00_quickstart.py`, or paste it cell by cell.

# COMMAND ----------

from pathlib import Path

# Parameters. ROOT is a path that every node reaches; CONFIG takes files such as conf/ml-1m.yaml, later ones win.
ROOT = str(Path(".data/quickstart").absolute())
CONFIG: list[str] = []
SETTINGS = [
    "dataset=quickstart",
    "generate.users=1000",
    "generate.items=500",
    "generate.events=50000",
    "split.kind=time",  # the last days are held out ...
    "split.repeats=true",  # ... and what was bought before may be bought again
    "recommend.exclude_seen=false",
    "examples.draws=2",
    "training.batch_rows=256",  # few events: small batches make enough steps of them
    "training.epochs=12",
    "run.shuffle_partitions=4",
]
if "dbutils" in globals():  # on Databricks: widgets, which a job fills; settings are parted by spaces
    dbutils.widgets.text("root", ROOT)  # noqa: F821
    dbutils.widgets.text("settings", "")  # noqa: F821
    ROOT = dbutils.widgets.get("root")  # noqa: F821
    SETTINGS += dbutils.widgets.get("settings").split()  # noqa: F821

# COMMAND ----------

# MAGIC %md
# MAGIC ## Configuration
# MAGIC Every setting has its default in `conf/default.yaml`. Files go over it, single settings over those; a key that
# MAGIC does not exist is an error that names the nearest one.

# COMMAND ----------

from recsys_spark.config import load_config

config = load_config(CONFIG, SETTINGS)
print(config.split, config.training, sep="\n\n")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Events
# MAGIC The truth that all else is counted from: who, what, when. `generate` makes some; `ingest` would read yours.

# COMMAND ----------

from recsys_spark.runs import Run, run_stage
from recsys_spark.session import get_session
from recsys_spark.stages import stage_named
from recsys_spark.tables import Tables

spark = get_session("quickstart", config.run)


def run(*stages: str) -> None:
    """Run stages in order; each reads pinned table versions and leaves a row in `runs`."""
    for stage in stages:
        run_stage(Run(stage, spark, config, ROOT, pipeline_id="quickstart"), stage_named(stage))


def view(*names: str) -> None:
    """Make the newest versions of tables known to SQL by their names."""
    for name in names:
        Tables(spark, ROOT).read(name).createOrReplaceTempView(name)


run("generate")
view("events", "item_attributes")
spark.sql(
    "SELECT event_type, COUNT(*) AS events, COUNT(DISTINCT user_id) AS users FROM events GROUP BY event_type"
).show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Index and split
# MAGIC Ids become dense integers, events become pairs of user and item. Each pair counts the parts of the split
# MAGIC apart: what is trained on the train part never sees a count from the test part.

# COMMAND ----------

run("index", "features")
view("users", "interactions")
spark.sql(
    "SELECT COUNT(*) AS pairs, SUM(train_positives), SUM(validation_positives), SUM(test_positives) FROM interactions"
).show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Examples
# MAGIC A row is a positive beside its negatives: items that this user never took, drawn by hash, so the same on any
# MAGIC cluster.

# COMMAND ----------

run("examples")
view("train_examples")
spark.sql("SELECT * FROM train_examples ORDER BY fit, draw, user_idx, item_idx LIMIT 5").show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Training
# MAGIC Two fits. *evaluate* trains on the train part and picks its epochs on validation; *production* then trains on
# MAGIC everything for as many epochs. Add `training.ranks=2` to the settings above to train with Horovod on two Spark
# MAGIC tasks.

# COMMAND ----------

run("train")
view("models")
spark.sql("SELECT fit, model_version, epochs, validation_ndcg, evaluated_by FROM models").show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## How good is it?
# MAGIC Beside popularity and chance, on the held-out days. A model that does not beat popularity is not worth its
# MAGIC training.

# COMMAND ----------

run("evaluate")
view("metrics")
spark.sql("""
    SELECT model_name, metric, ROUND(value, 4) AS value, ROUND(low, 4) AS low, ROUND(high, 4) AS high, n AS users
    FROM metrics
    WHERE protocol = 'full' AND split = 'test' AND segment = 'all' AND k = 10 AND metric IN ('hr', 'ndcg', 'coverage')
    ORDER BY metric, value DESC
""").show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Lists
# MAGIC Every user gets ten rows in `recommendations_current`; anyone who reads Delta tables can read them.

# COMMAND ----------

run("recommend")
run("publish")
view("recommendations_current")
spark.sql("""
    SELECT r.user_id, r.rank, i.title, i.price, r.score, r.reason_code
    FROM recommendations_current AS r LEFT JOIN item_attributes AS i ON i.item_id = r.item_id
    WHERE r.user_id = (SELECT MIN(user_id) FROM recommendations_current)
    ORDER BY r.rank
""").show(truncate=False)

# COMMAND ----------

# MAGIC %md
# MAGIC The same in one call, without Spark, where the root is a path. A user nobody knows gets what is popular, and is told so.

# COMMAND ----------

from recsys_spark import recommend_items

someone = spark.sql("SELECT MIN(user_id) FROM recommendations_current").first()[0]
for user, n in ((someone, 10), ("nobody", 3)) if "/" in ROOT else ():
    print(f"\n{user}\n" + recommend_items(user, top_n=n, root=ROOT).to_string(index=False))
