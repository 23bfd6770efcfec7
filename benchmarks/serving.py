"""The service beside a bare FastAPI endpoint with the same payload: highest rate, and how late answers are at half of it.

    .venv/bin/python benchmarks/serving.py [--users 100000] [--seconds 5] [--half-seconds 200] [--repeats 3] [--store embedded]

Both run as one process of uvicorn each, the service with keys on and a made store, and are asked in turn by this process
over connections that stay open. The bare endpoint answers one fixed list through the same response model. *Highest rate*:
each connection asks again as soon as it has its answer. *At half of it*: requests are due at fixed times, and an answer's time
counts from when it was due. *Processor*: what the process used an answer, which hangs less on what else runs. With
`--store postgres` the store is in the server that RECSYS_STORE_DSN names.

Then the service alone: asked at half of its own highest rate while another night goes live every ten seconds, each list held to
be of one night; asked with a key that is none; killed and started again. Whatever is not answered as it must be ends the run.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from pathlib import Path

import psutil
from bench import header, spread

from recsys_spark.config import load_config
from recsys_spark.serving.keys import add_key
from recsys_spark.serving.loading import ItemRow, Keeper, ListRow
from recsys_spark.serving.opening import keeper_of
from recsys_spark.serving.store import About, Entry, shard_of

ITEMS, LENGTH, SEED, CONNECTIONS = 10_000, 10, 42, 16
NIGHTS, NIGHT_SECONDS = 2, 10.0
BARE = """
import sys
import uvicorn
from fastapi import FastAPI
from recsys_spark.serving.answers import Recommendations
answer = Recommendations.model_validate_json(open(sys.argv[1]).read())
app = FastAPI()
@app.get("/v1/users/{user_id:path}/recommendations")
async def recommendations(user_id: str) -> Recommendations:
    return answer
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
"""


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--half-seconds", type=float, help="of each measurement at half the rate, where they differ")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--store", choices=("embedded", "postgres"), default="embedded")
    options = parser.parse_args()
    print(header(SEED, "other work on the machine" if os.getloadavg()[0] > 1 else "a quiet machine") + "\n")
    with tempfile.TemporaryDirectory() as folder:
        settings = [
            f"store.kind={options.store}",
            "store.database_schema=recsys_benchmark",
            f"storage.artifacts={folder}",
        ]
        keeper = keeper_of(load_config(settings=settings), folder)
        assert keeper is not None
        started = time.perf_counter()
        nights = [load(keeper, number, options.users) for number in range(NIGHTS)]
        seconds = time.perf_counter() - started
        print(f"two nights of {options.users:,} lists of {LENGTH} loaded in {seconds:.1f} s by one process\n")
        compare(Path(folder), settings, options, keeper, nights)
        keeper.remove()


def load(keeper: Keeper, night: int, users: int, shards: int = 4) -> About:
    """A night of made lists, in shards of equal size; the scores say which night it is."""
    chance = random.Random(SEED + night)
    loader = keeper.loader(f"benchmark-{night}")
    ids = [f"i{number}" for number in range(ITEMS)]
    by_shard: dict[int, list[str]] = {shard: [] for shard in range(shards)}
    for number in range(users):
        by_shard[shard_of(f"u{number}", shards)].append(f"u{number}")

    def rows(of: list[str]) -> Iterator[ListRow]:
        for user in sorted(of):
            entries = [
                Entry(item, night + 0.5 / (1 + place), "model", None)
                for place, item in enumerate(chance.sample(ids, LENGTH))
            ]
            yield ListRow(user, json.dumps({name: [getattr(one, name) for one in entries] for name in Entry._fields}))

    parts = [loader.add_lists(shard, rows(of)) for shard, of in by_shard.items()]
    items = [
        ItemRow(n, one, f"Title of item {n}", None, None, None, None, ITEMS - n, True) for n, one in enumerate(ids)
    ]
    about = About(f"benchmark-{night}", "default", date(2026, 1, 1), str(night), night, users)
    keeper.finish(about, shards, [*parts, loader.add_items(items)])
    keeper.go_live(about, NIGHTS)
    return about


@dataclass
class Endpoint:
    """A process that is asked, and what was measured of it."""

    port: int
    process: psutil.Process
    rates: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)  # of the processor, an answer
    late: list[list[float]] = field(default_factory=list)

    def processor(self) -> float:
        used = self.process.cpu_times()
        return float(used.user + used.system)

    def line(self, name: str) -> str:
        late = [spread([quantile(one, share) for one in self.late], ".1f") for share in (0.5, 0.99)]
        return f"| {name} | {spread(self.rates)} | {spread(self.milliseconds, '.3f')} | {' | '.join(late)} |"


def compare(
    folder: Path, settings: list[str], options: argparse.Namespace, keeper: Keeper, nights: Sequence[About]
) -> None:
    """Both endpoints in turn, so that whatever else the machine does meets both alike; then the service alone."""
    key = add_key(str(folder / "keys"), "benchmark")
    limits = [f"serve.keys_file={folder / 'keys'}", "serve.requests_per_second=1000000", "serve.burst=1000000"]
    command = [sys.executable, "-m", "recsys_spark.serving.main", "--root", str(folder), "--log", "json"]

    def service_at(port: int) -> list[str]:
        return [*command, *flags([*settings, *limits]), "--port", str(port)]

    with serving(service_at) as service:
        fixed = folder / "answer.json"
        fixed.write_bytes(asyncio.run(one_answer(service.port, key)))
        with serving(lambda port: [sys.executable, "-c", BARE, str(fixed), str(port)]) as bare:
            for _ in range(options.repeats):
                for one in (bare, service):
                    before = one.processor()
                    one.rates.append(asyncio.run(highest(one.port, key, options.users, options.seconds)))
                    answers = one.rates[-1] * options.seconds
                    one.milliseconds.append(1000.0 * (one.processor() - before) / answers)
            half, seconds = statistics.median(bare.rates) / 2, options.half_seconds or options.seconds
            for _ in range(options.repeats):
                for one in (bare, service):
                    one.late.append(asyncio.run(at_rate(one.port, key, options.users, half, seconds)))
        own_half = statistics.median(service.rates) / 2
        alone = asyncio.run(while_nights_change(keeper, nights, service.port, key, options.users, own_half, seconds))
        refused = asyncio.run(highest(service.port, "guess", options.users, options.seconds, b"401"))
        memory = service.process.memory_info()
        own = memory.rss - memory.shared  # the store's files are mapped, and no memory of its own
    print(f"| endpoint | highest rate, a second | processor, ms an answer | p50 at {half:,.0f} a second, ms | p99 |")
    print("| --- | --- | --- | --- | --- |")
    print(f"{bare.line('bare endpoint')}\n{service.line('service')}")
    by_rate = statistics.median(service.rates) / statistics.median(bare.rates)
    by_processor = statistics.median(bare.milliseconds) / statistics.median(service.milliseconds)
    print(
        f"\nthe service of the bare endpoint: {by_rate:.2f} by highest rate, {by_processor:.2f} by processor time an answer"
    )
    print(f"\n- {alone}\n- a key that is none is refused {refused:,.0f} times a second")
    print(f"- {own / 2**20:,.0f} MiB of memory are the service's own, beside pages of files that the system may drop")
    times = [after_a_kill(service_at, key) for _ in range(options.repeats)]
    print(f"- killed and started again it gives its first list after {spread(times, '.1f')} s")


async def while_nights_change(
    keeper: Keeper, nights: Sequence[About], port: int, key: str, users: int, rate: float, seconds: float
) -> str:
    """Ask at a rate while the nights take turns to be live; each answer has to be of one of them, whole."""
    answers: Counter[str] = Counter()

    def look(body: bytes) -> None:
        answer = json.loads(body)
        scores = [place["score"] for place in answer["items"]]
        night = answer["model_version"]
        assert scores == [int(night) + 0.5 / (1 + place) for place in range(LENGTH)], answer
        answers[night] += 1

    async def change() -> None:
        for number in count():
            await asyncio.sleep(NIGHT_SECONDS)
            await asyncio.to_thread(keeper.go_live, nights[number % len(nights)], len(nights))

    changing = asyncio.create_task(change())
    late = await at_rate(port, key, users, rate, seconds, look)
    changing.cancel()
    with suppress(asyncio.CancelledError):
        await changing  # what went wrong there ends the run, too
    return (
        f"at {rate:,.0f} a second for {seconds:g} s, another night every {NIGHT_SECONDS:g} s: p50 {quantile(late, 0.5):.1f} ms, "
        f"p99 {quantile(late, 0.99):.1f} ms; answers by night {dict(answers)}, none mixed"
    )


def after_a_kill(command: Callable[[int], list[str]], key: str) -> float:
    """Seconds until a service that was killed and started again has answered."""
    with serving(command) as first:
        asyncio.run(one_answer(first.port, key))
        first.process.kill()
        started = time.perf_counter()
        with serving(command) as again:
            asyncio.run(one_answer(again.port, key))
            return time.perf_counter() - started


async def highest(port: int, key: str, users: int, seconds: float, status: bytes = b"200") -> float:
    """Answers a second, of the one status that is right; each connection asks again as soon as it has its answer."""
    until, answered, chance = time.perf_counter() + seconds, 0, random.Random(SEED)

    async def ask() -> None:
        nonlocal answered
        connection = await Connection.to(port, key)
        while time.perf_counter() < until:
            await connection.list_of(f"u{chance.randrange(users)}", status)
            answered += 1
        connection.close()

    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return answered / seconds


async def at_rate(
    port: int, key: str, users: int, rate: float, seconds: float, look: Callable[[bytes], None] = lambda body: None
) -> list[float]:
    """Milliseconds from when a request was due until it was answered; `look` sees each answer."""
    chance, late, number, start = random.Random(SEED), [], 0, time.perf_counter()

    async def ask() -> None:
        nonlocal number
        connection = await Connection.to(port, key)
        while (due := start + number / rate) < start + seconds:
            number += 1
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            body = await connection.list_of(f"u{chance.randrange(users)}")
            late.append(1000.0 * (time.perf_counter() - due))
            look(body)
        connection.close()

    await asyncio.gather(*(ask() for _ in range(4 * CONNECTIONS)))
    return late


async def one_answer(port: int, key: str) -> bytes:
    connection = await Connection.to(port, key)
    answer = await connection.list_of("u1")
    connection.close()
    return answer


class Connection:
    """One that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self._reader, self._writer, self._key = reader, writer, key

    @classmethod
    async def to(cls, port: int, key: str) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port), key)

    async def list_of(self, user: str, status: bytes = b"200") -> bytes:
        asked = f"GET /v1/users/{user}/recommendations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._key}\r\n\r\n"
        self._writer.write(asked.encode())
        return await self._answer(status)

    async def _answer(self, status: bytes) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status), head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


@contextmanager
def serving(command: Callable[[int], list[str]]) -> Iterator[Endpoint]:
    """A process that listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(command(port), stdout=subprocess.DEVNULL, env=os.environ)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        yield Endpoint(port, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def flags(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


if __name__ == "__main__":
    main()
