from __future__ import annotations

import subprocess

from recsys_spark import __version__
from recsys_spark.version import code_version


def test_a_checkout_says_its_commit_and_whether_it_was_changed(tmp_path):
    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init")
    (tmp_path / "code.py").write_text("1\n")
    git("add", ".")
    git("commit", "-m", "first")
    git("tag", "v9")
    commit = git("rev-parse", "--short=12", "HEAD")
    assert code_version.__wrapped__(tmp_path) == f"{__version__}+g{commit}"
    (tmp_path / "code.py").write_text("2\n")
    assert code_version.__wrapped__(tmp_path) == f"{__version__}+g{commit}.dirty"


def test_an_installed_package_says_its_version_alone(tmp_path):
    (tmp_path / "site-packages").mkdir()
    assert code_version.__wrapped__(tmp_path / "site-packages") == __version__
    (tmp_path / ".git").mkdir()  # no repository that git would know
    assert code_version.__wrapped__(tmp_path) == __version__
