"""The forget job: people out of all that the root holds, a certificate of it, and a list that keeps them out.

The suppression list is written first, so that what a kill leaves undone is done by running it again with the same ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from recsys_spark import columns as c
from recsys_spark import storage
from recsys_spark.bounded import collect_columns, collect_rows
from recsys_spark.forget.artifacts import Places, blank, places
from recsys_spark.forget.people import People, people_of, refuse_unknown
from recsys_spark.forget.tables import break_runs, drop_histories, forgotten_rows, remove, suppress
from recsys_spark.runs import Run
from recsys_spark.schemas import FORGOTTEN
from recsys_spark.serving.fill import filled_again
from recsys_spark.suppression import keep_key, known_key, made_key, suppression
from recsys_spark.training.owner import hold_own

_MOST_HASHES: Final = 1000  # that a certificate names; table `forgotten` has all


def run(run: Run) -> None:
    """Forget the given people. O(rows of all tables with users), one read and one rewrite of the files they are in.

    Raises:
        UserError: nobody is given, an id is in no table, or the artifacts are another root's; nothing was changed.
    """
    hold_own(run)
    key = known_key(run.tables) or made_key(run.tables)
    suppression(run.tables)  # raises where the list was made with another key
    with people_of(run, key) as people:
        if not run.options["allow_unknown"]:
            refuse_unknown(run, people)
        keep_key(run.tables, key)
        now = datetime.now(UTC)
        run.counts["people"] = people.hashes.count()
        run.counts["newly_suppressed"] = suppress(run, people, now)
        rows = collect_columns(people.indices, [c.USER_IDX], "indices of people", run.config.run.driver_bytes)
        removed = remove(run, people)
        run.counts["lists_in_store"] = filled_again(run)
        run.say("removed from the newest versions; dropping the others")
        left = drop_histories(run)
        found = places(run)
        blanked = blank(found, rows[c.USER_IDX])
        broken = break_runs(run, left, now) if left else 0
        place = storage.join(run.artifacts, "forgotten", f"{run.run_id}.json")
        certificate = _certificate(run, people, now, removed, left, found, blanked) | {"runs_broken": broken}
        storage.save_file(place, (json.dumps(certificate, indent=2) + "\n").encode())
        run.tables.append(FORGOTTEN, forgotten_rows(run, people, removed, left, place))
    run.counts |= {"rows": sum(removed.values()), "model_rows": sum(blanked.values()), "runs_broken": broken}
    run.notes += [*_lines(certificate), f"certificate: {place}", "next: jobs/check_forgotten.py with the same ids"]


def _certificate(
    run: Run,
    people: People,
    now: datetime,
    removed: Mapping[str, int],
    left: Mapping[str, int],
    found: Places,
    blanked: Mapping[str, int],
) -> dict[str, Any]:
    """What was removed where, in the form that is written down; it names keyed hashes alone."""
    some = people.hashes.sort(c.KEYED_HASH).limit(_MOST_HASHES)
    hashes = collect_rows(some, "keyed hashes of a certificate", run.config.run.driver_bytes)
    return {
        "run_id": run.run_id,
        "at": now.isoformat(),
        "root": run.root,
        "people": run.counts["people"],
        c.KEYED_HASH: [row[c.KEYED_HASH] for row in hashes],
        "tables": {name: {"rows_removed": rows, "only_version_left": left[name]} for name, rows in removed.items()},
        "model_rows_blanked": dict(blanked),
        "folders_deleted": list(found.leftovers),
        "not_reached": [*found.not_reached, *_out_of_reach(run)],
    }


def _out_of_reach(run: Run) -> Iterator[str]:
    """What the configuration names that may hold the people, and that no job of ours changes."""
    config = run.config
    named = {
        "ingest.path": config.ingest.path,
        "ingest.users_path": config.ingest.users_path,
        "split.test_file": config.split.test_file,
        "split.negatives_file": config.split.negatives_file,
        "--table": run.options["table"],
    }
    yield from (f"{setting}: {path}" for setting, path in named.items() if path)
    for feature in config.features.declared:
        if feature.kind == "vector" and feature.of == "user":
            yield f"features.declared, {feature.name}: {feature.path}"
    yield "backups and earlier versions of objects that the storage keeps"
    yield "logs of schedulers, of Spark and of tracking servers"
    yield "what models learnt of others from them, until they are trained anew"


def _lines(certificate: Mapping[str, Any]) -> Iterator[str]:
    """The certificate, for a person to read."""
    for name, table in certificate["tables"].items():
        yield f"{name}: {table['rows_removed']:,} rows removed; only version {table['only_version_left']} is left"
    for place, rows in certificate["model_rows_blanked"].items():
        yield f"{place}: {rows:,} rows blanked"
    yield from (f"{place}: deleted" for place in certificate["folders_deleted"])
    yield from (f"not reached: {what}" for what in certificate["not_reached"])
