"""What counts as drift, as an exceeded limit, as upstream's doing, and when it is an alarm."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from housing import schema
from housing.monitoring.drift import NEAR, drift_signals, upstream_signals
from housing.monitoring.likelihood_ratio import log_evidence
from housing.monitoring.live_error import (
    ABOVE,
    BELOW,
    OUTSIDE,
    Counts,
    LabelledPredictions,
    counted,
    error_signals,
    exceeded_limit,
    log_evidences,
    log_limit,
)
from housing.monitoring.options import MonitorOptions
from housing.monitoring.signals import STATES, Signal, judged, state
from housing.monitoring.staleness import age_signals, quarantined_signal, rejected_signal
from housing.problems.california.simulated.scenarios import simulate
from housing.quality.profile import unit_slip

OPTIONS = MonitorOptions()
INCOME = schema.TABLE.strata[0].column
CATEGORY = schema.CATEGORIES[0]
FEATURES = list(schema.FEATURES)


def _drift(current: pd.DataFrame, options: MonitorOptions = OPTIONS) -> dict[str, Signal]:
    reference = simulate(4_000, 1)
    known = reference[INCOME].to_numpy() * 50_000
    predicted = current[INCOME].to_numpy() * 50_000
    found = drift_signals(reference[FEATURES], current[FEATURES], (known, predicted), options)
    return {signal.name: signal for signal in found}


def test_the_same_world_is_calm() -> None:
    found = _drift(simulate(500, 1, day=3))
    assert len(found) == len(schema.FEATURES) + 2  # the predictions, and the gaps of one column
    assert [name for name, signal in found.items() if signal.fired] == []


def test_a_column_that_moves_fires_with_its_figures() -> None:
    moved = simulate(500, 1, day=3)
    moved[INCOME] = (moved[INCOME] * 1.4).clip(upper=15)
    found = _drift(moved)
    assert {name for name, signal in found.items() if signal.fired} == {INCOME, "predictions"}
    assert found[INCOME].effect is not None
    assert found[INCOME].effect > OPTIONS.drift.min_effect
    assert "standard deviations" in found[INCOME].message


def test_a_small_effect_in_many_rows_does_not_fire() -> None:
    """Where a p-value alone would: that is what the effect size is for."""
    slightly = simulate(20_000, 1, day=3)
    slightly[INCOME] = slightly[INCOME] * 1.06
    signal = _drift(slightly)[INCOME]
    assert signal.q_value is not None
    assert signal.q_value < 0.001
    assert not signal.fired


def test_too_few_rows_are_not_judged() -> None:
    assert _drift(simulate(OPTIONS.drift.min_rows - 1, 1, day=3)) == {}


# --- upstream -------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "power"), [(1, 0), (1.4, 0), (3, 0), (10, 1), (0.001, -3)])
def test_another_unit_is_distinguished_from_a_change(factor: float, power: int) -> None:
    before = [2.0, 3.5, 5.0]
    assert unit_slip(before, [value * factor for value in before], NEAR) == power


def test_a_slip_needs_all_quartiles() -> None:
    assert unit_slip([2.0, 3.5, 5.0], [2.0, 35.0, 50.0], NEAR) == 0
    assert unit_slip([0.0, 3.5, 5.0], [0.0, 35.0, 50.0], NEAR) == 0


def test_a_column_without_a_number_is_in_no_unit_and_ends_no_monitor() -> None:
    current = simulate(300, 1).assign(**{INCOME: np.nan})
    found = {s.name for s in upstream_signals(simulate(2_000, 1)[FEATURES], current, OPTIONS)}
    assert f"{INCOME} unit" not in found
    assert f"{FEATURES[0]} unit" in found


def test_a_signal_has_a_title_in_plain_words_that_its_message_does_not_repeat() -> None:
    table = simulate(2_000, 1)
    now = datetime(2026, 1, 31, tzinfo=UTC)
    found = [
        *drift_signals(table[FEATURES], table[FEATURES], (np.zeros(99),) * 2, OPTIONS),
        *upstream_signals(table[FEATURES], table, OPTIONS),
        *age_signals(now, now, [now], OPTIONS), *rejected_signal(100, 2, OPTIONS),
        quarantined_signal(("b3",)),
    ]  # fmt: skip
    for signal in found:
        title, message = signal.text.split(": ", 1)
        assert "_" not in title
        assert title not in message
    titles = {signal.name: signal.text.split(": ")[0] for signal in found}
    assert titles[INCOME] == "median income"
    assert titles[f"{INCOME} unit"] == "unit of median income"
    assert titles["predictions"] == "predicted prices"


def test_coordinates_are_written_as_on_a_map() -> None:
    table = simulate(2_000, 1)
    found = {s.name: s.message for s in upstream_signals(table[FEATURES], table, OPTIONS)}
    assert re.search(
        r"median 1[12]\d\.\d+° W where it was 1[12]\d\.\d+° W", found["longitude unit"]
    )


def _upstream(current: pd.DataFrame) -> set[str]:
    found = upstream_signals(simulate(2_000, 1)[FEATURES], current[FEATURES], OPTIONS)
    return {signal.name for signal in found if signal.fired}


def test_upstream_is_calm_where_nothing_changed() -> None:
    assert _upstream(simulate(300, 1, day=2)) == set()


def test_another_unit_is_named() -> None:
    slipped = simulate(300, 1, day=2)
    slipped[INCOME] *= 10
    assert _upstream(slipped) == {f"{INCOME} unit"}


def test_a_category_that_vanishes_is_named() -> None:
    rows = simulate(600, 1, day=2)
    assert _upstream(rows[rows[CATEGORY] != "INLAND"]) == {f"{CATEGORY} categories"}


# --- live errors ----------------------------------------------------------------------------

EXPECTED = Counts(rows=4_000, outside=400, above=1_920)


def _labelled(
    n: int, seed: int, *, factor: float = 1.0, spread: float = 1.0
) -> LabelledPredictions:
    generator = np.random.default_rng(seed)
    predicted = generator.uniform(1e5, 4e5, n)
    half = 0.3 * predicted
    middle = predicted * (1 - 0.05 * 0.3 / 1.645)  # 48 % above the predicted price
    actual = middle * factor + spread * half / 1.645 * generator.standard_normal(n)
    return LabelledPredictions(actual, predicted, predicted - half, predicted + half)


def _fired(*windows: LabelledPredictions, expected: Counts = EXPECTED) -> set[str]:
    found = error_signals([counted(w) for w in windows], expected, OPTIONS)
    return {signal.name for signal in found if signal.fired}


def test_shares_as_expected_are_calm() -> None:
    assert _fired(_labelled(400, 0)) == set()


@pytest.mark.parametrize(("factor", "way"), [(1.3, ABOVE), (0.7, BELOW)])
def test_a_sudden_change_of_prices_fires_at_once_in_its_direction(factor: float, way: str) -> None:
    fired = _fired(_labelled(400, 0, factor=factor))
    assert fired & {ABOVE, BELOW} == {way}
    assert OUTSIDE in fired, "below the lower limit as well as above the upper one"


def test_larger_errors_fire_at_once() -> None:
    assert _fired(_labelled(400, 0, spread=2.0)) == {OUTSIDE}


def test_smaller_errors_are_no_alarm() -> None:
    assert _fired(*(_labelled(400, seed, spread=0.3) for seed in range(30))) == set()


def test_each_side_of_the_interval_counts() -> None:
    one, low, high = np.ones(1), np.array([2.0]), np.array([3.0])
    for actual, outside, above in ((1.5, 1, 0), (2.0, 0, 0), (2.5, 0, 0), (2.6, 0, 1), (3.1, 1, 1)):
        rows = LabelledPredictions(one * actual, one * 2.5, low, high)
        assert counted(rows) == Counts(1, outside, above)
    nothing = np.full(1, np.nan)
    assert counted(LabelledPredictions(one, one, nothing, nothing)) == Counts(1, 0, 0)


@pytest.mark.parametrize(("factor", "name"), [(1.05, ABOVE), (0.95, BELOW)])
def test_a_change_too_small_for_one_window_adds_up(factor: float, name: str) -> None:
    windows = [_labelled(300, seed, factor=factor) for seed in range(20)]
    assert _fired(*windows[:1]) == set()
    assert name in _fired(*windows)


def test_a_change_that_comes_later_is_found_although_all_before_was_calm() -> None:
    calm = [_labelled(300, seed) for seed in range(60)]
    worse = [_labelled(300, seed, spread=1.4) for seed in range(60, 75)]
    assert _fired(*calm) == set()
    assert _fired(*calm, *worse) == {OUTSIDE}


def test_an_expectation_from_few_rows_is_no_reason_for_an_alarm() -> None:
    """Live shares are what the test rows allow; however many labels come, that is all there is."""
    live = [_labelled(3_000, seed) for seed in range(60)]
    assert _fired(*live, expected=Counts(400, 26, 212)) == set()
    assert OUTSIDE in _fired(*live, expected=Counts(40_000, 2_600, 21_200))


def test_the_evidence_does_not_depend_on_how_labels_are_split_into_windows() -> None:
    """But for the price of more places at which a change may begin."""
    once = log_evidence((400, 4_000), ([450], [3_000]), way=1, design_effect=2)
    cut = log_evidence((400, 4_000), ([45] * 10, [300] * 10), way=1, design_effect=2)
    assert once[-1] > 6
    assert cut[-1] == pytest.approx(once[-1], abs=0.1)


def test_calm_champions_have_no_alarms() -> None:
    """A month of hourly windows, each with its own test rows; the benchmark has the figures."""
    rng = np.random.default_rng(0)
    champions, hours = 40, 720
    test = [2 * rng.binomial(n // 2, p, champions) for n, p in ((4_000, 0.1), (4_000, 0.5))]
    live = [2 * rng.binomial(150, p, (hours, champions)) for p in (0.1, 0.5)]
    expected = Counts(np.full(champions, 4_000), *test)
    found = log_evidences(expected, Counts(np.full((hours, champions), 300), *live), OPTIONS)
    alarms = sum((e.max(axis=0) > log_limit(OPTIONS)).sum() for e in found.values())
    assert alarms == 0


def test_without_labels_nothing_is_judged() -> None:
    assert not any(signal.fired for signal in error_signals([], EXPECTED, OPTIONS))


@pytest.mark.parametrize(
    ("found", "exceeded"),
    [
        (Counts(300, 30, 150), ""),
        (Counts(300, 75, 150), OUTSIDE),
        (Counts(300, 30, 230), ABOVE),
        (Counts(300, 30, 70), BELOW),
        (Counts(50, 12, 25), ""),
    ],
)
def test_a_model_near_an_alarm_exceeds_a_limit(found: Counts, exceeded: str) -> None:
    assert exceeded in exceeded_limit(found, Counts(4_000, 400, 2_000), OPTIONS)
    assert bool(exceeded) == bool(exceeded_limit(found, Counts(4_000, 400, 2_000), OPTIONS))


# --- alarms ---------------------------------------------------------------------------------


def _one(fired: bool, kind: str = "drift") -> Signal:
    return Signal("x", kind, fired, "", 500)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("earlier", "alarm"),
    [
        ("", False),
        ("1", True),
        ("100", True),
        ("000", False),
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
def test_a_kind_that_chance_does_not_explain_is_an_alarm_at_once(kind: str) -> None:
    assert judged([_one(True, kind)], [], OPTIONS)[0].alarm


def test_staleness_and_rejected_rows_fire_beyond_their_limits() -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    found = age_signals(now, now - timedelta(days=31), [now - timedelta(days=1)], OPTIONS)
    assert [signal.fired for signal in found] == [False, True, False]
    assert len(age_signals(now, now, [], OPTIONS)) == 2
    assert rejected_signal(100, 50, OPTIONS)[0].fired
    assert not rejected_signal(100, 5, OPTIONS)[0].fired
    assert rejected_signal(10, 10, OPTIONS) == []
    assert quarantined_signal(("b3",)).fired
    assert not quarantined_signal(()).fired


@pytest.mark.parametrize(
    ("trained", "ingested", "fired"),
    [
        (-40, [-40], {"dates in the future"}),
        (1, [1, -40], {"dates in the future"}),
        (1, [4, -40], {"dates in the future", "age of the data"}),
        (31, [-40], {"dates in the future", "age of the champion"}),
        (1, [4], {"age of the data"}),
        (-1 / 1_440, [-1 / 1_440], set()),
    ],
)
def test_a_date_in_the_future_is_an_alarm_and_hides_no_age(
    trained: float, ingested: list[float], fired: set[str]
) -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    dates = [now - timedelta(days=age) for age in ingested]
    found = judged(age_signals(now, now - timedelta(days=trained), dates, OPTIONS), [], OPTIONS)
    assert {signal.name for signal in found if signal.alarm} == fired
    assert not any(" -" in signal.message for signal in found)


def test_an_age_has_a_unit_that_suits_it() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    ages = (timedelta(minutes=20), timedelta(hours=1), timedelta(days=3))
    messages = [age_signals(now, now - age, [], OPTIONS)[1].message for age in ages]
    shown = [message.removeprefix("trained ").partition(" ago")[0] for message in messages]
    assert shown == ["20 min 00 s", "1 h 00 min", "3.0 days"]


def test_a_signal_is_calm_watching_or_an_alarm_and_each_state_is_explained():
    found = [state(fired, alarm) for fired, alarm in ((True, True), (True, False), (False, False))]
    assert found == ["alarm", "watching", "calm"] == list(STATES)
    assert all(STATES.values())
