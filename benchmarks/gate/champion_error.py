"""How far the champion's shown error is off after a selection on its test rows, and the corrected.

On paper, in the worlds of `benchmarks.gate.paper`: in WORLDS worlds a challenger is compared every
night under each rule, and the one that passes becomes champion. After the verdicts of NIGHTS the
champion's error on the test rows, with and without the correction of
`housing.gate.corrected_error`, is compared with its true error: mean difference, and how often the
95 % interval contains the true error. Rows that are hard for every model are a further deviation,
COMMON, which no selection acts on; it is added to intervals and coverage without drawing. A fifth
of the test rows is new in the first night of the last world: there the champion's error on rows
that no verdict used is measured as well, where the champion stays.

    python -m benchmarks gate-champion-error
"""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from benchmarks import results
from benchmarks.gate.paper import ON_PAPER, SEARCH, World, aged, drawn, kept, noise_of, recipes_of
from housing.formatting import change as relative
from housing.formatting import percent
from housing.gate import expected_gain
from housing.gate.corrected_error import correction
from housing.gate.expected_gain import Belief
from housing.gate.policy import GatePolicy

WORLDS, NIGHTS = 100, (1, 10, 40, 200)
COMMON = 0.014
"""Standard error of an error that all models share, relative, at first."""

GOAL = 0.001
POINTS = ">="
RULES = (POINTS, "no_regression", "superior", "expected_gain")
NAMES = (
    "nothing changes",
    "slow drift",
    "one draw a night",
    "twice the recipes' spread",
    "twice the seeds' spread",
    "rows never change",
)
PLACES: dict[str, World] = {
    **{name: ON_PAPER[name] for name in NAMES},
    "many new rows": replace(SEARCH, rows=0.25),
}
CONFIDENCE = 0.95


def passing(rule: str, found: expected_gain.Posterior, test: Any, error: float) -> Any:
    """Which challengers pass, by the change on the test rows and its standard error."""
    policy = GatePolicy()
    upper = test + ndtri(policy.confidence) * error
    match rule:
        case "no_regression":
            return (test <= 0) & (upper <= policy.margin)
        case "superior":
            return upper <= 0
        case "expected_gain":
            return expected_gain.passes(found, test, policy)
        case _:
            return test <= 0


def lived(
    world: World, rule: str, *, training: bool = True, worlds: int = WORLDS, last: int = NIGHTS[-1]
) -> dict[str, Any]:
    """Figures after each of NIGHTS; without `training` the out-of-fold errors are not known."""
    rng = np.random.default_rng(1)
    recipes = recipes_of(world, rng, worlds)
    champion = drawn(world, 0, rng, recipes[0], worlds)
    spread = np.full(worlds, expected_gain.CHALLENGERS)
    known = expected_gain.initial_belief(seen_noise(world, 0, spread, training=training))
    figures = {}
    for night in range(1, last + 1):
        noise, share = seen_noise(world, night, spread, training=training), kept(world, night)
        champion, entered = aged(world, champion, night, rng)
        known = expected_gain.next_belief(known, noise, share, share)
        new = drawn(world, night, rng, recipes[night], worlds)
        test = new.error + new.test - champion.error - champion.test
        out_of_fold = new.error + new.training - champion.error - champion.training
        found = expected_gain.posterior(known, noise, out_of_fold if training else None, test)
        passed = passing(rule, found, test, noise.test)
        spread = expected_gain.spread_after(spread, found.challenger, night - 1)
        champion = champion.where(passed, new)
        known = Belief(
            np.where(passed[:, None], found.challenger.mean, found.champion.mean),
            np.where(passed[:, None, None], found.challenger.covariance, found.champion.covariance),
        )
        if night in NIGHTS:
            mean, variance = known.mean[:, -1], known.covariance[:, -1, -1]
            common, own = COMMON / (1 + world.rows * night) ** 0.5, noise.test**2 / 2
            figures[str(night)] = measured(champion.test, mean, variance, common, own)
            fresh = 1 - share
            if fresh >= GatePolicy().min_test_rows / ROWS:
                deviation = world.sampling * entered / fresh
                mean, variance = expected_gain.on_fresh_rows(found, noise, fresh)
                variance = np.broadcast_to(variance, mean.shape)
                columns = deviation[~passed], mean[~passed], variance[~passed]
                own, common = own / fresh, common / fresh**0.5
                figures[f"{night}, unused rows"] = measured(*columns, common, own)
    return figures


ROWS = 4_128
"""Test rows at first: those of the real table."""


def seen_noise(world: World, night: int, spread: Any, *, training: bool) -> expected_gain.Noise:
    """What a run measures of the noise, with or without out-of-fold errors."""
    noise = noise_of(world, night, spread)
    return noise if training else replace(noise, training=None)


def measured(deviation: Any, mean: Any, variance: Any, common: float, own: float) -> dict[str, Any]:
    """Shown and corrected error less the true one, relative, and the coverage of both intervals."""
    half = ndtri((1 + CONFIDENCE) / 2) * np.hypot(common, own**0.5)
    factor, corrected = correction(half, CONFIDENCE, mean, variance, own)
    off = deviation + np.log(factor)

    def coverage(beside: Any, width: Any) -> float:
        return float(np.mean(ndtr((width - beside) / common) - ndtr((-width - beside) / common)))

    return {
        "worlds": len(deviation),
        "shown": float(deviation.mean()),
        "shown_coverage": coverage(deviation, half),
        "corrected": float(off.mean()),
        "se": float(off.std() / len(off) ** 0.5),
        "coverage": coverage(off, corrected),
    }


def main() -> None:
    """Simulate all worlds under all rules, print and keep the figures."""
    figures: dict[str, Any] = {}
    for name, world in PLACES.items():
        last = 1 if name == "many new rows" else NIGHTS[-1]
        figures[name] = {rule: lived(world, rule, last=last) for rule in RULES}
        figures[name][f"{RULES[1]}, no out-of-fold errors"] = lived(
            world, RULES[1], training=False, last=last
        )
        for rule, nights in figures[name].items():
            shown = "  ".join(
                f"{night}: {relative(found['shown'], 2)}, {relative(found['corrected'], 2)} "
                f"({percent(found['coverage'])})"
                for night, found in nights.items()
            )
            print(f"{name:<26} {rule:<36} {shown}", flush=True)
    facts = {"worlds": WORLDS, "goal": GOAL, "formula": expected_gain.FORMULA}
    results.save("gate-champion-error", {**facts, "places": figures})
