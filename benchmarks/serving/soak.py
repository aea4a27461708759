"""`python -m benchmarks serving-soak`: load while the champion changes every two seconds.

Counts faults, which must be zero: requests that fail, answers by a version that was not champion at
the time (give or take the two seconds in which servers follow), prices that no version gives; and
watches the workers' memory. tests/housing/serving/test_model_reloader.py is its short form.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from threading import Event, Thread

import pandas as pd
from scipy.stats import theilslopes

from benchmarks import results, serving_pages
from benchmarks.memory import family
from benchmarks.serving import servers
from deployments.processes.prefect_server import free_port
from housing import schema
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.models import promotion_log, registry
from housing.store.models.registry import Change

EVERY = 2.0  # seconds
FOLLOW = 2.0  # seconds that servers have
CONNECTIONS = 4
Answer = tuple[float, float, int, str, float]  # asked, answered, status, model, price


def main() -> None:
    """Print the counts and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = (chosen.home or Path(folder) / "home").resolve()
        servers.make(home)
        port = free_port()
        with servers.server(servers.housing_server(port, 2), port, "/ready") as process:
            _run(home, port, process.pid, chosen.minutes * 60)


def _run(home: Path, port: int, pid: int, seconds: float) -> None:
    frame = pd.read_csv(home / "landing" / "b.csv")[list(schema.FEATURES)].dropna()
    body = json.dumps({"districts": frame.iloc[:1].to_dict(orient="records")}).encode()
    answers: list[Answer] = []
    memory: list[tuple[float, int]] = []
    stop = Event()
    changing = Thread(target=_change, args=(stop,))
    watching = Thread(target=_watch, args=(stop, pid, memory))
    changing.start()
    watching.start()
    asyncio.run(_ask_all(port, body, time.time() + seconds, answers))
    stop.set()
    changing.join()
    watching.join()
    _report(answers, memory)


def _change(stop: Event) -> None:
    with open_store(load_settings()) as store:
        while not stop.wait(EVERY):
            with store.read() as connection:
                current = promotion_log.champion(connection)
            to = 1 if current == 2 else 2
            operation = "rollback" if to == 1 else "promote"
            change = Change(operation, to, current, "soak", "soak")
            registry.change_champion(store, change)


def _watch(stop: Event, pid: int, memory: list[tuple[float, int]]) -> None:
    began = time.time()
    while not stop.wait(2.0):
        memory.append((time.time() - began, _resident(pid)))


def _resident(pid: int) -> int:
    """Resident KiB of the workers of a server."""
    return sum(worker.memory_info().rss for worker in family(pid)[1:]) // 1024


async def _ask_all(port: int, body: bytes, until: float, answers: list[Answer]) -> None:
    request = (
        f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    await asyncio.gather(*(_ask(port, request, until, answers) for _ in range(CONNECTIONS)))


async def _ask(port: int, request: bytes, until: float, answers: list[Answer]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (asked := time.time()) < until:
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            content = json.loads(await reader.readexactly(length))
            status = int(head[9:12])
            price = content["predictions"][0]["predicted"] if status == 200 else 0.0
            answers.append((asked, time.time(), status, content.get("model", ""), price))
        except (OSError, EOFError, ValueError):
            answers.append((asked, time.time(), 0, "", 0.0))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


def _report(answers: list[Answer], memory: list[tuple[float, int]]) -> None:
    with open_store(load_settings()) as store, store.read() as connection:
        lines = [
            x for x in promotion_log.history(connection) if x.operation in ("promote", "rollback")
        ]
    times = sorted((line.at.timestamp(), f"m{line.to_model}") for line in lines)
    began, ended = answers[0][0], answers[-1][1]
    changes = sum(began < at < ended for at, _ in times)
    failed = sum(status != 200 for _, _, status, _, _ in answers)
    wrong = sum(
        model not in _champions(times, asked - FOLLOW, answered)
        for asked, answered, status, model, _ in answers
        if status == 200
    )
    pairs = {(model, price) for _, _, status, model, price in answers if status == 200}
    quarter = max(len(memory) // 4, 1)
    parts = (memory[quarter : 2 * quarter] or memory, memory[-quarter:])
    behind = [_behind(times, asked, model) for asked, *_, model, _ in answers if model]
    figures = {
        "requests": len(answers), "seconds": ended - began, "changes": changes,
        "connections": CONNECTIONS, "every": EVERY, "follow": FOLLOW, "failed": failed,
        "wrong": wrong, "prices": len(pairs), "versions": len({m for m, _ in pairs}),
        "longest_behind": max(behind),
        "answers_by_model": dict(Counter(model for *_, model, _ in answers)),
        "memory_mib": [sum(kib for _, kib in part) / len(part) / 1024 for part in parts],
        "slope_mib_a_minute": _slope(memory[len(memory) // 2 :]),
    }  # fmt: skip
    results.save("serving-soak", figures)
    print(serving_pages.soak(results.load("serving-soak")))


def _slope(memory: list[tuple[float, int]]) -> list[float]:
    """MiB a minute by the median of all slopes (Theil and Sen), and its 95 % limits."""
    if len(memory) < 3:
        return [float("nan")] * 3
    times, sizes = zip(*memory, strict=True)
    found = theilslopes(sizes, times, 0.95)
    return [float(x) * 60 / 1024 for x in (found.slope, found.low_slope, found.high_slope)]


def _behind(times: list[tuple[float, str]], asked: float, model: str) -> float:
    """Seconds since the ledger's newest line named another model than the one that answered."""
    before = [(at, named) for at, named in times if at <= asked]
    return asked - before[-1][0] if before and before[-1][1] != model else 0.0


def _champions(times: list[tuple[float, str]], begin: float, end: float) -> set[str]:
    before = [model for at, model in times if at <= begin]
    return {*before[-1:], *(model for at, model in times if begin < at <= end)}
