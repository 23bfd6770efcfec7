"""Answers made on the spot over a large catalogue: how late at a fixed rate, on one core, and what the model costs.

    .venv/bin/python benchmarks/realtime.py [--items 60000] [--seconds 15] [--rate 20] [--repeats 3] [--tensorflow]

The service is a process of its own, bound to one core, with a store of made items and a model of random weights; this process
asks `POST /v1/recommend` with keys on. Requests are due at fixed times; an answer counts from when it was due. Each has the items
of a made session, as many as the model reads. *Load*: reading the folder, and the first answer. *Query*: scores of the whole
catalogue, in this process. *Processor*: what the service used, which hangs less on what else runs. With `--tensorflow` the same
models answer in Keras, in a process that does nothing else, for the time and the memory that a query takes there: the query
alone, without the catalogue, HTTP and JSON. Prints Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from bench import header, spread
from serving import Connection, flags, quantile, serving

from recsys_spark.config import load_config
from recsys_spark.serving.keys import add_key
from recsys_spark.serving.live_model import Asked, LiveModel
from recsys_spark.serving.loading import ItemRow, ListRow
from recsys_spark.serving.opening import keeper_of
from recsys_spark.serving.store import About, Entry
from recsys_spark.storage import load_manifest, save_folder

SEED, WIDTH = 42, 64
WINDOWS: Final = {"two_tower": 50, "softmax_dnn": 50, "gru4rec": 200, "sasrec": 200}


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tensorflow", action="store_true", help="the same queries in Keras, too")
    parser.add_argument("--keras", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.keras:
        print(json.dumps(in_keras(options.keras)))
        return
    print(header(SEED, "other work on the machine" if os.getloadavg()[0] > 1 else "a quiet machine") + "\n")
    print(
        f"{options.items:,} items, width {WIDTH}, {options.rate:g} a second for {options.seconds:g} s, one core:\n\n"
        "| model | items read | load, s | arrays, MB | process, MB | query, ms | processor, ms an answer | p50, ms | p99, ms |\n"
        "| --- | ---: | --- | ---: | ---: | --- | ---: | --- | --- |"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, window in WINDOWS.items():
            print(measured(Path(folder) / name, name, window, options), flush=True)
        if options.tensorflow:
            print(
                "\nThe same queries in Keras:\n\n| model | load, s | process, MB | query, ms |\n| --- | --- | ---: | --- |"
            )
            for name in WINDOWS:
                command = [sys.executable, __file__, "--keras", str(Path(folder) / name / "keras")]
                told = json.loads(
                    subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
                )
                print(
                    f"| {name} | {told['load']:.1f} | {told['megabytes']:.0f} | {spread(told['milliseconds'], '.2f')} |"
                )


def measured(folder: Path, name: str, window: int, options: argparse.Namespace) -> str:
    """One model's line."""
    settings = [f"storage.artifacts={folder}"]
    keeper = keeper_of(load_config(settings=settings), str(folder))
    assert keeper is not None
    rng = np.random.default_rng(SEED)
    made(keeper.model_folder("made"), str(folder / "keras"), name, window, options.items, rng)
    rows = [
        ItemRow(n, f"i{n}", f"Title {n}", None, None, None, None, options.items - n, True) for n in range(options.items)
    ]
    loader = keeper.loader("made")
    entry = json.dumps({field: [value] for field, value in Entry("i0", 1.0, "model", None)._asdict().items()})
    parts = [loader.add_lists(0, [ListRow("u0", entry)]), loader.add_items(rows)]
    keeper.finish(About("made", "default", date(2026, 1, 1), "made", 0, 1), 1, parts)
    keeper.go_live(About("made", "default", date(2026, 1, 1), "made", 0, 1), 1)
    loads = [seconds(lambda: LiveModel(keeper.model_folder("made"))) for _ in range(3)]
    model = LiveModel(keeper.model_folder("made"))
    queries = [1000.0 * seconds(lambda: model.scores(Asked(session(rng, window, options.items)))) for _ in range(50)]
    key = add_key(str(folder / "keys"), "benchmark")
    limits = [f"serve.keys_file={folder / 'keys'}", "serve.requests_per_second=1000000", "serve.burst=1000000"]
    command = [sys.executable, "-m", "recsys_spark.serving.main", "--root", str(folder), "--log", "json"]
    with serving(lambda port: [*command, *flags([*settings, *limits]), "--port", str(port)]) as service:
        service.process.cpu_affinity([0])
        before = service.processor()
        runs = [asyncio.run(at_rate(service.port, key, window, options)) for _ in range(options.repeats)]
        used = 1000.0 * (service.processor() - before) / sum(map(len, runs))
        megabytes = service.process.memory_info().rss / 1e6
    late = [spread([quantile(one, share) for one in runs], ".1f") for share in (0.5, 0.99)]
    loaded, asked = spread(loads, ".2f"), spread(queries, ".2f")
    size = f"{model.bytes / 1e6:.0f} | {megabytes:.0f}"
    return f"| {name} | {window} | {loaded} | {size} | {asked} | {used:.1f} | {' | '.join(late)} |"


def made(folder: str, keras: str, name: str, window: int, items: int, rng: np.random.Generator) -> None:
    """A live model of random weights, and what Keras needs to make the same model."""
    chosen = load_config(settings=[f"model.name={name}"]).model.chosen
    settings = chosen.arguments() | {"length": window, "seed": SEED}
    arrays = {
        weight: rng.normal(scale=0.1, size=shape).astype(np.float32) for weight, shape in shapes(name, settings).items()
    }
    vectors = rng.normal(scale=0.1, size=(items, WIDTH)).astype(np.float32)
    bits = {"barred": np.zeros(items, np.uint8), "rules": np.zeros(items, np.int64)}
    manifest: dict[str, Any] = {
        "model_version": name, "model": {"name": name, "settings": settings, "n_users": 1, "n_items": items},
        "scoring": {"history": window}, "context": [], "given": {}, "exclude_seen": True, "rules_of_unknown": 0,
    }  # fmt: skip
    save_folder(folder, manifest, {"inputs": vectors, **arrays, "catalogue": vectors, **bits})
    save_folder(keras, manifest, {})


def shapes(name: str, settings: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """What a model's query is made by, beside the items."""
    d = WIDTH
    if name in ("two_tower", "softmax_dnn"):
        units = [d, *settings["layers"], d]
        kernels = {f"query_kernel_{n}": (units[n], units[n + 1]) for n in range(len(units) - 1)}
        return kernels | {f"query_bias_{n}": (units[n + 1],) for n in range(len(units) - 1)}
    if name == "gru4rec":
        u, cell = settings["units"], "gru/gru_cell"
        return {f"{cell}/kernel": (d, 3 * u), f"{cell}/recurrent_kernel": (u, 3 * u), f"{cell}/bias": (2, 3 * u)}
    blocks, hidden = settings["blocks"], settings["expansion"] * d
    of_block = {
        "mix": (d, 3 * d), "out": (d, d), "up": (d, hidden), "up_bias": (hidden,), "down": (hidden, d), "down_bias": (d,)
    }  # fmt: skip
    every = {f"{part}_{n}": shape for n in range(blocks) for part, shape in of_block.items()}
    norms = {f"layer_normalization_{n}/{part}": (d,) for n in range(2 * blocks + 1) for part in ("gamma", "beta")}
    return {"places": (settings["length"], d), **every, **norms}


def in_keras(folder: str) -> dict[str, Any]:
    """Load and query times, and the memory of this process."""
    started = time.perf_counter()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from recsys_spark.models import build_model
    from recsys_spark.recommend.scorer import _compiled

    spec = load_manifest(folder)["model"]
    model = build_model(spec["name"], spec["settings"], spec["n_users"], spec["n_items"])
    query = _compiled(lambda users: model.queries(users), "user", "history")
    window, rng = spec["settings"]["length"], np.random.default_rng(SEED)
    user = np.array([-1], np.int32)
    query(user, session(rng, window, spec["n_items"])[None])
    load = time.perf_counter() - started
    took = [1000.0 * seconds(lambda: query(user, session(rng, window, spec["n_items"])[None])) for _ in range(50)]
    return {"load": load, "megabytes": psutil.Process().memory_info().rss / 1e6, "milliseconds": took}


async def at_rate(port: int, key: str, window: int, options: argparse.Namespace) -> list[float]:
    """Milliseconds from when a request was due until it was answered."""
    chance, late, number, start = random.Random(SEED), [], 0, time.perf_counter() + 0.5

    async def ask() -> None:
        nonlocal number
        connection = await Posting.to(port, key)
        while (due := start + number / options.rate) < start + options.seconds:
            number += 1
            body = {"items": [f"i{chance.randrange(options.items)}" for _ in range(window)], "n": 10}
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await connection.recommend(json.dumps(body).encode())
            late.append(1000.0 * (time.perf_counter() - due))
        connection.close()

    await asyncio.gather(*(ask() for _ in range(8)))
    return late


class Posting(Connection):
    """One that posts."""

    async def recommend(self, body: bytes) -> bytes:
        head = f"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._key}\r\n"
        self._writer.write(
            f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        return await self._answer()


def session(rng: np.random.Generator, window: int, items: int) -> np.ndarray:
    return rng.integers(0, items, window).astype(np.int32)


def seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
