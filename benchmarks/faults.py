"""Nights that go wrong: killed, two at once, a damaged file, a full disk, a lost executor ... Each must end in the right tables.

    .venv/bin/python benchmarks/faults.py --root .data/faults [--stages train recommend] [--only killed]

The purchases of some households are taken through `jobs/pipeline.py` once undisturbed; that is what every other root is held
against, by the rows of its data tables without run ids and times. Then, each on a root of its own:

- killed: one night whose whole process group gets SIGKILL a moment after each stage began (of train after its first epoch), and
  again between that stage and the next; each time the same command goes on after the last whole stage, and the last one exits
  with 0 and leaves the same tables, and a model as good.
- at_once: a second run on the same root while the first is at work is refused with exit code 4, and changes nothing.
- damaged: a byte of a column is flipped in each file of `interactions`; recommend must fail, and the live lists stay.
- full_disk: the root lies on a file system in memory that fills half-way; the job exits with 1 and names the folder, the live
  lists stay, and with more room the same command ends with the same tables. Needs the rights to mount.
- poisoned: one more household has bought a million times; up to the features, the others' rows must be as ever, and of its
  events the latest `interactions.max_user_events` count.
- lost_worker: Python workers get SIGKILL while recommend scores, on local[2,4]: four attempts a task, as on a cluster.
- lost_executor: one of two executors gets SIGKILL while recommend scores, on local-cluster. Both must make the same lists.

Prints Markdown: a line a fault, with what was seen. Ends with 1 if anything was not as it must be.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from bench import header
from playing import (
    CHECKOUT,
    EXECUTOR,
    LISTS,
    OF_USERS,
    POISONED,
    WORKER,
    bytes_in,
    content,
    differing,
    flip_bytes,
    fresh,
    grow,
    ndcg,
    play,
    rows,
    small_disk,
    source,
    spark_home,
    start,
)

from recsys_spark.config import load_config
from recsys_spark.errors import EXIT_BUSY
from recsys_spark.stages import PIPELINE

A_MOMENT = 1.0  # seconds into a stage
AS_GOOD = 0.05  # of NDCG, between a training that was killed and one that was not; the spread of seeds is larger
A_MILLION = 1_000_000
Line = tuple[str, list[int], bool, str]


def main() -> int:
    """Play every fault; 1 if one did not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=CHECKOUT / ".data" / "faults")
    parser.add_argument("--stages", nargs="+", default=PIPELINE)
    parser.add_argument("--only", nargs="+", default=list(FAULTS), choices=FAULTS)
    options = parser.parse_args()
    print(header(42) + "\n", flush=True)
    whole = options.root / "whole"
    if not whole.exists():
        source(options.root / "source")
        code, said = play(whole)
        if code:
            raise RuntimeError(f"the undisturbed night ended with {code}:\n{said[-5000:]}")
    print("| fault | exit codes | as it must be | seen |\n| --- | --- | --- | --- |", flush=True)
    right = True
    for name in options.only:
        for fault, codes, good, seen in FAULTS[name](options.root, whole, options.stages):
            print(f"| {fault} | {', '.join(map(str, codes))} | {'yes' if good else '**no**'} | {seen} |", flush=True)
            right &= good
    return int(not right)


def killed(folder: Path, whole: Path, stages: Sequence[str]) -> Iterator[Line]:
    """One night, killed in each stage and after it."""
    root = fresh(folder / "killed")
    for stage in stages:
        night = start(root)
        if stage == "train":  # small as it is, its next epochs are over in a moment
            night.until(": epoch 1 of")
        else:
            night.until(f"[{stage}] started")
            time.sleep(A_MOMENT)
        code = night.kill()
        yield f"killed in {stage}", [code], *_went_on(night.text, stage, stages)
        if stage == stages[-1]:
            break
        night = start(root)
        night.until(f"[{stage}] done")
        code = night.kill()
        good, seen = _went_on(night.text, stage, stages)
        resumed = stage != "train" or "going on after epoch" in night.text
        if not (good and resumed):
            print(night.text[-5000:], file=sys.stderr)
        more = (
            ""
            if stage != "train"
            else f", train {'went on' if resumed else 'did not go on'} after its last whole epoch"
        )
        yield f"killed after {stage}", [code], good and resumed, seen + more
    code, _ = play(root)
    other, figures = differing(root, whole), (ndcg(whole), ndcg(root))
    as_good = abs(figures[1] - figures[0]) <= AS_GOOD * figures[0]
    seen = f"{_named(other)}; NDCG@10 {figures[1]:.4f}, undisturbed {figures[0]:.4f}"
    yield "and run to its end", [code], code == 0 and not other and as_good, seen


def _went_on(said: str, stage: str, stages: Sequence[str]) -> tuple[bool, str]:
    """Whether a night began with the stage that it should begin with, and in words."""
    before = PIPELINE.index(stage) - 1
    if before < 0 or stage == stages[0]:
        return True, "began"
    good = f"going on after {PIPELINE[before]}," in said
    return good, f"{'went on' if good else 'did not go on'} after {PIPELINE[before]}"


def at_once(folder: Path, whole: Path, stages: Sequence[str]) -> Iterator[Line]:
    """A second run while the first is at work."""
    root = fresh(folder / "at-once")
    first = start(root)
    first.until("[features] started")
    second, said = play(root)
    code = first.end()
    other = differing(root, whole)
    refused = second == EXIT_BUSY and "is in use" in said
    seen = f"the second was {'refused' if refused else 'not refused'}; {_named(other)}"
    yield "two at once", [code, second], code == 0 and refused and not other, seen


def damaged(folder: Path, whole: Path, stages: Sequence[str]) -> Iterator[Line]:
    """Files of a table with other bytes in them."""
    root = Path(shutil.copytree(whole, fresh(folder / "damaged")))
    before = content(root, "recommendations_current")
    flipped = flip_bytes(root, "interactions", "item_idx")
    code, said = play(root, "--from", "recommend")
    same, words = content(root, "recommendations_current") == before, "CRC checksum verification failed"
    seen = f"{flipped} bytes flipped; {_live(same)}; {words if words in said else 'it is not said why'}"
    yield "a damaged file", [code], code in (1, 2) and same and words in said, seen


def full_disk(folder: Path, whole: Path, stages: Sequence[str]) -> Iterator[Line]:
    """A root whose disk fills half-way through a night, and the same with room."""
    root, size = fresh(folder / "full-disk"), bytes_in(whole)
    try:
        with small_disk(root, size + size // 4):
            shutil.copytree(whole, root, dirs_exist_ok=True)
            before = [content(root, name) for name in LISTS[1:]]
            code, said = play(root, "--fresh")
            same = [content(root, name) for name in LISTS[1:]] == before
            last = said.splitlines()[-1]
            named = "no space is left on a disk" in said and str(root) in said
            stage = [line for line in said.splitlines() if line.endswith("] started")][-1]
            seen = f"filled at {stage.partition(' ')[0]}; {_live(same)}; {last if named else 'the folder is not named: ' + last}"
            yield "a disk that fills", [code], code in (1, 2) and same and named, seen
            grow(root, 4 * size)
            again, _ = play(root)
            other = differing(root, whole)
            yield "and with room again", [again], again == 0 and not other, _named(other)
    except subprocess.CalledProcessError as refused:
        yield "a disk that fills", [], False, f"not played, no right to mount here: {refused}"


def poisoned(folder: Path, whole: Path, stages: Sequence[str]) -> Iterator[Line]:
    """A feed in which one user has a million events."""
    root = fresh(folder / "poisoned") / "root"
    source(root.parent / "source", poison=A_MILLION)
    code, said = play(root, "--until", "features")
    (user,) = [row["user_idx"] for row in rows(root, "users") if row["user_id"] == str(POISONED)]
    other = [name for name in OF_USERS if content(root, name, without=user) != content(whole, name)]
    counted = sum(row["events"] for row in rows(root, "interactions") if row["user_idx"] == user)
    notes = [line.strip() for line in said.splitlines() if "1 user had more than" in line]
    good = code == 0 and bool(notes) and not other and counted == load_config().interactions.max_user_events
    yield (
        "a user with a million events",
        [code],
        good,
        f"{counted:,} of them count; others' {_named(other)}; {notes[:1]}",
    )


def lost(folder: Path, whole: Path, stages: Sequence[str], kind: str, master: str) -> Iterator[Line]:
    """Processes of Spark's that die while lists are scored."""
    words = "a Python worker" if kind == WORKER else "an executor"
    root = Path(shutil.copytree(whole, fresh(folder / words.replace(" ", "-"))))
    home = spark_home(folder / "spark") if kind == EXECUTOR else None
    night = start(root, "--from", "recommend", master=master, home=home)
    night.until("[recommend] scoring")
    gone = night.lose(kind)
    code = night.end()
    felt = sum("Lost task" in line or "Lost executor" in line for line in night.said)
    other = [name for name in LISTS if content(root, name) != content(whole, name)]
    seen = f"{gone} lost on {master}, {felt} lines of Spark about it; {_named(other)}"
    yield f"{words} lost in scoring", [code], code == 0 and bool(gone and felt) and not other, seen


def _named(other: Sequence[str]) -> str:
    return f"differing tables: {', '.join(other) or 'none'}"


def _live(same: bool) -> str:
    return f"live lists {'stayed' if same else '**changed**'}"


FAULTS: dict[str, Callable[[Path, Path, Sequence[str]], Iterator[Line]]] = {
    "killed": killed,
    "at_once": at_once,
    "damaged": damaged,
    "full_disk": full_disk,
    "poisoned": poisoned,
    "lost_worker": partial(lost, kind=WORKER, master="local[2,4]"),
    "lost_executor": partial(lost, kind=EXECUTOR, master="local-cluster[2,1,1024]"),
}


if __name__ == "__main__":
    sys.exit(main())
