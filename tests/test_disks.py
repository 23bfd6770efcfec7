"""What a full disk is taken for, and what is said of it."""

from __future__ import annotations

from collections import namedtuple

import pytest

from recsys_spark import disks

Usage = namedtuple("Usage", "total used free")


def test_an_error_for_want_of_room_names_the_folders_the_fullest_first(monkeypatch, tmp_path):
    monkeypatch.setattr(
        disks.shutil, "disk_usage", lambda at: Usage(0, 0, (1 << 20) * (3 if at == str(tmp_path) else 500))
    )
    try:
        try:
            raise OSError(28, "No space left on device")
        except OSError as first:
            raise RuntimeError("the task failed") from first
    except RuntimeError as error:
        said = disks.full(error, str(tmp_path))
    assert said is not None
    assert said.startswith(f"no space is left on a disk ({tmp_path} has 3 MiB free, ")


@pytest.mark.parametrize("error", [ValueError("no"), OSError(2, "No such file or directory")])
def test_any_other_error_is_not_of_the_disk(error, tmp_path):
    assert disks.full(error, str(tmp_path)) is None
