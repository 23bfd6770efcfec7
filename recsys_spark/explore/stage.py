"""The explore stage: events and what is known of users and items -> `exploration`, and a page with its pictures."""

from __future__ import annotations

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.errors import UserError
from recsys_spark.explore.entries import Entries
from recsys_spark.explore.explored import explored
from recsys_spark.explore.report import report
from recsys_spark.interactions.split import until
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS, EXPLORATION


def run(run: Run) -> None:
    """Count, keep the figures, draw them.

    Three passes over the events and one over a sample of the users: O(events), shuffles a row a user, an item and an hour,
    and of the sample a row a pair.

    Raises:
        UserError: there are no events up to the date.
    """
    events = run.tables.read(EVENTS.name).where(until(run.as_of))
    if events.isEmpty():
        raise UserError(f"there are no events up to {run.as_of}: choose a later --as-of, or ingest earlier events")
    found = explored(run, events)
    rows = run.spark.createDataFrame([(run.as_of, *entry, run.run_id) for entry in found], EXPLORATION.schema)
    run.counts["figures"] = run.tables.replace(EXPLORATION, rows, {c.AS_OF_DATE: run.as_of})
    page = report(Entries(found), run.config, run.as_of)
    folder = storage.join(run.reports, "reports", "explore", str(run.as_of))
    storage.delete_folder(folder)  # an earlier page may have had other pictures
    for name, content in {**page.pictures(), "index.html": page.html().encode()}.items():
        storage.save_file(storage.join(folder, name), content)
    run.notes.append(f"the page, and its pictures beside it: {storage.join(folder, 'index.html')}")
