"""Where a process spends its processor time: stacks of its main thread, looked at many times.

A look every few milliseconds costs next to nothing; a tracing profiler would make short Python
functions look slow and long numpy calls look quick. Each look is worth the processor time that the
process has used since the last one, on all cores, so waiting weighs nothing.
"""

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FrameType

EVERY = 0.005
"""Seconds between two looks."""

PROJECT = "/housing/"
Stack = tuple[str, ...]


class Sampler:
    """Looks at the thread that enters it, until it is left."""

    def __init__(self) -> None:
        self.stacks: dict[Stack, float] = defaultdict(
            float
        )  # processor seconds of each, outermost call first
        self._watched = threading.get_ident()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        before = time.process_time()
        while not self._end.wait(EVERY):
            frame = sys._current_frames().get(self._watched)
            now = time.process_time()
            self.stacks[tuple(_names(frame))[::-1]] += now - before
            before = now


def _names(frame: FrameType | None) -> Iterator[str]:
    """Functions of the project on the stack, innermost first."""
    while frame is not None:
        path = frame.f_code.co_filename
        if PROJECT in path and "site-packages" not in path:
            module = path.rpartition(PROJECT)[2].removesuffix(".py").replace("/", ".")
            yield f"{module}:{frame.f_code.co_qualname}"
        frame = frame.f_back


@dataclass(frozen=True)
class Spent:
    """What was spent in a function: with all that it calls, and by itself or in libraries."""

    function: str
    whole: float  # processor seconds
    own: float


def by_function(stacks: Mapping[Stack, float]) -> list[Spent]:
    """Every function of the stacks, the costliest first."""
    whole: dict[str, float] = defaultdict(float)
    own: dict[str, float] = defaultdict(float)
    for stack, seconds in stacks.items():
        for name in set(stack):
            whole[name] += seconds
        if stack:
            own[stack[-1]] += seconds
    costliest = sorted(whole.items(), key=lambda item: -item[1])
    return [Spent(name, seconds, own[name]) for name, seconds in costliest]


@dataclass(frozen=True)
class Box:
    """A call in a flame graph."""

    name: str
    depth: int  # 0 is all
    start: float  # processor seconds
    seconds: float


def boxes(stacks: Mapping[Stack, float], smallest: float) -> list[Box]:
    """A flame graph: calls of the same function from the same stack are one box."""
    total: dict[Stack, float] = defaultdict(float)
    for stack, seconds in stacks.items():
        for depth in range(len(stack) + 1):
            total[stack[:depth]] += seconds
    starts: dict[Stack, float] = {(): 0.0}
    used: dict[Stack, float] = defaultdict(float)
    found = []
    for stack in sorted(total, key=lambda s: (len(s), -total[s])):
        if stack:
            above = stack[:-1]
            starts[stack] = starts[above] + used[above]
            used[above] += total[stack]
        if total[stack] >= smallest:
            name = stack[-1] if stack else "all"
            found.append(Box(name, len(stack), starts[stack], total[stack]))
    return found
