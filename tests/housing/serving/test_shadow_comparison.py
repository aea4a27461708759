"""Comparison of shadow and champion without labels: by pair, by day, by the interval."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import LoadedModel, load
from housing.problems.california.simulated.scenarios import simulate
from housing.serve_options import ServeOptions
from housing.serving.prediction_log import Entry, PredictionLog
from housing.serving.shadow_comparison import compare_shadow
from housing.store.database.engine import Store

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


def _log(
    store: Store, served: LoadedModel, shadow: LoadedModel | None, at: datetime, rows: int = 20
) -> Any:
    columns = columns_of_frame(simulate(rows, 3))
    answers = served.predictions(columns)
    log = PredictionLog(store, ServeOptions(), shadow=lambda: shadow)
    log.put(Entry(at, served, columns, answers))
    log.write()
    return answers


def test_the_difference_is_measured_by_pair_and_day(own_store: Store) -> None:
    champion = load(own_store, 2)

    def dearer(columns: Any) -> Any:
        predicted = champion.predict(columns) + 1_000
        predicted[:5] += 10**7  # outside any interval
        return predicted

    shadow = replace(load(own_store, 1), predict=dearer)
    _log(own_store, champion, shadow, NOW - timedelta(days=1))
    _log(own_store, champion, None, NOW)
    _log(own_store, champion, shadow, NOW, rows=10)
    whole, first, second = compare_shadow(own_store)
    assert (whole.champion, whole.shadow, whole.day, whole.rows) == ("m2", "m1", None, 30)
    assert [(d.day, d.rows) for d in (first, second)] == [("2026-03-04", 20), ("2026-03-05", 10)]
    assert first.median == pytest.approx(1_000)
    assert first.mean == pytest.approx((15 * 1_000 + 5 * 10_001_000) / 20)
    assert (first.share_above, first.maximum) == (1.0, pytest.approx(10_001_000))
    assert (first.share_outside, second.share_outside) == (0.25, 0.5)


def test_days_and_batches_can_be_bounded(own_store: Store) -> None:
    champion, shadow = load(own_store, 2), load(own_store, 1)
    for days in (2, 1, 0):
        _log(own_store, champion, shadow, NOW - timedelta(days=days))
    assert compare_shadow(own_store, since=NOW - timedelta(days=1))[0].rows == 40
    assert compare_shadow(own_store, newest=1)[0].rows == 20
    real = compare_shadow(own_store)[0]
    columns = columns_of_frame(simulate(20, 3))
    apart = np.abs(champion.predict(columns) - shadow.predict(columns))
    assert real.mean == pytest.approx(apart.mean())
    assert real.p90 == pytest.approx(np.quantile(np.tile(apart, 3), 0.9))


def test_no_shadow_gives_no_comparison(own_store: Store) -> None:
    _log(own_store, load(own_store, 2), None, NOW)
    assert compare_shadow(own_store) == []
