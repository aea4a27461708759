"""A year of nights, simulated, under each policy and under a gate that compares points.

What a night's challenger is depends on the data alone and not on who is champion, so each of the
NIGHTS challengers is fitted once and its predictions of all test rows and of fresh rows of every
EVERY-th night's world are kept; then the same year is lived under every policy. Recipes differ from
night to night as draws of a search do (each a random point of a small space, none chosen by
cross-validation: some nights' challengers are truly worse). The true error of a model on a night
is that on FRESH districts of that night's world, without pollution, which no gate sees.

A fifth year is planted: every night the same model, its errors larger by another DECAY, as with a
source that goes stale. No single step is large.

What the gate sees is what it sees in a real night but for preflight, costs and drift: slices,
never-used rows, capped labels, the ratchet over the last five champions.

Predictions that are in the folder already are judged again and not made again; when those of each
scenario were made, and a digest of them, is kept with the figures. The same code gives the same.

    python -m benchmarks gate-year FOLDER [--only SCENARIO]
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from benchmarks import results
from benchmarks.gate.cases import as_test_rows
from benchmarks.gate.family import boosting
from housing import schema
from housing.gate import decision_rule
from housing.gate.check import judge
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, measure_evidence
from housing.gate.policy import GatePolicy
from housing.keys import row_keys
from housing.problems.california.simulated.scenarios import (
    DriftScenario,
    Pollution,
    Scenario,
    simulate,
)
from housing.training.split import SplitRule, added, assign, counts, strata

NIGHTS, EVERY = 365, 15
FIRST, A_NIGHT, BACKLOG, FRESH = 5_000, 30, 900, 1_500
LOS_ANGELES = (-119.0, 33.5, -117.5, 34.5)
DIRTY = (80, 81, 82, 200, 201, 202)

SCENARIOS: Mapping[str, Scenario] = {
    "nothing at all": Scenario(),
    "slow drift": Scenario(drift=DriftScenario(price_per_day=0.0005, income_per_day=0.0002)),
    "sudden drift": Scenario(drift=DriftScenario(jump_day=120, jump=1.25)),
    "polluted batches": Scenario(pollution=Pollution(days=DIRTY, shuffled=LOS_ANGELES)),
}

POLICIES: Mapping[str, GatePolicy] = {
    "no_regression": GatePolicy(preflight=False),
    "superior": GatePolicy(preflight=False, rule="superior"),
    "non_inferior": GatePolicy(preflight=False, rule="non_inferior"),
    "non_inferior, no ratchet": GatePolicy(
        preflight=False, rule="non_inferior", cumulative_champions=0
    ),
    "no_regression, margin 2 %": GatePolicy(preflight=False, margin=0.02),
}
DECAYING, DECAY = "a model that decays", 0.0005
POINTS = ">= of points"
BAD = 0.01  # a promotion whose true error is more than this above the champion's, relative
AROUND = 2  # probes on either side that measure a promotion, as one alone is noisy


@dataclass(eq=False)
class Year:
    """One scenario: test rows in the order in which they came, and every challenger on them."""

    test: pd.DataFrame  # n rows
    came: np.ndarray  # night of each test row, shape (n,)
    predicted: np.ndarray  # of the test rows, shape (NIGHTS, n)
    truth: np.ndarray  # true RMSE, US dollars, shape (NIGHTS, len(probes))
    probes: np.ndarray  # nights of the probes
    jump: int | None  # night from which on prices are others

    def true_rise(self, new: int, old: int) -> float:
        """How much higher the error of the night's challenger truly is than another's."""
        near = np.abs(self.probes - new) <= EVERY * (AROUND + 0.5)
        if self.jump is not None:  # only the world of that night counts
            near &= (self.probes >= self.jump) == (new >= self.jump)
        means = [np.mean(self.truth[m, near] ** 2) for m in (new, old)]
        return float(np.sqrt(means[0] / means[1]) - 1)


def rows_of(scenario: Scenario, night: int) -> pd.DataFrame:
    """What is delivered on a night; a polluted delivery is a backlog, so that it can hurt."""
    count = FIRST if night == 0 else BACKLOG if night in scenario.pollution.days else A_NIGHT
    return simulate(count, 7, day=night, **vars(scenario))


def recipe(seed: int) -> Pipeline:
    """A random point of a small space."""
    rng = np.random.default_rng(seed)
    settings = {
        "max_iter": int(rng.integers(40, 101)),
        "learning_rate": float(rng.uniform(0.08, 0.2)),
        "max_leaf_nodes": int(rng.integers(10, 41)),
        "min_samples_leaf": int(rng.integers(5, 31)),
        "max_features": float(rng.uniform(0.1, 0.6)),
    }
    return boosting(seed, clusters=int(rng.integers(10, 26)), **settings)


def kept_in(folder: Path, name: str) -> Path:
    """Where a scenario's predictions are kept."""
    return folder / f"year-{name.replace(' ', '-')}.npz"


def live(name: str, folder: Path) -> Year:
    """Fit every night's challenger, or take them from the folder."""
    done = kept_in(folder, name)
    scenario, rule, seen = SCENARIOS[name], SplitRule(0.2, 42), {}
    tables, test_side = [], []
    for night in range(NIGHTS):
        frame = rows_of(scenario, night).assign(night=night)
        codes = strata(frame)
        side = assign(row_keys(frame), codes, seen, rule)
        seen = added(seen, counts(codes, side))
        tables.append(frame)
        test_side.append(side)
    whole, side = pd.concat(tables, ignore_index=True), np.concatenate(test_side)
    test, train = whole[side].reset_index(drop=True), whole[~side]
    probes = np.arange(0, NIGHTS, EVERY)
    if not done.exists():
        fresh = [_probe(scenario, night) for night in probes]
        predicted, truth = _fit_all(train, test, fresh)
        results.keep_arrays(done, predicted=predicted, truth=truth)
    kept = np.load(done)
    return Year(
        test,
        test["night"].to_numpy(),
        kept["predicted"],
        kept["truth"],
        probes,
        scenario.drift.jump_day,
    )


def _probe(scenario: Scenario, night: int) -> pd.DataFrame:
    """Fresh districts of a night's world that are never delivered."""
    drift = scenario.drift
    level = (1 + drift.price_per_day) ** night
    if drift.jump_day is not None and night >= drift.jump_day:
        level *= drift.jump
    frame = simulate(FRESH, 7, day=10_000 + night, noise=scenario.noise)
    income = schema.CATALOGUE["median_income"]
    grown = frame[income.name] * (1 + drift.income_per_day) ** night
    # Prices as the scenario makes them, from the calm ones: drift multiplies them.
    price = frame[schema.TARGET] * level
    return frame.assign(
        **{
            income.name: grown.clip(upper=income.cap),
            schema.TARGET: price.clip(upper=schema.LABEL_CAP),
        }
    )


def _fit_all(
    train: pd.DataFrame, test: pd.DataFrame, fresh: list[pd.DataFrame]
) -> tuple[np.ndarray, np.ndarray]:
    features = list(schema.FEATURES)
    probes = pd.concat(fresh, ignore_index=True)
    actual = probes[schema.TARGET].to_numpy().reshape(len(fresh), -1)
    predicted, truth = [], []
    for night in range(NIGHTS):
        known = train[train["night"] <= night]
        model = recipe(night).fit(known[features], known[schema.TARGET])
        predicted.append(np.maximum(model.predict(test[features]), 1.0).astype(np.float32))
        forecast = model.predict(probes[features]).reshape(len(fresh), -1)
        truth.append(np.sqrt(np.mean((forecast - actual) ** 2, axis=1)))
        if night % 50 == 49:
            print(f"  {night + 1} of {NIGHTS} challengers", flush=True)
    return np.stack(predicted), np.stack(truth)


def decaying(year: Year) -> Year:
    """The first challenger all year, a little worse every night."""
    factor = (1 + DECAY * np.arange(NIGHTS))[:, None]
    actual = year.test[schema.TARGET].to_numpy()
    predicted = np.maximum(actual + factor * (year.predicted[0] - actual), 1.0)
    return replace(year, predicted=predicted, truth=factor * year.truth[0])


def under(year: Year, policy: GatePolicy | None) -> dict[str, Any]:
    """The year under one policy, or under the gate of points (None)."""
    champions, promotions, bad, blocked = [0], [], [], {}
    outcomes: dict[str, int] = {}
    for night in range(1, NIGHTS):
        verdict, by = _judge(year, night, champions, policy)
        outcomes[verdict] = outcomes.get(verdict, 0) + 1
        for name in by:
            blocked[name] = blocked.get(name, 0) + 1
        if verdict == "promote":
            rise = year.true_rise(night, champions[-1])
            promotions.append(night)
            if rise > BAD:
                bad.append({"night": night, "rise": float(rise)})
            champions.append(night)
    reign = [max(c for c in champions if c <= night) for night in year.probes]
    error = [float(year.truth[c, p]) for p, c in enumerate(reign)]
    return {
        "outcomes": outcomes,
        "promotions": len(promotions),
        "bad_promotions": len(bad),
        "worst_rise": max((b["rise"] for b in bad), default=0.0),
        "blocked": blocked,
        "error": error,
        "error_mean": float(np.mean(error)),
        "error_last": error[-1],
    }


def _judge(
    year: Year, night: int, champions: list[int], policy: GatePolicy | None
) -> tuple[str, list[str]]:
    there = year.came <= night
    rows = year.test[there]
    actual = rows[schema.TARGET].to_numpy()
    ours, theirs = (year.predicted[m][there].astype(float) for m in (night, champions[-1]))
    if policy is None:
        better = np.mean((ours - actual) ** 2) <= np.mean((theirs - actual) ** 2)
        return ("promote" if better else "keep"), []
    evidence = measure_evidence(
        as_test_rows(rows, year.came[there] == night),
        ModelPredictions(night + 1, f"c{night}", ours, 1, 0),
        Competitors(
            ModelPredictions(champions[-1] + 1, f"c{champions[-1]}", theirs, 1, 0),
            {"median": np.full(len(actual), np.median(actual))},
            [
                ModelPredictions(c + 1, f"c{c}", year.predicted[c][there].astype(float), 1, 0)
                for c in decision_rule.evenly_spaced(champions[-2::-1], policy.cumulative_champions)
            ],
        ),
        policy,
        RunFacts(),
    )
    verdict = judge(evidence, policy)
    failed = [r.name for r in verdict.checks if r.outcome == "failed"]
    # What a check prevented: the rule alone would have promoted.
    rule = next(r.outcome for r in verdict.checks if r.name == "no-regression")
    return verdict.outcome, failed if rule == "passed" else []


def main() -> None:
    """Live the years and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("var/benchmarks/years"))
    parser.add_argument("--only", choices=list(SCENARIOS), help="fit one scenario, judge nothing")
    options = parser.parse_args()
    if options.only:
        live(options.only, options.folder)
        return
    figures: dict[str, Any] = {"nights": NIGHTS, "first": FIRST, "a_night": A_NIGHT, "years": {}}
    for name in (*SCENARIOS, DECAYING):
        print(name, flush=True)
        calm = next(iter(SCENARIOS))
        year = (
            decaying(live(calm, options.folder)) if name == DECAYING else live(name, options.folder)
        )
        source = calm if name == DECAYING else name
        best = [float(np.min(year.truth[: n + 1, p])) for p, n in enumerate(year.probes)]
        newest = [float(year.truth[n, p]) for p, n in enumerate(year.probes)]
        found = {POINTS: under(year, None)}
        found |= {title: under(year, policy) for title, policy in POLICIES.items()}
        for title, row in found.items():
            promoted = f"{row['promotions']:>4} promoted, {row['bad_promotions']:>3} bad"
            error = f"mean true error {row['error_mean']:,.0f}"
            print(f"  {title:<26} {promoted}, {error}", row["blocked"], flush=True)
        figures["years"][name] = {
            "predictions": results.provenance(kept_in(options.folder, source)),
            "probes": year.probes.tolist(),
            "best": best,
            "always_newest": newest,
            "policies": found,
        }
    results.save("gate-year", figures)
