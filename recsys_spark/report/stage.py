"""The report stage: a trained model and held-out events -> `training_report`, a page, files for the projector, MLflow."""

from __future__ import annotations

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.evaluate.subjects import Loader, load_model
from recsys_spark.explore.entries import Entries, Entry
from recsys_spark.recommend.item_facts import kept_vectors
from recsys_spark.report.chosen import Chosen, chosen_model
from recsys_spark.report.held_out import held_out
from recsys_spark.report.page import Reported, page_of
from recsys_spark.report.projector import projector_files
from recsys_spark.report.space import Space, neighbours, plane_entries, planes, space_of
from recsys_spark.report.training import by_epoch, summary
from recsys_spark.runs import Run
from recsys_spark.schemas import TRAINING_REPORT
from recsys_spark.training.tracking import log_files, tracking_uri


def run(run: Run) -> None:
    """Report on `--model-version`, or else on the newest evaluate fit of `model.name`."""
    report(run, load_model)


def report(run: Run, load: Loader) -> None:
    """The stage with the model's scorer opened by `load`, which travels to the workers.

    O(users x items) for an evaluate fit, see `held_out`; the driver holds the vectors of `report.plane_items` items.

    Raises:
        UserError: there is no such model, nothing was trained, or a table that its fit was made from is gone.
    """
    chosen = chosen_model(run, run.options.get("model_version"))
    run.requested_as_of = chosen.as_of
    found = [*by_epoch(chosen.manifest), *summary(chosen.manifest, chosen.path)]
    if chosen.fit == "evaluate":
        found += held_out(run, chosen, load)
    space = _space(run, chosen)
    laid_out = planes(space, run.seed) if space else {}
    if space:
        found += [*neighbours(space, run.config.report.neighbours), *plane_entries(space, laid_out)]
    _keep(run, chosen, found)
    page, pictures = page_of(Reported(chosen, Entries(found), run.config, space, laid_out))
    files = {"index.html": page.html().encode(), **page.pictures(), **pictures}
    files |= projector_files(space) if space else {}
    _write(run, chosen, files)


def _space(run: Run, chosen: Chosen) -> Space | None:
    """None for a model that keeps no vector an item, and where too few items are frequent enough to say anything."""
    vectors = kept_vectors(chosen.path)
    if vectors is None:
        return None
    space = space_of(run, chosen, vectors)
    return space if len(space.items) > 1 else None


def _keep(run: Run, chosen: Chosen, found: list[Entry]) -> None:
    rows = [(chosen.as_of, chosen.version, *entry, run.run_id) for entry in found]
    frame = run.spark.createDataFrame(rows, TRAINING_REPORT.schema)
    run.counts["figures"] = run.tables.replace(TRAINING_REPORT, frame, {c.MODEL_VERSION: chosen.version})


def _write(run: Run, chosen: Chosen, files: dict[str, bytes]) -> None:
    """The files below the root, and as artifacts of the training's run: a server out of reach is a note, and no failure."""
    folder = storage.join(run.reports, "reports", "training", chosen.version)
    storage.delete_folder(folder)  # an earlier page may have had other pictures
    for name, content in files.items():
        storage.save_file(storage.join(folder, name), content)
    run.notes.append(f"the page, and its pictures beside it: {storage.join(folder, 'index.html')}")
    try:
        uri = tracking_uri(run.config.storage.tracking_uri, run.root, run.tables.in_catalog)
        logged = log_files(uri, run.config.dataset, chosen.version, str(chosen.row[c.RUN_ID]), files, "report")
    except Exception as error:  # whatever a server, a network or a database raises
        run.notes.append(f"MLflow did not take the report: {type(error).__name__}: {error}")
        return
    run.notes.append(
        f"artifacts of MLflow's run {logged}, under report"
        if logged
        else f"MLflow has no run of {chosen.version} to take the report"
    )
