from __future__ import annotations

import pytest

from recsys_spark.errors import UserError
from tests.datasets.helpers import opened, rows, write

EVENT = ("user_id", "item_id", "cast(event_time as string)", "event_value", "event_type", "event_order", "fault")
EXPECTED = [
    ("1", "1193", "2000-12-31 22:12:40", 5.0, "rating", 1, None),
    ("1", "661", "2000-12-31 22:35:09", 3.5, "rating", 2, None),
    ("2", "1193", "2000-12-31 21:28:33", 4.0, "rating", 3, None),
]
RATINGS = [("1", "1193", "5", "978300760"), ("1", "661", "3.5", "978302109"), ("2", "1193", "4", "978298113")]


def lines(delimiter: str) -> str:
    return "".join(delimiter.join(fields) + "\n" for fields in RATINGS)


@pytest.mark.parametrize(
    ("name", "text", "skipped"),
    [
        ("ratings.dat", lines("::"), 0),
        ("ratings.dat.gz", lines("::"), 0),
        ("u.data", lines("\t"), 0),
        ("ratings.csv", "userId,movieId,rating,timestamp\r\n" + lines(",").replace("\n", "\r\n"), 1),
        ("ml.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + lines("\t"), 1),
    ],
)
def test_ratings_of_every_shape_are_the_same_events(spark, tmp_path, name, text, skipped):
    write(tmp_path / name, text)
    write(tmp_path / "README", "not to be read")
    source = opened(spark, "format=movielens", f"path={tmp_path}", "event_type=rating")
    shifted = [(*fields[:5], fields[5] + skipped, fields[6]) for fields in EXPECTED]
    assert rows(source.events, *EVENT) == shifted
    assert source.items is None
    assert source.users is None


def test_a_line_of_another_form_keeps_its_text_and_says_what_was_expected(spark, tmp_path):
    path = write(tmp_path / "ratings.dat", "1::2::3\n\n1::2::3::4\n")
    events = opened(spark, "format=movielens", f"path={path}").events
    assert rows(events, "line", "raw", "fault") == [
        (1, "1::2::3", "expected 4 fields between '::', found 3"),
        (3, "1::2::3::4", None),
    ]


def test_1m_movies_are_latin_1_and_10m_movies_are_utf_8(spark, tmp_path):
    write(tmp_path / "ratings.dat", "1::73::4::978300760\n")
    title = "73::Misérables, Les (1995)::Drama|Musical\n"
    write(tmp_path / "movies.dat", title.encode("iso-8859-1") + title.replace("73", "74").encode("utf-8"))
    write(tmp_path / "users.dat", "1::F::1::10::48067\n")
    source = opened(spark, "format=movielens", f"path={tmp_path}")
    assert rows(source.items, "item_id", "title", "category", "year", "attributes") == [
        ("73", "Misérables, Les (1995)", "Drama|Musical", 1995, None),
        ("74", "Misérables, Les (1995)", "Drama|Musical", 1995, None),
    ]
    assert rows(source.users, "user_id", "gender", "age", "attributes") == [
        ("1", "F", "1", {"occupation": "10", "zip_code": "48067"})
    ]


def test_100k_movies_and_users(spark, tmp_path):
    path = write(tmp_path / "u.data", "196\t242\t3\t881250949\n")
    flags = ["0", "0", "0", "1", "1", "1"] + ["0"] * 13
    film = "1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)|"
    write(tmp_path / "u.item", film + "|".join(flags) + "\n")
    write(tmp_path / "u.user", "196|49|M|writer|55105\n")
    source = opened(spark, "format=movielens", f"path={path}")
    assert rows(source.items, "item_id", "title", "category", "year", "attributes['release_date']") == [
        ("1", "Toy Story (1995)", "Animation|Children's|Comedy", 1995, "01-Jan-1995")
    ]
    assert rows(source.users, "user_id", "gender", "age", "attributes['occupation']") == [("196", "M", "49", "writer")]


def test_csv_titles_may_hold_commas_and_quotes(spark, tmp_path):
    write(tmp_path / "ratings.csv", "userId,movieId,rating,timestamp\n1,11,4.0,978300760\n")
    write(
        tmp_path / "movies.csv",
        "movieId,title,genres\n"
        '11,"American President, The (1995)",Comedy|Drama|Romance\n'
        '12,"""Great Performances"" Cats (1998)",Musical\n'
        "13,Untitled,(no genres listed)\n",
    )
    items = opened(spark, "format=movielens", f"path={tmp_path}").items
    assert rows(items, "item_id", "title", "category", "year") == [
        ("11", "American President, The (1995)", "Comedy|Drama|Romance", 1995),
        ("12", '"Great Performances" Cats (1998)', "Musical", 1998),
        ("13", "Untitled", None, None),
    ]


def test_recboles_typed_files(spark, tmp_path):
    write(tmp_path / "ml.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t3\t978300760.0\n")
    write(
        tmp_path / "ml.item",
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "2\tToy Story\t1995\tAnimation Children's Comedy\n",
    )
    write(tmp_path / "ml.user", "user_id:token\tage:token\tgender:token\toccupation:token\n1\t24\tM\ttechnician\n")
    source = opened(spark, "format=movielens", f"path={tmp_path}")
    assert rows(source.events, "cast(event_time as string)") == [("2000-12-31 22:12:40",)]
    assert rows(source.items, "item_id", "title", "category", "year", "attributes") == [
        ("2", "Toy Story", "Animation|Children's|Comedy", 1995, None)
    ]
    assert rows(source.users, "user_id", "gender", "age", "attributes") == [
        ("1", "M", "24", {"occupation": "technician"})
    ]


def test_attributes_may_lie_elsewhere(spark, tmp_path):
    write(tmp_path / "ratings.dat", lines("::"))
    (tmp_path / "elsewhere").mkdir()
    items = write(tmp_path / "elsewhere" / "films.dat", "1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n")
    source = opened(spark, "format=movielens", f"path={tmp_path}", f"items_path={items}")
    assert rows(source.items, "item_id", "year") == [("1193", 1975)]


def test_a_folder_without_ratings_names_what_it_holds(spark, tmp_path):
    write(tmp_path / "movies.dat", "1::Toy Story (1995)::Comedy\n")
    with pytest.raises(UserError, match=r"no MovieLens ratings here; expected ratings\.dat, .* found movies\.dat"):
        opened(spark, "format=movielens", f"path={tmp_path}")


def test_two_shapes_of_the_same_ratings_are_not_guessed_at(spark, tmp_path):
    write(tmp_path / "ratings.dat", lines("::"))
    write(tmp_path / "ratings.csv", "userId,movieId,rating,timestamp\n" + lines(","))
    with pytest.raises(UserError, match="are both ratings; name the one to read"):
        opened(spark, "format=movielens", f"path={tmp_path}")


def test_a_csv_with_another_header_is_named(spark, tmp_path):
    write(tmp_path / "ratings.csv", "user,film,stars\n1,2,3\n")
    with pytest.raises(UserError, match=r"ratings\.csv: the first line is 'user,film,stars', expected userId,movieId"):
        opened(spark, "format=movielens", f"path={tmp_path}")
