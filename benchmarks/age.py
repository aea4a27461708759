"""What each step, command and page costs in a store of 10, 100 and 1,100 nights.

`python -m benchmarks age [--nights 10,100,1100] [--homes FOLDER] [--s3]`: stores made by
`benchmarks.ageing.store`, in each of which the same is measured in processor seconds, with all
processes that a command starts: other work on the machine does not count. Every figure stands
beside that of the youngest store. With `--s3` the objects are in an S3 server (moto) on loopback,
whose own time does not count.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

from benchmarks import results
from benchmarks.ageing import store as ageing
from benchmarks.homes import HOUSING, environment
from benchmarks.night import parts, retrain
from deployments.processes.prefect_server import free_port

NIGHTS = (10, 100, 1_100)
NIGHT, COMMAND, DOCTOR, MEMORY, MEGABYTES = 1.2, 1.5, 2.0, 1.2, 0.7
COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    **{name: (name,) for name in ("models", "datasets", "batches", "runs", "history")},
    "champion": ("champion",),
    "show the newest model": ("show", "m{nights}"),
    "show the newest version": ("show", "v{nights}"),
    "show the newest run": ("show", "r{run}"),
    "prune --dry-run": ("prune", "--dry-run"),
    "backup create": ("backup", "create"),
    "backup verify": ("backup", "verify"),
    "doctor": ("doctor",),
}
PAGES = ("/dashboard/data", "/form", "/map", "/health")
ASK = """
import json, statistics, sys, time
from starlette.testclient import TestClient
from housing.serving.app import create_app
took = {}
with TestClient(create_app(), base_url="http://127.0.0.1") as client:
    for page in sys.argv[1:]:
        client.get(page)
        each = []
        for _ in range(7):
            began = time.process_time()
            answer = client.get(page)
            each.append(time.process_time() - began)
        assert answer.status_code == 200, (page, answer.status_code)
        took[page] = statistics.median(each)
print(json.dumps(took))
"""


def measured(home: Path, nights: int, objects: dict[str, str]) -> dict[str, float]:
    """Processor seconds by command, page and step of a night; GiB and MB as named."""
    own = {name.removeprefix("HOUSING_"): value for name, value in ageing.SETTINGS.items()}
    own |= objects
    newest = {"nights": nights, "run": _newest_run(home, own)}
    found = {}
    for name, words in COMMANDS.items():
        given = [word.format(**newest) for word in words]
        found[name] = processor([*HOUSING, *given, "--json"], environment(home, **own))
        print(f"  {nights}: {name} {found[name]:.2f} s", file=sys.stderr, flush=True)
    asked = subprocess.run(
        [sys.executable, "-c", ASK, *PAGES], env=environment(home, **own),
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found |= {f"page {name}": took for name, took in json.loads(asked.stdout).items()}
    before = _bytes(home)
    ageing.deliver(home, nights + 1)
    others = {name: value for name, value in own.items() if not name.startswith("SOURCES")}
    answer, wall, watch = retrain(home, **others)
    found |= {f"night: {p.name}": p.processor for p in parts(home, answer, watch, wall)}
    found |= {"whole night": watch.processor(), "night, peak GiB": watch.peak()}
    if not objects:  # else they are elsewhere
        found["night, MB"] = (_bytes(home) - before) / 1e6
    return found


def processor(command: list[str], env: dict[str, str]) -> float:
    """Processor seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3, 4):
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _newest_run(home: Path, own: dict[str, str]) -> int:
    command = [*HOUSING, "runs", "--limit", "1", "--json"]
    done = subprocess.run(
        command, env=environment(home, **own), stdout=subprocess.PIPE, text=True, check=True
    )
    return int(json.loads(done.stdout)[0]["run"].removeprefix("r"))


def _bytes(home: Path) -> int:
    """Of database and objects, without models."""
    models = set((home / "blobs").rglob("*.zst"))
    files = [path for path in (home / "blobs").rglob("*") if path.is_file() and path not in models]
    return sum(path.stat().st_size for path in (*files, *home.glob("housing.db*")))


@contextlib.contextmanager
def s3(home: Path) -> Iterator[dict[str, str]]:
    """The objects of a home in a bucket of an S3 server of its own; the settings that name it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    try:
        files = fsspec.filesystem("s3")
        for _ in range(600):
            with contextlib.suppress(Exception):
                files.mkdir("age")
                break
        files.put(f"{home / 'blobs'}/", "s3://age/blobs/", recursive=True)
        yield {"BLOB_URL": "s3://age/blobs"}
    finally:
        server.terminate()
        server.wait()


def goal(name: str) -> float | None:
    """What a figure may be at most beside that of the youngest store; None where no goal is."""
    if name == "night, peak GiB":
        return MEMORY
    if name == "doctor":
        return DOCTOR
    if name == "whole night":
        return NIGHT
    return None if name.startswith("night") else COMMAND


def rows(young: dict[str, float], old: dict[str, float]) -> list[results.Row]:
    """Each figure of the older store beside the younger one's, if that took the step too."""
    found = []
    for name, value in old.items():
        most, unit = goal(name), "GiB" if "GiB" in name else "MB" if "MB" in name else "s"
        met = None if most is None else value <= most * young[name]
        text = "" if most is None else f"<= {most:g} x"
        if name == "night, MB":
            met, text = value <= MEGABYTES, f"<= {MEGABYTES:g} MB"
        found.append(results.Row(name, value, young.get(name, 0.0), unit, met, text))
    return found


def main() -> None:
    """Make the stores that are not there, measure each, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", default=",".join(map(str, NIGHTS)))
    parser.add_argument("--homes", type=Path, help="folder of the stores; kept if it is named")
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, found = options.homes or Path(scratch), dict[int, Any]()
        for nights in map(int, options.nights.split(",")):
            home = folder / f"h{nights}"
            command = [sys.executable, "-m", "benchmarks.ageing.store", str(home), str(nights)]
            subprocess.run(command, check=True)
            with s3(home) if options.s3 else contextlib.nullcontext({}) as objects:
                found[nights] = measured(home, nights, objects)
    youngest, *others = found
    place = "an S3 server" if options.s3 else "a local folder"
    for nights in others:
        results.show(
            f"age-{nights}{'-s3' if options.s3 else ''}", rows(found[youngest], found[nights]),
            f"{nights:,} nights beside {youngest}, objects in {place}; processor seconds",
        )  # fmt: skip


if __name__ == "__main__":
    main()
