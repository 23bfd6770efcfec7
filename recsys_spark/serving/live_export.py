"""A trained model -> the folder that the service answers live from: arrays of the catalogue, and nothing of a user.

Numpy alone: what the model reads of items is folded into one table, so that the service needs neither TensorFlow nor features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyspark.sql import functions as F

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.errors import MissingTableError
from recsys_spark.models.forward import EXPORTED, folded, weights_of
from recsys_spark.nights import is_alike, models_of
from recsys_spark.recommend.barring import Catalogue
from recsys_spark.recommend.filters import catalogue
from recsys_spark.recommend.rules import mask_of
from recsys_spark.retriever import retriever_config
from recsys_spark.runs import Run
from recsys_spark.schemas import USER_ATTRIBUTES
from recsys_spark.serving.live_model import BARRED, CATALOGUE, RULES, live_manifest

_TOLD: Final = ("model_version", "as_of_date", "fit", "model", "scoring", "context", "versions")


def live_source(run: Run) -> str:
    """Where the production model lies that answers live: the retriever's, or else the night's own; empty where it cannot."""
    config = retriever_config(run.config) or run.config
    known = models_of(run, "production", config.model.name) if config.model.name in EXPORTED else []
    alike = [row for row in known if is_alike(row, config)]
    if not known:
        run.notes.append(
            f"nothing is answered live (POST /v1/recommend): there is no {config.model.name} that could; see retriever.name"
        )
    return str((alike or known)[0]["path"]) if known else ""


def export(run: Run, source: str, target: str) -> None:
    """Write the folder. O(items) on the driver; Spark is asked which items are barred, as `recommend` asks it.

    Args:
        run: of the lists' date.
        source: a model's artifact.
        target: the folder to write.
    """
    manifest, arrays = storage.load_manifest(source), storage.load_arrays(source)
    settings = manifest["model"]["settings"]
    weights = weights_of({name: array for name, array in arrays.items() if name != CATALOGUE})
    try:
        barred = catalogue(run, run.tables.read_slice("interactions", {c.AS_OF_DATE: run.as_of}))
    except MissingTableError as missing:  # of an old date, whose lists are put back
        run.notes.append(f"nothing is answered live: {missing}")
        return
    told = {name: manifest[name] for name in _TOLD if name in manifest} | {
        "given": run.config.recommend.context if manifest.get("context") else {},
        "context": manifest.get("context", []),
        "exclude_seen": run.config.recommend.exclude_seen,
        "rules_of_unknown": _rules_of_unknown(run),
    }
    written = {
        **folded(settings, weights),
        CATALOGUE: arrays[CATALOGUE],
        **_barred(barred, manifest["model"]["n_items"]),
    }
    storage.save_folder(target, told, written)
    run.notes.append(f"answered live (POST /v1/recommend): by {manifest['model_version']}")


def copy_live(source: str, target: str) -> None:
    """Put the live model of another night, where it has one, beside a new one."""
    if storage.has_folder(source):
        storage.save_folder(target, live_manifest(source), storage.load_arrays(source))


def _barred(known: Catalogue, n_items: int) -> Mapping[str, Any]:
    return {BARRED: known.barred[:n_items], RULES: known.rules[:n_items]}


def _rules_of_unknown(run: Run) -> int:
    """The rules that are about somebody of whom nothing is known: those whose predicate holds of nulls."""
    rules = {rule.name: rule.users for rule in run.config.recommend.filters.rules}
    if not rules:
        return 0
    known = run.tables.read_or_empty(USER_ATTRIBUTES).drop(c.RUN_ID)
    nulls = [F.lit(None).cast(field.dataType).alias(field.name) for field in known.schema]
    nobody = run.spark.range(1).select(*nulls)
    row = nobody.select(mask_of(rules, nobody, USER_ATTRIBUTES.name).alias(RULES)).head()
    assert row is not None
    return int(row[0])
