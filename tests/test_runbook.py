"""The runbook has an entry for every error that a person may be shown, and none for errors that are no more."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from recsys_spark import errors
from recsys_spark.publish.gates import WHOLE
from recsys_spark.publish_settings import GateName
from recsys_spark.spark_errors import _CAUSES

HERE = Path(__file__).parent.parent
PACKAGE = HERE / "recsys_spark"
RUNBOOK = (HERE / "docs" / "runbook.md").read_text(encoding="utf-8")
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
ERRORS |= {"InstallError"}
LEAST_LETTERS = 6
# Errors without words of their own: what they say comes from elsewhere, as said here.
WORDLESS = {
    "benchmark/cells.py": "another error's, with where it was met before it",
    "config.py": "another error's, likewise",
    "events/lines.py": "spark_errors._CAUSES",
    "forget/check.py": "people are still held:",
    "lease.py": "lease.py, where the lease is found lost",
    "spark_errors.py": "spark_errors._CAUSES",
    "training/stage.py": "training/loop.py and training/validation.py",
    "transform.py": ": expected ..., missing",
}
PASSED_ON = {": expected ..., missing", "people are still held:"}  # entries for errors without words


@dataclass(frozen=True)
class Said:
    """One error in the code: where, and its constant words, with … for the rest."""

    where: str
    words: str

    @property
    def letters(self) -> int:
        return len(re.findall(r"[A-Za-z]", self.words))


def said_in(text: str, where: str) -> Iterator[Said]:
    """Every error that a module makes."""
    tree = ast.parse(text)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
            made_by = [functions[name] for name in called(node.args[0]) if name in functions]
            words = words_of(node.args[0])
            if re.search("[A-Za-z]", words) or not made_by:
                yield Said(f"{where}:{node.lineno}", words)
            else:
                returned = [each for one in made_by for each in ast.walk(one) if isinstance(each, ast.Return)]
                yield from (Said(f"{where}:{each.lineno}", words_of(each.value)) for each in returned if each.value)


def called(node: ast.expr) -> list[str]:
    return [each.func.id for each in ast.walk(node) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)]


def words_of(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return " ".join(text.split("\n"))
        case ast.JoinedStr(values=parts):
            return "".join(words_of(part) for part in parts)
        case ast.BinOp(left=left, right=right):
            return words_of(left) + words_of(right)
        case _:
            return "…"


def all_said() -> list[Said]:
    files = sorted(PACKAGE.rglob("*.py"))
    found = [said for file in files for said in said_in(file.read_text("utf-8"), str(file.relative_to(PACKAGE)))]
    return found + [Said(f"spark_errors.py, cause {number}", words) for number, (_, words) in enumerate(_CAUSES)]


def entries() -> list[str]:
    """The phrases of the first cells of tables whose head is `message`."""
    found = []
    for table in re.findall(r"^\| message \|.*\n\| [-| ]+\|\n((?:\|.*\n)+)", RUNBOOK, re.MULTILINE):
        for row in table.splitlines():
            first = row.removeprefix("|").split(" | ")[0]
            found += [a.strip() if a.strip() else b for a, b in re.findall(r"``(.+?)``(?!`)|`([^`]+)`", first)]
    return found


def pattern(phrase: str) -> re.Pattern[str]:
    return re.compile(".*?".join(re.escape(part) for part in phrase.split("...")))


SAID = [said for said in all_said() if said.letters >= LEAST_LETTERS]


def test_every_error_has_an_entry():
    patterns = [pattern(phrase) for phrase in entries()]
    missing = [f"{said.where}: {said.words}" for said in SAID if not any(one.search(said.words) for one in patterns)]
    assert not missing, "add entries to docs/runbook.md for:\n" + "\n".join(missing)


def test_every_entry_is_of_an_error():
    stale = [phrase for phrase in entries() if not any(pattern(phrase).search(said.words) for said in SAID)]
    assert set(stale) <= PASSED_ON, "these entries of docs/runbook.md match no error in the code"


def test_errors_without_words_are_known():
    wordless = {said.where.partition(":")[0] for said in all_said() if said.letters < LEAST_LETTERS}
    assert wordless == set(WORDLESS)


def test_every_exit_code_is_explained():
    rows = set(re.findall(r"^\| (\d) \|", RUNBOOK, re.MULTILINE))
    assert {str(value) for name, value in vars(errors).items() if name.startswith("EXIT_")} <= rows


def test_every_gate_is_explained():
    rows = set(re.findall(r"^\| `(\w+)` \|", RUNBOOK, re.MULTILINE))
    assert {WHOLE, *get_args(GateName)} <= rows


def test_every_row_says_cause_and_what_mends():
    for table in re.findall(r"^\| (?:message|seen|gate) \|.*\n\| [-| ]+\|\n((?:\|.*\n)+)", RUNBOOK, re.MULTILINE):
        for row in table.splitlines():
            cells = [cell.strip() for cell in row.strip("|").split(" | ")]
            assert len(cells) in (3, 4) and cells[0] and cells[1] and cells[-1].strip("| "), row


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ('raise UserError(f"table {name} is " "gone")', ["table … is gone"]),
        ('raise UserError("a " + "b" + c)', ["a b…"]),
        ('def why():\n    return f"{x} is why"\nraise UserError(why())', ["… is why"]),
        ("raise ValueError('not for users')", []),
        ("raise UserError(text)", ["…"]),
    ],
)
def test_how_errors_are_found(code, words):
    assert [said.words for said in said_in(code, "here")] == words


def test_how_phrases_match():
    assert pattern("the lists of ... are not").search("the lists of … are not published")
    assert not pattern("the lists of ... are not").search("the lists are published")
