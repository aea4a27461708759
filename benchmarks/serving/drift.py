"""`python -m benchmarks drift`: how soon each detector alarms, and how often falsely.

Simulated deliveries of 300 districts. The reference is a common practice: `ks_2samp` of each
column, an alarm wherever p < 0.05. The model is fitted once on night 0 and never again: what is
measured is whether anyone would be notified.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold

from benchmarks import results, serving_pages
from housing import schema
from housing.inference.calibration import Calibration, group_matrix
from housing.inference.calibration import build as build_calibration
from housing.inference.columns import columns_of_frame
from housing.inference.training_index import distances
from housing.monitoring.drift import drift_signals, upstream_signals
from housing.monitoring.live_error import Counts, LabelledPredictions, counted, error_signals
from housing.monitoring.options import MonitorOptions
from housing.monitoring.signals import Signal, judged
from housing.problems.california.simulated.scenarios import DriftScenario, simulate

ROWS, NIGHT_ROWS, ONSET = 8_000, 300, 10
FEATURES = list(schema.FEATURES)
INCOME = schema.TABLE.strata[0].column
LEVEL = 0.05  # of the plain test


@dataclass
class World:
    """A model of night 0 and all that the monitor compares with."""

    model: HistGradientBoostingRegressor
    promised: np.ndarray  # predictions of the test rows
    expected: Counts
    calibration: Calibration
    training_index: object
    train: pd.DataFrame

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Prices."""
        return self.model.predict(_numbers(frame))

    def labelled(self, frame: pd.DataFrame, predicted: np.ndarray) -> LabelledPredictions:
        """With the prediction interval."""
        columns = columns_of_frame(frame)
        nearest, _ = distances(self.training_index, columns)  # type: ignore[arg-type]
        assert self.calibration.interval is not None
        half = self.calibration.interval.half_width(
            predicted,
            self.training_index.nearby_at(nearest),  # type: ignore[attr-defined]
            group_matrix(columns),
        )
        actual = frame[schema.TARGET].to_numpy(float)
        return LabelledPredictions(actual, predicted, predicted - half, predicted + half)


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    codes = {name: frame[name].cat.codes for name in schema.CATEGORIES}
    return frame[FEATURES].assign(**codes)


def build(seed: int) -> World:
    """Fit on night 0."""
    table = simulate(ROWS, seed)
    train, test = table.iloc[: ROWS * 4 // 5], table.iloc[ROWS * 4 // 5 :]
    y = train[schema.TARGET].to_numpy(float)
    oof = np.zeros(len(train))
    for a, b in KFold(3, shuffle=True, random_state=0).split(train):
        fold = HistGradientBoostingRegressor(random_state=0).fit(_numbers(train.iloc[a]), y[a])
        oof[b] = fold.predict(_numbers(train.iloc[b]))
    model = HistGradientBoostingRegressor(random_state=0).fit(_numbers(train), y)
    predicted = model.predict(_numbers(test))
    calibration, training_index = build_calibration(train, oof, test, predicted)
    world = World(
        model,
        predicted,
        Counts(0, 0, 0),
        calibration,
        training_index,
        train,
    )
    world.expected = counted(world.labelled(test, predicted))
    return world


Scenario = Callable[[int, int], pd.DataFrame]  # seed, night


def _calm(seed: int, night: int) -> pd.DataFrame:
    return simulate(NIGHT_ROWS, seed, day=night + 1)


def _slow(seed: int, night: int) -> pd.DataFrame:
    grown = max(night - ONSET, 0)
    frame = _calm(seed, night)
    frame[INCOME] = (frame[INCOME] * 1.001**grown).clip(upper=15.0001)
    frame[schema.TARGET] = (frame[schema.TARGET] * 1.003**grown).clip(upper=500_001)
    return frame


def _sudden(seed: int, night: int) -> pd.DataFrame:
    return simulate(
        NIGHT_ROWS, seed, day=night + 1, drift=DriftScenario(jump_day=ONSET + 1, jump=1.3)
    )


def _slip(seed: int, night: int) -> pd.DataFrame:
    frame = _calm(seed, night)
    if night >= ONSET:
        frame[INCOME] /= 10  # within every range: intake's row rules do not see it
    return frame


def _region(seed: int, night: int) -> pd.DataFrame:
    """From the onset on only the south is delivered."""
    if night < ONSET:
        return _calm(seed, night)
    frame = simulate(4 * NIGHT_ROWS, seed, day=night + 1)
    return frame[frame[schema.COORDINATES[1]] < 34.5].head(NIGHT_ROWS).reset_index(drop=True)


SCENARIOS: dict[str, Scenario] = {
    "slow": _slow, "sudden": _sudden, "unit slip": _slip, "one region": _region,
}  # fmt: skip

WORDS = {
    "slow": "prices +0.3 %, incomes +0.1 % a night", "sudden": "prices +30 % at once",
    "unit slip": "incomes in another unit", "one region": "one region only",
}  # fmt: skip

GROUPS: dict[str, Callable[[Signal], bool]] = {
    "drift of columns": lambda s: s.kind == "drift",
    "drift of predictions": lambda s: s.kind == "predictions",
    "upstream": lambda s: s.kind == "upstream",
    "live error": lambda s: s.kind == "error",
    "**any of them**": lambda _: True,
}
PLAIN = "`ks_2samp` of each column, p < 0.05"


Alarms = dict[str, list[bool]]
"""By detector, night by night."""


def watch(world: World, nights: Iterator[pd.DataFrame]) -> Alarms:
    """Let every detector look at the nights in turn."""
    options, alarms = MonitorOptions(), defaultdict(list)
    earlier: list[frozenset[str]] = []
    counts: list[Counts] = []
    for frame in nights:
        predicted = world.predict(frame)
        counts.append(counted(world.labelled(frame, predicted)))
        found = error_signals(counts, world.expected, options)
        predictions = world.promised, predicted
        found += drift_signals(world.train[FEATURES], frame[FEATURES], predictions, options)
        found += upstream_signals(world.train[FEATURES], frame[FEATURES], options)
        signals = judged(found, earlier, options)
        earlier.append(frozenset(s.name for s in signals if s.fired))
        for name, belongs in GROUPS.items():
            alarms[name].append(any(s.alarm and belongs(s) for s in signals))
        alarms[PLAIN].append(_plain(world, frame))
    return alarms


def _plain(world: World, frame: pd.DataFrame) -> bool:
    return any(
        ks_2samp(world.train[name].dropna(), frame[name].dropna()).pvalue < LEVEL
        for name in FEATURES
        if name not in schema.CATEGORIES
    )


def main() -> None:
    """Print delays and false alarms, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=2, help="calm years")
    parser.add_argument("--repeats", type=int, default=5, help="of each scenario")
    parser.add_argument("--nights", type=int, default=60, help="of each scenario, from the onset")
    chosen = parser.parse_args()
    detectors = [*GROUPS, PLAIN]
    worlds = [build(seed) for seed in range(max(chosen.repeats, chosen.years))]
    calm = [
        watch(worlds[y], (_calm(y, night) for night in range(365))) for y in range(chosen.years)
    ]
    delays = {
        name: [
            watch(worlds[r], (deliver(r, n) for n in range(ONSET, ONSET + chosen.nights)))
            for r in range(chosen.repeats)
        ]
        for name, deliver in SCENARIOS.items()
    }
    figures = {
        "night_rows": NIGHT_ROWS, "years": chosen.years, "repeats": chosen.repeats,
        "nights": chosen.nights, "scenarios": [WORDS[name] for name in SCENARIOS],
        "detectors": {d: _row(d, delays, calm) for d in detectors},
    }  # fmt: skip
    print(serving_pages.drift(figures))
    results.save("drift", figures)


def _row(detector: str, delays: dict[str, list[Alarms]], calm: list[Alarms]) -> dict[str, Any]:
    return {
        "delays": [_delay([year[detector] for year in delays[name]]) for name in SCENARIOS],
        "alarms": float(np.mean([sum(_onsets(year[detector])) for year in calm])),
        "alarm_nights": float(np.mean([sum(year[detector]) for year in calm])),
    }


def _delay(years: list[list[bool]]) -> float | None:
    middle = float(np.median([y.index(True) + 1 if any(y) else np.inf for y in years]))
    return None if np.isinf(middle) else middle


def _onsets(alarms: list[bool]) -> list[bool]:
    """Nights on which an alarm begins: one that stays on is one alarm."""
    return [now and not before for before, now in zip([False, *alarms], alarms, strict=False)]
