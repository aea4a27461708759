"""What counts as drift, as a broken promise, as upstream's doing, and when it is an alarm."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from housing import schema
from housing.monitoring.ages import age_signals, held_signal, rejected_signal
from housing.monitoring.drift import Reference, drift_signals, slip, upstream_signals
from housing.monitoring.errors import Labelled, Promise, error_signals
from housing.monitoring.signals import Signal, judged
from housing.options import MonitorOptions
from housing.sources.simulated.scenarios import simulate

OPTIONS = MonitorOptions()
INCOME = schema.STRATA[0].column
CATEGORY = schema.CATEGORIES[0]
FEATURES = list(schema.FEATURES)


def _drift(current: pd.DataFrame, options: MonitorOptions = OPTIONS) -> dict[str, Signal]:
    reference = simulate(4_000, 1)
    known = reference[INCOME].to_numpy() * 50_000
    predicted = current[INCOME].to_numpy() * 50_000
    found = drift_signals(
        Reference(reference[FEATURES], known), current[FEATURES], predicted, options
    )
    return {signal.name: signal for signal in found}


def test_the_same_world_is_calm() -> None:
    found = _drift(simulate(500, 1, night=3))
    assert len(found) == len(schema.FEATURES) + 2  # the predictions, and the gaps of one column
    assert [name for name, signal in found.items() if signal.fired] == []


def test_a_column_that_moves_fires_with_its_figures() -> None:
    moved = simulate(500, 1, night=3)
    moved[INCOME] = (moved[INCOME] * 1.4).clip(upper=15)
    found = _drift(moved)
    assert {name for name, signal in found.items() if signal.fired} == {INCOME, "predictions"}
    assert found[INCOME].effect is not None
    assert found[INCOME].effect > OPTIONS.min_effect
    assert "standard deviations" in found[INCOME].sentence


def test_a_small_effect_in_many_rows_does_not_fire() -> None:
    """Where a p-value alone would: that is what the effect size is for."""
    slightly = simulate(20_000, 1, night=3)
    slightly[INCOME] = slightly[INCOME] * 1.06
    signal = _drift(slightly)[INCOME]
    assert signal.q_value is not None
    assert signal.q_value < 0.001
    assert not signal.fired


def test_too_few_rows_are_not_judged() -> None:
    assert _drift(simulate(OPTIONS.min_rows - 1, 1, night=3)) == {}


# --- upstream -------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "power"), [(1, 0), (1.4, 0), (3, 0), (10, 1), (0.001, -3)])
def test_a_slip_of_the_unit_is_told_from_a_change(factor: float, power: int) -> None:
    before = [2.0, 3.5, 5.0]
    assert slip(before, [value * factor for value in before]) == power


def test_a_slip_needs_all_quartiles() -> None:
    assert slip([2.0, 3.5, 5.0], [2.0, 35.0, 50.0]) == 0
    assert slip([0.0, 3.5, 5.0], [0.0, 35.0, 50.0]) == 0


def _upstream(current: pd.DataFrame) -> set[str]:
    found = upstream_signals(simulate(2_000, 1)[FEATURES], current[FEATURES], OPTIONS)
    return {signal.name for signal in found if signal.fired}


def test_upstream_is_calm_where_nothing_changed() -> None:
    assert _upstream(simulate(300, 1, night=2)) == set()


def test_another_unit_is_named() -> None:
    slipped = simulate(300, 1, night=2)
    slipped[INCOME] *= 10
    assert _upstream(slipped) == {f"{INCOME} unit"}


def test_a_category_that_vanishes_is_named() -> None:
    rows = simulate(600, 1, night=2)
    assert _upstream(rows[rows[CATEGORY] != "INLAND"]) == {f"{CATEGORY} categories"}


# --- live errors ----------------------------------------------------------------------------

PROMISE = Promise(outside=0.1, above=0.48)


def _labelled(n: int, seed: int, *, factor: float = 1.0, spread: float = 1.0) -> Labelled:
    generator = np.random.default_rng(seed)
    predicted = generator.uniform(1e5, 4e5, n)
    half = 0.3 * predicted
    actual = predicted * factor + spread * half / 1.645 * generator.standard_normal(n)
    return Labelled(actual, predicted, predicted - half, predicted + half)


def _fired(rows: Labelled, sums: dict[str, float] | None = None) -> set[str]:
    found, _ = error_signals(rows, PROMISE, sums or {}, OPTIONS)
    return {signal.name for signal in found if signal.fired}


def test_a_kept_promise_is_calm() -> None:
    assert _fired(_labelled(400, 0)) == set()


def test_a_sudden_rise_of_prices_fires_at_once() -> None:
    assert "prices above the predicted" in _fired(_labelled(400, 0, factor=1.3))


def test_larger_errors_fire_at_once() -> None:
    assert "prices outside the interval" in _fired(_labelled(400, 0, spread=2.0))


def test_a_gradual_change_adds_up() -> None:
    """Each window is within its limit; together they are not."""
    sums: dict[str, float] = {}
    sudden, gradual = 0, None
    for window in range(20):
        found, sums = error_signals(_labelled(300, window, factor=1.035), PROMISE, sums, OPTIONS)
        sudden += found[1].fired
        if gradual is None and any(s.fired for s in found[2:]):
            gradual = window
    assert sudden == 0
    assert gradual is not None


def test_a_calm_year_raises_few_alarms() -> None:
    sums: dict[str, float] = {}
    alarms = 0
    for window in range(365):
        promise = Promise(0.1, 0.5)
        found, sums = error_signals(_labelled(300, 1_000 + window), promise, sums, OPTIONS)
        alarms += any(signal.fired for signal in found)
    assert alarms <= 2


def test_too_few_prices_leave_the_sums_alone() -> None:
    found, sums = error_signals(_labelled(OPTIONS.min_labels - 1, 0), PROMISE, {"a": 1.0}, OPTIONS)
    assert (found, sums) == ([], {"a": 1.0})


# --- alarms ---------------------------------------------------------------------------------


def _one(fired: bool, kind: str = "drift") -> Signal:
    return Signal("x", kind, fired, "", 500)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("earlier", "alarm"),
    [
        ("", False),
        ("0000", False),
        ("0001", True),
        ("1000", True),
        ("10000", False),
        ("1111", True),
    ],
)
def test_drift_is_an_alarm_when_it_fires_again(earlier: str, alarm: bool) -> None:
    before = [frozenset({"x"}) if fired == "1" else frozenset() for fired in earlier]
    assert judged([_one(True)], before, OPTIONS)[0].alarm is alarm
    assert not judged([_one(False)], before, OPTIONS)[0].alarm


@pytest.mark.parametrize("kind", ["error", "upstream", "stale", "rejected"])
def test_what_is_no_chance_is_an_alarm_at_once(kind: str) -> None:
    assert judged([_one(True, kind)], [], OPTIONS)[0].alarm


def test_ages_and_rejections() -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    found = age_signals(now, now - timedelta(days=31), now - timedelta(days=1), OPTIONS)
    assert [signal.fired for signal in found] == [True, False]
    assert len(age_signals(now, now, None, OPTIONS)) == 1
    assert rejected_signal(100, 50, OPTIONS)[0].fired
    assert not rejected_signal(100, 5, OPTIONS)[0].fired
    assert rejected_signal(10, 10, OPTIONS) == []
    assert held_signal(("b3",)).fired
    assert not held_signal(()).fired
