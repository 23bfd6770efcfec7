"""Time jobs/recommend.py with re-ranking beside the same job without it, on a root that has a trained production model.

    .venv/bin/python benchmarks/rerank_stage.py --config conf/ml-1m.yaml --root .data/ml-1m [--set recommend.n=100] [--repeats 3]

All kinds take their turn in one warm session, and write the slice of the same date anew; the seconds are those of table `runs`,
which leave out the start of Spark. `effects`: what the steps do to validation lists is measured as well, as a night does.
Prints Markdown: seconds, and what each kind adds to the stage without re-ranking.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from bench import configured, header, spread
from quality import rows_of
from rerank import ALL, STEPS

from recsys_spark.cli import main as run_jobs
from recsys_spark.config import load_config

WITHOUT = "without"
KINDS = {
    WITHOUT: (),
    "MMR by vectors": ("MMR by vectors",),
    "DPP by vectors": ("DPP by vectors",),
    "all steps, with MMR": ALL,
}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, action="append", help="as the jobs take it")
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    options = parser.parse_args()
    print(header(load_config(options.config, options.settings).run.seed, *options.settings), flush=True)
    effects = load_config().recommend.rerank.effects_users
    kinds = {name: settings_of(steps, 0) for name, steps in KINDS.items()}
    kinds["all steps, and their effects"] = settings_of(ALL, effects)
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(options.repeats + 1):
        for name, settings in kinds.items():
            seconds[name].append(recommended(options, settings))
    taken = {name: each[1:] for name, each in seconds.items()}  # the first warms the code up
    print("\n| | the stage, s, median (least to greatest) | adds |\n| --- | --- | --- |")
    for name, each in taken.items():
        adds = [own / without - 1.0 for own, without in zip(each, taken[WITHOUT], strict=True)]
        print(f"| {name} | {spread(each, '.1f')} | {spread(adds, '.1%')} |")


def settings_of(steps: tuple[str, ...], effects_users: int) -> list[str]:
    chosen = {key: value for step in steps for key, value in STEPS[step].items()} | {"effects_users": effects_users}
    return [f"recommend.rerank.{key}={value}" for key, value in chosen.items()]


def recommended(options: argparse.Namespace, settings: list[str]) -> float:
    """Seconds of one run of the job; what it prints goes to stderr."""
    argv = ["--root", str(options.root), *configured(options.config, [*options.settings, *settings])]
    with contextlib.redirect_stdout(sys.stderr):
        if code := run_jobs("recommend", description=__doc__ or "", argv=argv):
            raise SystemExit(f"jobs/recommend.py ended with exit code {code}")
    runs = [row for row in rows_of(options.root / "runs") if row["stage"] == "recommend"]
    return float(max(runs, key=lambda row: row["started_at"])["seconds"])


if __name__ == "__main__":
    main()
