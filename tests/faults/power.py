"""Losses of power at every point of a recorded operation, and what is found afterwards."""

import random
from collections.abc import Iterator, Sequence

from tests.faults import disk
from tests.faults.campaign import Campaign, Record
from tests.faults.disk import Survival


def survivals(seed: int, by_chance: int) -> Iterator[tuple[str, Survival]]:
    """What of the cache may survive: the extremes, and some of what lies between."""
    yield "nothing", disk.nothing()
    yield "names", disk.names_only()
    for number in range(by_chance):
        yield "a part", disk.by_chance(seed * by_chance + number)


def losses(
    record: Record, *, every: int = 1, by_chance: int = 1
) -> list[tuple[int, str, Survival]]:
    """After how many events, and what survives; in random order, so that a part says most."""
    end = len(record.events)
    points = [*range(0, end, every), end]
    found = [(after, *each) for after in points for each in survivals(after, by_chance)]
    random.Random(0).shuffle(found)
    return found


def lose_power(
    campaign: Campaign, record: Record, todo: Sequence[tuple[int, str, Survival]], go_on: int
) -> Iterator[list[str]]:
    """What was illegal, loss by loss; after each `go_on`-th the operation is done again."""
    for number, (after, name, survival) in enumerate(todo, start=1):
        found = campaign.lose_power(record, after, survival, go_on=number % go_on == 0)
        yield [f"{record.operation}, after {after}, {name}: {each}" for each in found]
