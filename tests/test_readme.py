"""Every job of the README as it stands there, on a piece of MovieLens 1M, or on a small set of its form."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from deltalake import DeltaTable

from recsys_spark.publish_settings import GateName
from tests.open_gates import ANYTHING

HERE = Path(__file__).parent.parent
USERS = 300
DOWNLOADED = "/path/to/ml-1m"
# the benchmark, which takes minutes by itself, is run by tests/benchmark/test_smoke.py
WALK = re.findall(
    r"^\.venv/bin/spark-submit (?!jobs/benchmark).*$", (HERE / "README.md").read_text(encoding="utf-8"), re.MULTILINE
)


@pytest.fixture(scope="module")
def movielens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of MovieLens 1M's form: its own first users where it is at hand, else made up."""
    folder = tmp_path_factory.mktemp("ml-1m")
    real = Path(os.environ.get("RECSYS_TEST_DATA", "")) / "ml-1m"
    if (real / "ratings.dat.gz").is_file():
        lines = gzip.decompress((real / "ratings.dat.gz").read_bytes()).decode("iso-8859-1").splitlines()
        ratings = [line for line in lines if int(line.partition("::")[0]) <= USERS]
        for name in ("users.dat", "movies.dat"):
            (folder / name).write_bytes((real / name).read_bytes())
    else:
        rng = np.random.default_rng(0)
        rated = [(user, movie) for user in range(1, USERS + 1) for movie in rng.choice(120, 40, replace=False) + 1]
        ratings = [f"{user}::{movie}::{rng.integers(1, 6)}::{978300000 + n}" for n, (user, movie) in enumerate(rated)]
        users = [f"{user}::{'MF'[user % 2]}::25::4::12345" for user in range(1, USERS + 1)]
        movies = [f"{movie}::Café No. {movie} (19{movie % 90 + 10})::Drama|Comedy" for movie in range(1, 121)]
        (folder / "users.dat").write_text("\n".join(users) + "\n", encoding="iso-8859-1")
        (folder / "movies.dat").write_text("\n".join(movies) + "\n", encoding="iso-8859-1")
    (folder / "ratings.dat").write_text("\n".join(ratings) + "\n", encoding="iso-8859-1")
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to type the commands in; one epoch is enough."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("jobs", ".venv", "recsys_spark"):
        (folder / name).symlink_to(HERE / name)
    (folder / "conf").mkdir()
    for file in (HERE / "conf").glob("*.yaml"):
        (folder / "conf" / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    with (folder / "conf" / "ml-1m.yaml").open("a", encoding="utf-8") as shorter:
        # at least two files, for two ranks
        shorter.write(f"publish: {{gates: {{{', '.join(f'{gate}: {ANYTHING}' for gate in get_args(GateName))}}}}}\n")
        shorter.write("training:\n  epochs: 1\nexamples:\n  draws: 1\n  rows_per_file: 8000\n")
    return folder


@pytest.mark.slow
def test_the_jobs_run_one_after_the_other_as_the_readme_has_them(movielens, checkout):
    # the pipeline, eight jobs, two ranks, made events, five of a model, its report, the configuration printed
    assert len(WALK) == 18
    printed = {}
    for line in WALK:
        command = shlex.split(line.replace(DOWNLOADED, str(movielens)))
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        printed[line] = done.stdout
    pipeline, ranks = printed[WALK[0]], next(text for line, text in printed.items() if line.endswith("ranks=2"))
    assert re.search(r"neumf +0\.\d{4} \[", pipeline) and "popularity" in pipeline
    assert "on 2 rank(s)" in ranks
    lists = DeltaTable(str(checkout / ".data" / "ml-1m" / "recommendations_current")).to_pyarrow_dataset()
    users = len(set(lists.to_table(columns=["user_id"])["user_id"].to_pylist()))
    assert (users, lists.count_rows()) == (USERS, 10 * USERS)
