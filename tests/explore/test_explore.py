"""The job on a small file of MarketBias' form, against pandas; on events alone; and the page in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from scipy.spatial.distance import jensenshannon

from recsys_spark.config import load_config
from recsys_spark.errors import UserError
from recsys_spark.explore.entries import Entries, Entry
from recsys_spark.explore.explored import explored
from recsys_spark.explore.report import report
from recsys_spark.explore.shift import shifts
from recsys_spark.explore.values import sample_of
from recsys_spark.runs import Run
from recsys_spark.schemas import EVENTS
from recsys_spark.stages import stage_named
from tests import frames
from tests.browser import console_of

CONF = Path(__file__).parent.parent.parent / "conf"
CATEGORIES = ["Camera, Photo", "Audio & <b>Video</b>", "Computers", "Phones"]
AS_OF = date(2003, 12, 27)
QUANTILES = [5, 25, 50, 75, 95]


def ratings() -> pd.DataFrame:
    """600 ratings of 60 users and 40 items over three years; items 36 to 39 are rated in the last days alone."""
    rng = np.random.default_rng(7)
    users, items = rng.integers(0, 60, 600), np.minimum(rng.geometric(0.08, 600) - 1, 35)
    days = rng.integers(0, 3 * 365 - 20, 600)
    days[-20:], items[-20:] = 3 * 365 - 5, rng.integers(36, 40, 20)
    days[-24:-20] = 3 * 365 - 14  # between train and test
    return pd.DataFrame(
        {
            "item_id": items,
            "user_id": users,
            "rating": rng.integers(1, 6, 600).astype(float),
            "timestamp": (pd.Timestamp("2001-01-01") + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d"),
            "model_attr": "Female",
            "category": [CATEGORIES[item % 4] for item in items],
            "brand": np.where(items % 3 == 0, "", "Sony"),
            "year": 2000,
            "user_attr": [("", "Female", "Male", "Male")[user % 4] for user in users],
            "split": 0,
        }
    )


def run_of(spark: SparkSession, root: Path, stage: str, *settings: str, as_of: date | None = None) -> Run:
    config = load_config([CONF / "marketbias.yaml"], ["run.shuffle_partitions=2", *settings])
    return Run(stage, spark, config, str(root), "test", as_of)


@pytest.fixture(scope="module")
def root(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that the file was ingested and explored in."""
    folder = tmp_path_factory.mktemp("explore")
    ratings().to_csv(folder / "df_electronics.csv", index=False)
    with (folder / "df_electronics.csv").open("a") as opened:
        opened.write("3,,3.0,2001-01-03,Female,Phones,,2000,,0\n3,2,9.0,2001-01-03,Female,Phones,,2000,Male,0\n")
    stage_named("ingest")(run_of(spark, folder / "root", "ingest", f"ingest.path={folder / 'df_electronics.csv'}"))
    stage_named("explore")(run_of(spark, folder / "root", "explore", "explore.by=[gender, age]"))
    return folder / "root"


@pytest.fixture(scope="module")
def found(spark: SparkSession, root: Path) -> Entries:
    rows = spark.read.format("delta").load(str(root / "exploration")).collect()
    assert {row["as_of_date"] for row in rows} == {AS_OF}
    return Entries(Entry(*row[1:6]) for row in sorted(rows, key=lambda row: row[1:5]))


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "reports" / "explore" / str(AS_OF) / "index.html").read_text(encoding="utf-8")


def test_counts_by_gender_and_category_are_those_of_pandas(found):
    known = ratings()
    gender = known["user_attr"].replace("", "(not known)")
    by_gender = known.groupby(gender)["user_id"].agg(["size", "nunique"])
    assert {label: (row["events"], row["users"]) for label, row in found.rows("users_by", "gender").items()} == {
        label: tuple(row) for label, row in by_gender.iterrows()
    }
    by_category = known.groupby("category")["item_id"].agg(["size", "nunique"])
    assert {label: (row["events"], row["items"]) for label, row in found.rows("categories").items()} == {
        label: tuple(row) for label, row in by_category.iterrows()
    }
    assert found.rows("users_by", "age") == {}


def test_quantiles_by_year_and_by_gender_and_category_are_those_of_numpy(found):
    known = ratings()
    for year, of_year in known.groupby(known["timestamp"].str[:4]):
        row = found.rows("values_by_year")[year]
        assert row["n"] == len(of_year)
        quantiles = [row["median" if at == 50 else f"p{at}"] for at in QUANTILES]
        assert quantiles == pytest.approx(np.percentile(of_year["rating"], QUANTILES))
    gender = known["user_attr"].replace("", "(others)")
    for (group, category), rows in known.groupby([gender, "category"]):
        row = found.rows("values_by_group", group)[category]
        assert (row["n"], row["median"]) == (len(rows), np.median(rows["rating"]))


def test_times_and_firsts_and_lengths_are_those_of_pandas(found):
    known = ratings()
    days = pd.to_datetime(known["timestamp"])
    assert {
        day: row["events"] for day, row in found.rows("weekdays").items()
    } == days.dt.day_name().value_counts().to_dict()
    assert {hour for hour, row in found.rows("hours").items() if row["events"]} == {"00"}
    by_month = days.dt.strftime("%Y-%m-01").value_counts()
    assert {label: row["events"] for label, row in found.rows("over_time", "rating").items()} == by_month.to_dict()
    for name in ("users", "items"):
        first = days.groupby(known[f"{name[:-1]}_id"]).min().dt.to_period("W-SUN").dt.start_time.dt.strftime("%Y-%m-%d")
        assert {
            week: row["new"] for week, row in found.rows("new_by_week", name).items()
        } == first.value_counts().to_dict()
    sizes = known.groupby("user_id").size()
    assert found.rows("lengths", "summary")["users"]["max"] == sizes.max()
    assert found.figure("tail", "items", "with_one_event", "summary") == (known.groupby("item_id").size() == 1).sum()


def test_repeats_missing_and_rejected_are_counted(found):
    known = ratings()
    pairs = known.groupby(["user_id", "item_id"]).size()
    assert {label: row["pairs"] for label, row in found.rows("repeats").items()} == {
        str(times): pairs_of for times, pairs_of in pairs.value_counts().items()
    }
    no_brand = known.groupby("item_id")["brand"].first().eq("").sum()
    assert found.rows("missing", "items")["brand"] == {"missing": no_brand, "of": known["item_id"].nunique()}
    assert found.rows("missing", "items")["title"]["missing"] == known["item_id"].nunique()
    assert found.rows("missing", "events")["event_value"] == {"missing": 0, "of": 600}
    rejected = {label: row["rows"] for label, row in found.rows("rejected").items()}
    assert rejected["missing_user_id"] >= 1 and rejected["value_out_of_range"] == 1


def test_windows_are_held_against_each_other(found):
    known = ratings()
    days = pd.to_datetime(known["timestamp"])
    test, train = known[days > "2003-12-20"], known[days <= "2003-12-13"]
    told = found.rows("windows", "events")
    assert (told["test"]["events"], told["train"]["events"]) == (len(test), len(train))
    assert told["test"]["mean_value"] == pytest.approx(test["rating"].mean())
    shift = found.rows("windows", "shift")
    assert shift["items"] == {"divergence": pytest.approx(1.0), "unseen": pytest.approx(1.0)}
    p, q = (part["category"].value_counts().reindex(CATEGORIES, fill_value=0) for part in (train, test))
    assert shift["categories"]["divergence"] == pytest.approx(jensenshannon(p, q, base=2) ** 2)


def test_the_page_shows_the_four_classical_pictures_and_says_what_is_absent(root, page):
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert headings[:5] == [
        "Ratings by gender", "Ratings by age", "Ratings by category", "Ratings by gender and category", "Ratings over the years",
    ]  # fmt: skip
    assert "No user with an event has a value of `age`" in page
    assert "the source tells days, and no hours" in page
    assert "Audio &amp; &lt;b&gt;Video" in page and "<b>Video" not in page
    pictures = {path.name for path in (root / "reports" / "explore" / str(AS_OF)).glob("*.png")}
    assert pictures >= {f"{name}.png" for name in ("ratings-by-gender", "ratings-over-the-years", "long-tail")}
    assert len(pictures) == page.count('role="img"')


def test_a_browser_opens_the_page_without_a_word(root, page, tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text(page.replace("</main>", "<script>console.error('broken')</script></main>"))
    assert console_of(broken, tmp_path / "profile") == ["broken"]
    assert console_of(root / "reports" / "explore" / str(AS_OF) / "index.html", tmp_path / "profile") == []


def test_the_same_events_give_the_same_page(spark, root, page):
    again = run_of(spark, root, "explore", "explore.by=[gender, age]")
    frame = again.tables.read(EVENTS.name).repartition(3)
    assert report(Entries(explored(again, frame)), again.config, again.as_of).html() == page


def test_events_without_values_or_attributes_still_have_a_page(spark, make_run: Callable[..., Run]):
    run = make_run("explore", "explore.sample_events=0")
    run.tables.append(EVENTS, frames.events(spark, [("u1", "i1", 0), ("u1", "i1", 30), ("u2", "i1", 31)], value=None))
    stage_named("explore")(run)
    page = (Path(run.root) / "reports" / "explore" / "2024-01-02" / "index.html").read_text()
    for words in (
        "No item with an event has a category.", "No event has a value ", "One of the two windows has no event",
        "No row was rejected",
    ):  # fmt: skip
        assert words in page
    assert "<dt>repeats</dt><dd>33.3%</dd>" in page
    early = make_run("explore", as_of="2023-12-31")
    with pytest.raises(UserError, match="there are no events up to 2023-12-31"):
        stage_named("explore")(early)


def test_a_sample_is_of_whole_users(spark, root):
    events = run_of(spark, root, "explore").tables.read(EVENTS.name)
    sizes = {row["user_id"]: row["count"] for row in events.groupBy("user_id").count().collect()}
    sampled = sample_of(events, 0.5, 42).groupBy("user_id").count().collect()
    assert 15 <= len(sampled) <= 45  # of 60: one draw in a million is outside
    assert all(row["count"] == sizes[row["user_id"]] for row in sampled)


def test_a_sample_without_anybody_says_so(spark, root):
    rows = [Entry(*row[1:6]) for row in spark.read.format("delta").load(str(root / "exploration")).collect()]
    of_sample = {"repeats", "values_by_year", "values_by_group"}
    found = Entries(entry for entry in rows if entry.picture not in of_sample or entry.label == "sample")
    page = report(found, load_config([CONF / "marketbias.yaml"]), AS_OF).html()
    assert "Nobody was in the sample of users" in page and "<dt>repeats</dt><dd>-</dd>" in page


def test_twenty_thousand_categories_are_the_largest_and_the_rest(spark):
    from recsys_spark.explore.described import of_categories

    counted = spark.range(20_000).selectExpr("concat('c', id) AS label", "20000 - id AS events", "1L AS items")
    rows = Entries(of_categories(counted, 20, 1 << 28)).rows("categories")
    assert list(rows)[:2] == ["c0", "c1"] and len(rows) == 21
    assert rows["(others)"] == {"events": sum(range(1, 19_981)), "items": 19_980, "groups": 19_980}


def test_divergence_is_that_of_scipy(spark):
    rng = np.random.default_rng(3)
    train, test = rng.integers(0, 50, 30), rng.integers(0, 3, 30)
    rows = spark.createDataFrame(list(zip(train.tolist(), test.tolist(), strict=True)), "train long, test long")
    none = rows.selectExpr("train", "0L AS test")
    found = {entry[2:4]: entry.value for entry in shifts({"all": rows, "none": none}, 1 << 20)}
    assert found == {
        ("all", "divergence"): pytest.approx(jensenshannon(train, test, base=2) ** 2),
        ("all", "unseen"): pytest.approx(test[train == 0].sum() / test.sum()),
    }


@pytest.mark.slow
@pytest.mark.real_data
def test_movielens_has_its_known_counts(spark, real_data, tmp_path):
    config = load_config([CONF / "ml-1m.yaml"], [f"ingest.path={real_data / 'ml-1m'}", "run.shuffle_partitions=2"])
    for stage in ("ingest", "explore"):
        stage_named(stage)(Run(stage, spark, config, str(tmp_path), "test"))
    rows = spark.read.format("delta").load(str(tmp_path / "exploration")).collect()
    found = Entries(Entry(*row[1:6]) for row in rows)
    assert found.rows("users_by", "gender") == {
        "M": {"events": 753_769, "users": 4_331},
        "F": {"events": 246_440, "users": 1_709},
    }
    assert found.figure("values_by_year", "2000", "n") == 904_757
    (page,) = (tmp_path / "reports" / "explore").glob("*/index.html")
    assert page.stat().st_size < 3_000_000
