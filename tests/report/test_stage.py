"""The job over four users and six items whose every figure can be worked out by hand, and its page in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from recsys_spark.errors import MissingTableError, UserError
from recsys_spark.evaluate.losses import BINS, edge
from recsys_spark.explore.entries import Entries, Entry
from recsys_spark.report.stage import run as report
from recsys_spark.stages import stage_named
from tests.browser import console_of
from tests.evaluate.conftest import World, make_world
from tests.report.trained import VERSION, add_trained, describe, report_folder, report_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reported(spark, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, list[str]]]:
    """A world after a report on its model, of which two rare items were asked for."""
    world = make_world(spark, tmp_path_factory.mktemp("reported"))
    add_trained(world)
    describe(world)
    run = report_run(world, "report.items=[i5, i4]")
    stage_named("report")(run)
    yield world, run.notes


@pytest.fixture(scope="module")
def found(reported) -> Entries:
    world, _ = reported
    rows = world.spark.read.format("delta").load(f"{world.root}/training_report").collect()
    assert {row["model_version"] for row in rows} == {VERSION}
    return Entries(Entry(*row[2:7]) for row in rows)


def test_losses_and_metrics_are_those_of_the_history(found):
    assert found.rows("losses", "train") == {"1": {"loss": 0.9}, "2": {"loss": 0.5}}
    assert found.rows("losses", "validation") == {"1": {"loss": 1.0}, "2": {"loss": 0.6}}
    assert found.rows("metrics", "hr@10") == {"1": {"hr@10": 0.4}, "2": {"hr@10": 0.6}}
    assert found.figure("layers", "000 gmf/user_gmf", "numbers") == 18


def test_pairs_of_validation_lie_in_their_columns(found):
    """On validation user 0 has item 2 (3.0) and candidate 5 (1.0), user 1 item 4 (2.0) and candidate 3 (1.0)."""
    rows = {
        float(label): (row["positives"], row["negatives"]) for label, row in found.rows("scores", "validation").items()
    }
    positives = [low for low, (count, _) in sorted(rows.items()) for _ in range(int(count))]
    negatives = [low for low, (_, count) in rows.items() for _ in range(int(count))]
    width = next(iter(found.rows("scores", "validation").values()))["width"]
    assert [score - low for score, low in zip((2.0, 3.0), positives, strict=True)] == pytest.approx([0, 0], abs=width)
    assert [1.0 - low for low in negatives] == pytest.approx([0, 0], abs=width)
    assert width >= edge(2) - edge(1) and len(rows) < BINS


def test_roc_and_accuracy_by_hand(found):
    """Both positives of validation stand above both negatives. On test, of users 0, 1 and 2, the positives are 5.0, 7.0 and 2.0
    and the negatives 4.0, 1.0, 1.0, 1.5, 1.0 and 6.0: called from 2.0 on, 3 + 4 of 9 are right, and 6 of 9 are negatives."""
    assert found.figure("roc", "validation", "area", "area") == 1.0
    assert found.rows("accuracy")["validation"] == {"accuracy": 1.0, "majority": 0.5, "pairs": 4.0}
    row = found.rows("accuracy")["test"]
    assert row == {"accuracy": pytest.approx(7 / 9), "majority": pytest.approx(6 / 9), "pairs": 9.0}


def test_segments_by_hand(found):
    """Less what was seen: user 0 has 5, 4, 3 (the target), 1; user 1 has 7, 2 (the target), 1.5, 1; k is 2."""

    def figures(series: str) -> dict[str, tuple[float, float, float]]:
        return {
            label: (row["n"], row["found"], pytest.approx(row["above"]))
            for label, row in found.rows("segments", series).items()
        }

    missed, got = (1, 0.0, 2 / 3), (1, 1.0, 1 / 3)
    assert figures("overall") == {"all": (2, 0.5, 0.5)}
    assert figures("history") == {"1 to 4": (2, 0.5, 0.5)}
    assert figures("popularity") == {"0": got, "1 to 4": missed}
    assert figures("category") == {"(not known)": got, "Comedy": missed}
    assert figures("user gender") == {"F": missed, "M": got}
    assert "user age" not in found.series("segments")


def test_neighbours_are_of_the_items_asked_for_in_their_order(found):
    assert set(found.series("neighbours")) == {"i4", "i5"}
    assert len(found.rows("neighbours", "i5")) == 5
    assert found.rows("plane", "PCA").keys() == {f"i{n}" for n in range(6)}


def test_the_page_its_pictures_and_the_files_beside_it(reported):
    world, notes = reported
    folder = report_folder(world)
    page = (folder / "index.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert headings == [
        "Loss by epoch", "Metrics by epoch", "Scores of positives and negatives", "Calibration", "ROC", "Accuracy",
        "Where the model fails", "Found by length of the user&#39;s history", "Found by popularity of the item",
        "Found by category of the item", "Found by gender of the user", "Model summary", "Folding", "Nearest neighbours",
        "Items on the plane",
    ]  # fmt: skip
    assert "Beta &lt;b&gt; (Drama" not in page  # shown are the neighbours of those asked for
    assert page.index("Zeta (&lt;/script&gt;&lt;script&gt;, id i5)") < page.index("Epsilon ((not known), id i4)")
    assert len(page.encode()) < 3_000_000
    pictures = {path.name for path in folder.glob("*.png")}
    assert len(pictures) == page.count('<div role="img"') + 2 and {"items-by-pca.png", "items-by-umap.png"} <= pictures
    assert {path.name for path in (folder / "projector").iterdir()} == {
        "vectors.tsv",
        "metadata.tsv",
        "projector_config.pbtxt",
    }
    assert any("MLflow has no run" in note for note in notes)


def test_a_browser_opens_the_page_finds_a_title_and_tells_what_lies_under_the_pointer(reported, tmp_path):
    world, _ = reported
    page = (report_folder(world) / "index.html").read_text(encoding="utf-8")
    assert console_of(report_folder(world) / "index.html", tmp_path / "profile") == []
    asking = """<script>
    const search = document.querySelector(".plane input[type=search]");
    search.value = "GAMMA";
    search.dispatchEvent(new Event("input"));
    const at = document.querySelector(".plane path.hit").getBoundingClientRect();
    document.querySelector(".drawn > svg").dispatchEvent(
      new PointerEvent("pointermove", { clientX: at.x + at.width / 2, clientY: at.y + at.height / 2 }));
    console.error(document.querySelector(".plane .found").textContent);
    console.error(document.querySelector(".plane .titles").textContent);
    console.error(document.querySelector(".plane .tip").textContent);
    </script></main>"""
    asked = tmp_path / "asked.html"
    asked.write_text(page.replace("</main>", asking), encoding="utf-8")
    said = ["1 of 6 titles", "Gamma ray (Comedy)", "Gamma ray: Comedy, 1 users"]
    assert console_of(asked, tmp_path / "profile") == said


def test_a_later_fit_is_not_measured_on_what_it_learnt_from(world):
    add_trained(world)
    add_trained(world, "gmf-20240131-refit-abc", "refit", VERSION)
    world.append(*_features_of_the_refit())
    report(report_run(world, version="gmf-20240131-refit-abc"))
    page = (report_folder(world, "gmf-20240131-refit-abc") / "index.html").read_text(encoding="utf-8")
    assert f"--model-version {VERSION}" in page and "Calibration" not in page


def test_what_is_not_there_is_said_with_what_to_run(world):
    with pytest.raises(MissingTableError, match=r"nothing was trained under .*jobs/train\.py"):
        report(report_run(world))
    add_trained(world)
    with pytest.raises(UserError, match=rf"no model version v9 .*jobs/train\.py.*--model-version .*{VERSION}"):
        report(report_run(world, version="v9"))
    with pytest.raises(UserError, match="no evaluate fit of sasrec"):
        report(report_run(world, "model.name=sasrec"))
    with pytest.raises(UserError, match=r"report\.items names i77, which model"):
        report(report_run(world, "report.items=[i77, i1]"))


def _features_of_the_refit():
    from recsys_spark.schemas import ITEM_FEATURES
    from tests.evaluate.conftest import AS_OF, NOON

    return ITEM_FEATURES, [(AS_OF, "refit", item, 1, 1, NOON, NOON, None) for item in range(3)]
