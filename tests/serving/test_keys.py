"""Keys: hashed in their file, revoked by taking a line out, paced one by one."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_spark.errors import UserError
from recsys_spark.serving.keys import Bucket, Keys, add_key


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_key_is_known_by_its_hash_and_kept_nowhere(tmp_path):
    file = tmp_path / "keys"
    shop, other = add_key(str(file), "shop"), add_key(str(file), "other")
    assert shop != other and len(shop) >= 43  # 256 bits
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    expected = [
        f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in (("shop", shop), ("other", other))
    ]
    assert file.read_text().splitlines() == expected
    keys = Keys(str(file), 1.0, 1)
    assert [keys.name_of(key) for key in (shop, other, "guess", "", "é\ud800")] == ["shop", "other", None, None, None]


def test_keys_come_and_go_with_their_lines(tmp_path):
    file = tmp_path / "keys"
    old = add_key(str(file), "old")
    keys = Keys(str(file), 1.0, 1)
    file.write_text("# none of before\n\n")
    new = add_key(str(file), "new")
    os.utime(file, ns=(1, 1))  # a clock's step may be longer than this test
    keys.refresh()
    assert (keys.name_of(old), keys.name_of(new)) == (None, "new")


@pytest.mark.parametrize("content", ["shop", "shop:abc", "a b:" + "0" * 64])
def test_a_file_that_is_none_of_keys_is_refused(tmp_path, content):
    (tmp_path / "keys").write_text("# comment\n" + content)
    with pytest.raises(UserError, match=r"keys_file=.*: line 1 is not NAME:SHA256"):
        Keys(str(tmp_path / "keys"), 1.0, 1)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        Keys(str(tmp_path / "none"), 1.0, 1)
    with pytest.raises(UserError, match="letters, digits"):
        add_key(str(tmp_path / "keys"), "a:b")
    with pytest.raises(UserError, match="needs a file"):
        add_key("", "shop")


def test_each_key_has_its_own_pace(tmp_path):
    file, clock = tmp_path / "keys", Clock()
    add_key(str(file), "shop")
    keys = Keys(str(file), rate=2.0, burst=3, clock=clock)
    assert [keys.wait("shop") for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 0.5]
    assert keys.wait("other") == 0.0
    clock.now += 0.5
    assert [keys.wait("shop") for _ in range(2)] == [0.0, 0.5]


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=60), st.floats(0.5, 20.0), st.integers(1, 10))
def test_never_more_than_the_burst_and_the_rate_pass(gaps, rate, burst):
    bucket, now, passed = Bucket(rate, burst), 0.0, []
    for gap in gaps:
        now += gap
        if not bucket.wait(now):
            passed.append(now)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + rate * (passed[last] - start) + 1e-6
