"""Where the processor's time goes is said of the functions in which it goes."""

import time

import numpy as np
import pytest

from benchmarks.sampling import Sampler, boxes, by_function
from housing.keys import mix
from housing.progress import heard_by, report


def busy(seconds: float) -> None:
    """Work in `housing.keys.mix` for so many processor seconds."""
    values, end = np.arange(2_000_000, dtype=np.uint64), time.process_time() + seconds
    while time.process_time() < end:
        mix(values)


def test_time_is_laid_to_the_function_that_takes_it_and_waiting_is_nobodys() -> None:
    with Sampler() as sampler, heard_by(lambda *_: busy(0.4)):
        report("search", 0, 0)
        time.sleep(0.3)
    spent = {each.function: each for each in by_function(sampler.stacks)}
    total = sum(sampler.stacks.values())
    assert 0.4 <= total < 0.8
    assert spent["progress:report"].whole > 0.3
    assert spent["keys:mix"].own > 0.2
    assert spent["progress:report"].own < 0.5 * spent["keys:mix"].own


def test_a_flame_graph_adds_up() -> None:
    stacks = {(): 1.0, ("a",): 2.0, ("a", "b"): 3.0, ("c",): 0.01}
    found = {(box.name, box.depth): box for box in boxes(stacks, smallest=0.1)}
    assert found["all", 0].seconds == pytest.approx(6.01)
    assert found["a", 1].seconds == 5.0
    assert (found["b", 2].start, found["b", 2].seconds) == (0.0, 3.0)
    assert ("c", 1) not in found
