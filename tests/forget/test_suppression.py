"""Keyed hashes, the key's file, words of raw text, and which columns people stand in. No Spark."""

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from recsys_spark.errors import UserError
from recsys_spark.forget.coverage import KEYS, holds_people, texts_of
from recsys_spark.schemas import TABLES
from recsys_spark.suppression import KEY_VARIABLE, keep_key, key_id, keyed_hash, known_key, made_key, words


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    return SimpleNamespace(root=str(tmp_path / "root"), in_catalog=False, exists=lambda name: False)


def test_the_hash_is_hmac_sha256():
    # RFC 4231, test case 2
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert keyed_hash(b"Jefe", "what do ya want for nothing?") == expected
    assert keyed_hash(b"Jefe", None) is None
    assert key_id(b"one key of many") != key_id(b"another of many")


def test_a_key_is_made_once_and_its_owner_alone_reads_it(tables):
    assert known_key(tables) is None
    key = made_key(tables)
    keep_key(tables, key)
    file = Path(tables.root) / ".suppression_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert known_key(tables) == key and len(key) == 64
    keep_key(tables, b"another key of 16 bytes")
    assert known_key(tables) == key


def test_the_environments_key_comes_first_and_must_be_long(tables, monkeypatch):
    keep_key(tables, made_key(tables))
    monkeypatch.setenv(KEY_VARIABLE, "sixteen bytes, or more")
    assert known_key(tables) == b"sixteen bytes, or more"
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(UserError, match="5 bytes, expected 16"):
        known_key(tables)


def test_no_key_is_made_where_a_list_lost_its_own_or_no_file_can_be_kept(tables):
    tables.exists = lambda name: name == "suppressed"
    with pytest.raises(UserError, match="its key is missing"):
        made_key(tables)
    tables.exists, tables.root = lambda name: False, "s3://bucket/root"
    with pytest.raises(UserError, match=KEY_VARIABLE):
        made_key(tables)


@pytest.mark.parametrize(
    ("user_id", "raw"),
    [
        ("17", "17::5::3::978300760"),
        ("17", '{"user":17,"item":"5"}'),
        ("u-17", "2024-01-01\tu-17\t5"),
        ("j.roe@example.org", '"j.roe@example.org",5'),
        ("J. Roe", "5,J. Roe,3"),
        ("a:b", '{"user_id": "a:b"}'),
        ("日本", "日本,5"),
    ],
)
def test_an_id_is_a_word_of_the_row_it_stands_in(user_id, raw):
    assert user_id in words(raw)


def test_an_id_within_a_longer_one_is_no_word():
    assert "17" not in words("117::5") | words("a17,171")
    assert words(None) == set()


def test_every_table_with_people_is_covered():
    """A new column that is called after users is either a key of people, or added here with what it is."""
    others = {"users", "users_control", "users_version"}  # counts, and a version of a table
    for table in TABLES.values():
        of_users = {name for name in table.schema.names if "user" in name} - others
        assert of_users <= set(KEYS), table.name
        assert holds_people(table) == bool(of_users or texts_of(table))
    assert {name for name, table in TABLES.items() if holds_people(table)} >= {
        "events", "events_rejected", "user_attributes", "users", "interactions", "user_features", "sequences", "user_encoded",
        "event_contexts", "train_examples", "train_sequences", "train_impressions", "eval_examples", "recommendations",
        "recommendations_current", "runs",
    }  # fmt: skip
