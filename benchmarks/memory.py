"""Peak memory and processor time of a process and all that it started, sampled while it runs.

Memory that processes share (files mapped by several workers, pages of a fork) counts once: the
kernel's proportional set size, not the sum of resident sizes. Arrays that wait for a worker in a
folder of joblib's in memory count whether or not a process has mapped them.
"""

import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

EVERY = 0.1
"""Seconds between two looks, at least."""

SHARE = 0.1
"""Of the time that may be spent on looking: of many gigabytes, one look takes its time."""

SHARED = Path("/dev/shm")


@dataclass(frozen=True)
class Sample:
    """One look at all of them together."""

    at: float  # seconds since the epoch
    gib: float
    processor: float  # seconds that they have used so far, with those of them that have ended


class Watch:
    """Looks at a process and its descendants from a thread until it is left."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.samples: list[Sample] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()

    def peak(self, begin: float = 0.0, end: float = float("inf")) -> float:
        """GiB at most between two points in time; 0 where nothing was seen."""
        return max((s.gib for s in self.samples if begin <= s.at <= end), default=0.0)

    def processor(self, begin: float = 0.0, end: float = float("inf")) -> float:
        """Processor seconds between two points in time, on all cores together."""
        at = [s.at for s in self.samples]
        used = [s.processor for s in self.samples]
        if not at:
            return 0.0
        # Between two looks it is taken to have been used evenly.
        first, last = np.interp([begin, min(end, at[-1])], at, used, left=0.0)
        return float(last - first)

    def _look(self) -> None:
        wait = EVERY
        while not self._end.wait(wait):
            began = time.perf_counter()
            alive = family(self.pid)
            kib = sum(_proportional_kib(one.pid) + _in_memory_kib(one.pid) for one in alive)
            used = sum(map(_processor_seconds, alive))
            self.samples.append(Sample(time.time(), kib / 2**20, used))
            wait = max(EVERY, (time.perf_counter() - began) / SHARE)


def watched(
    command: Sequence[str], env: Mapping[str, str], fine: Collection[int] = (0,)
) -> tuple[str, float, Watch]:
    """Run a command: its output, wall seconds, and what was watched; SystemExit where it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    with Watch(process.pid) as watch:
        out, _ = process.communicate()
    wall = time.perf_counter() - began
    if process.returncode not in fine:
        raise SystemExit(f"{' '.join(command)[:200]} failed:\n{out[-2000:]}")
    return out, wall, watch


def family(pid: int) -> list[psutil.Process]:
    """A process and its descendants; empty where it has ended."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _proportional_kib(pid: int) -> int:
    """Without what lies in files in memory."""
    with suppress(OSError):
        facts = {}
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("Pss", "Pss_Shmem"):
                facts[name] = int(rest.split()[0])
        return facts.get("Pss", 0) - facts.get("Pss_Shmem", 0)
    return 0


def proportional_mib(pid: int) -> float:
    """MiB of a process; 0 where it has ended."""
    return _proportional_kib(pid) / 2**10


def _in_memory_kib(pid: int) -> int:
    """Arrays that a process has written for its workers."""
    total = 0
    for file in SHARED.glob(f"joblib_memmapping_folder_{pid}_*/*"):
        with suppress(OSError):
            total += file.stat().st_blocks // 2
    return total


def _processor_seconds(process: psutil.Process) -> float:
    """Of a process and those of its children that have ended and been waited for."""
    with suppress(psutil.Error):
        return float(sum(process.cpu_times()[:4]))
    return 0.0
