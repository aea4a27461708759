"""Peak memory of a process and all that it started, sampled while it runs.

Memory that processes share (files mapped by several workers, pages of a fork) counts once: the
kernel's proportional set size, not the sum of resident sizes.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

EVERY = 0.1
"""Seconds between two looks."""


class Watch:
    """Looks at a process and its descendants from a thread until it is left."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.samples: list[tuple[float, float]] = []  # seconds since the epoch, GiB
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
        return max((gib for at, gib in self.samples if begin <= at <= end), default=0.0)

    def _look(self) -> None:
        while not self._end.wait(EVERY):
            kib = sum(_proportional_kib(pid) for pid in family(self.pid))
            self.samples.append((time.time(), kib / 2**20))


def family(pid: int) -> Iterator[int]:
    """A process and its descendants, as they are now."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield from family(int(child))


def _proportional_kib(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
