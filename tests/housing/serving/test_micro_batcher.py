"""Requests of one moment are one batch of one model, and each gets its own rows back."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from housing.inference.columns import Columns, columns_of_frame
from housing.inference.loaded_model import LoadedModel, Predictions, load
from housing.problems.california.simulated.scenarios import simulate
from housing.serving.micro_batcher import FAST_SECONDS, LARGE, MicroBatcher
from housing.store.database.engine import Store


class _Watched:
    """A model that notes how it was asked."""

    def __init__(self, served: LoadedModel, seconds: float = 0.0, fails: bool = False) -> None:
        self.rows: list[int] = []
        self.threads: set[int] = set()
        self._predict, self._fails = served.predict, fails
        self.served = replace(served, predict=self.predict, seconds=seconds)

    def predict(self, columns: Columns) -> Any:
        if self._fails:
            raise ValueError("broken")
        found = self._predict(columns)
        self.rows.append(len(found))
        self.threads.add(threading.get_ident())
        return found


def _requests(*rows: int) -> list[Columns]:
    frame, at, found = columns_of_frame(simulate(sum(rows), 9)), 0, []
    for count in rows:
        found.append({name: values[at : at + count] for name, values in frame.items()})
        at += count
    return found


def _ask(*asked: tuple[LoadedModel, Columns]) -> list[Any]:
    async def together() -> list[Any]:
        batcher = MicroBatcher()
        try:
            waiting = (batcher.predict(s, c, len(next(iter(c.values())))) for s, c in asked)
            return await asyncio.gather(*waiting, return_exceptions=True)
        finally:
            batcher.close()

    return asyncio.run(together())


def _same(found: Predictions, served: LoadedModel, columns: Columns) -> bool:
    alone = served.predictions(columns)
    return np.allclose(found.predicted, alone.predicted, rtol=1e-9) and np.allclose(
        found.upper, alone.upper, rtol=1e-9
    )


def test_requests_of_one_moment_are_one_table(own_store: Store) -> None:
    model = _Watched(load(own_store, 2))
    requests = _requests(1, 3, 2)
    found = _ask(*((model.served, columns) for columns in requests))
    assert model.rows == [6]
    assert model.threads == {threading.get_ident()}
    assert all(_same(f, model.served, c) for f, c in zip(found, requests, strict=True))


def test_a_table_holds_one_version_and_a_bounded_number_of_rows(own_store: Store) -> None:
    old, new = _Watched(load(own_store, 1)), _Watched(load(own_store, 2))
    requests = _requests(1, 1, LARGE - 2, LARGE - 1)
    whose = (old, new, old, old)
    found = _ask(*((w.served, c) for w, c in zip(whose, requests, strict=True)))
    assert (old.rows, new.rows) == ([LARGE - 1, LARGE - 1], [1])
    for f, w, c in zip(found, whose, requests, strict=True):
        assert _same(f, w.served, c)


@pytest.mark.parametrize(("seconds", "rows"), [(2 * FAST_SECONDS, 1), (0.0, LARGE)])
def test_long_predictions_do_not_block_the_event_loop(
    own_store: Store, seconds: float, rows: int
) -> None:
    model = _Watched(load(own_store, 2), seconds)
    (columns,) = _requests(rows)
    (found,) = _ask((model.served, columns))
    assert threading.get_ident() not in model.threads
    assert _same(found, model.served, columns)


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_failing_model_fails_only_its_own_requests(own_store: Store, seconds: float) -> None:
    bad, good = (
        _Watched(load(own_store, m), seconds, fails) for m, fails in ((1, True), (2, False))
    )
    one, two, three = _requests(1, 1, 1)
    found = _ask((bad.served, one), (good.served, two), (bad.served, three))
    assert [type(f) for f in found] == [ValueError, Predictions, ValueError]
