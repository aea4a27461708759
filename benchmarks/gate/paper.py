"""The rule `expected_gain` on paper: no model is trained, errors are drawn.

WORLDS worlds of 365 nights are judged at once. Each night's challenger has a true error of its own;
cross-validation shows it with noise, and so do the test rows. A champion keeps its deviation on the
test rows while these stay; new rows dilute it. The first world has the numbers of the real table
and its search: the standard error of a change is 0.64 %. In the others the world differs from what
the rule assumes, one number after the other. All rules of a world see the same challengers.

    python -m benchmarks gate-paper
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks import results
from housing.formatting import change as relative
from housing.formatting import percent
from housing.gate import expected_gain
from housing.gate.expected_gain import Belief, Noise
from housing.gate.policy import GatePolicy

WORLDS, NIGHTS = 100, 365
POINTS = ">="
RULES = (POINTS, "no_regression", "expected_gain", "always", "never")
LOOKED_AT = (1, 10, 40, 200)
PLANTED = (0.02, 0.01, 0.0, -0.015)
JUMP = 120
ATTEMPTS = 3  # nights within which a gain of 1.5 % is to be found
TIMES = 5  # draws of each planted change in each world


@dataclass(frozen=True)
class World:
    """How challengers and rows come; standard deviations are relative to the error."""

    recipes: float = 0.006  # of the true errors of recipes that are drawn
    draws: int = 1  # recipes of a night, of which cross-validation chooses one
    warm: bool = False  # whether the choice of the night before is among them
    cv: float = 0.002  # of the cross-validation of one recipe, at first
    seeds: float = 0.0025  # of the true errors of models of one recipe
    sampling: float = 0.0045  # of one model on the test rows, at first
    rows: float = 0.002  # rows that enter each night, as a share of the first ones
    trend: float = 0.0  # how much better the average challenger gets each night
    jump: float = 0.0  # how much better challengers are from night JUMP on
    decay: float = 0.0  # how much worse each challenger is than the last one
    polluted: float = 0.0  # share of nights on which the challenger is 3 % worse


SEARCH = World(draws=6, warm=True)
ON_PAPER = {
    "nothing changes": SEARCH,
    "growing table": replace(SEARCH, trend=0.0001),
    "slow drift": replace(SEARCH, trend=0.0003),
    "sudden drift": replace(SEARCH, jump=0.1),
    "polluted batches": replace(SEARCH, polluted=0.05),
    "a model that decays": World(recipes=0.0, seeds=0.0, decay=0.0005),
    "no warm starts": replace(SEARCH, warm=False),
    "one draw a night": World(),
    "twice the recipes' spread": replace(SEARCH, recipes=0.012),
    "half the recipes' spread": replace(SEARCH, recipes=0.003),
    "twice the CV's noise": replace(SEARCH, cv=0.004),
    "twice the test rows' noise": replace(SEARCH, sampling=0.009),
    "half the test rows' noise": replace(SEARCH, sampling=0.00225),
    "twice the seeds' spread": replace(SEARCH, seeds=0.005),
    "no spread of seeds": replace(SEARCH, seeds=0.0),
    "rows never change": replace(SEARCH, rows=0.0),
    "rows change fast": replace(SEARCH, rows=0.02),
}


@dataclass(frozen=True, eq=False)
class Models:
    """One model in each world: true error, deviations on both kinds of rows; shape (worlds,)."""

    error: Any
    training: Any
    test: Any

    def where(self, chosen: Any, other: "Models") -> "Models":
        """The models of `other` in the chosen worlds."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Models(*(np.where(chosen, theirs, ours) for ours, theirs in pairs))


def drawn(
    world: World, night: int, rng: np.random.Generator, recipes: Any = 0.0, worlds: int = WORLDS
) -> Models:
    """Models of some recipes, which have such true errors, on the rows of a night."""
    normal = rng.standard_normal((3, worlds))
    size = (1 + world.rows * night) ** 0.5
    seeds = world.seeds * normal[0]
    return Models(
        recipes + seeds, world.cv / size * normal[1] - seeds, world.sampling / size * normal[2]
    )


def recipes_of(world: World, rng: np.random.Generator, worlds: int = WORLDS) -> Any:
    """True errors of the recipes that the searches choose, shape (NIGHTS + 1, worlds)."""
    chosen, last = [], None
    for night in range(NIGHTS + 1):
        errors = world.recipes * rng.standard_normal((world.draws, worlds))
        if world.warm and last is not None:
            errors = np.concatenate([errors, last[None]])
        noise = world.cv / (1 + world.rows * night) ** 0.5
        shown = errors + noise * rng.standard_normal(errors.shape)
        last = np.take_along_axis(errors, shown.argmin(axis=0)[None], axis=0)[0]
        moved = world.decay * night - world.trend * night - world.jump * (night >= JUMP)
        chosen.append(last + moved + 0.03 * (rng.random(worlds) < world.polluted))
    return np.stack(chosen)


def aged(
    world: World, champion: Models, night: int, rng: np.random.Generator
) -> tuple[Models, Any]:
    """The champion with its deviations on the rows of this night; that on the new test rows."""
    share, size = kept(world, night), (1 + world.rows * night) ** 0.5
    fresh = (1 - share) ** 0.5 / size * rng.standard_normal((2, len(champion.error)))
    training = share * champion.training + world.cv * fresh[0]
    test = share * champion.test + world.sampling * fresh[1]
    return Models(champion.error, training, test), fresh[1]


def kept(world: World, night: int) -> float:
    """Share of the rows of a night that were there the night before."""
    return (1 + world.rows * (night - 1)) / (1 + world.rows * night)


def noise_of(world: World, night: int, spread: Any) -> Noise:
    """What a run measures of the noise; the seeds are shown by the members of the ensemble."""
    size = (1 + world.rows * night) ** 0.5
    return Noise(2**0.5 * world.sampling / size, 2**0.5 * world.cv / size, world.seeds, spread)


def passes(
    rule: str, known: Belief, noise: Noise, champion: Models, new: Models
) -> tuple[Any, Belief, Belief]:
    """Which challengers pass, and what is known of both models afterwards."""
    policy = GatePolicy()
    test = new.error + new.test - champion.error - champion.test
    if rule in ("always", "never"):
        return np.full(WORLDS, rule == "always"), known, known
    if rule == POINTS:
        return test <= 0, known, known
    if rule == "no_regression":
        return (test <= 0) & (test + 1.645 * noise.test <= policy.margin), known, known
    training = new.error + new.training - champion.error - champion.training
    found = expected_gain.posterior(known, noise, training, test)
    return expected_gain.passes(found, test, policy), found.champion, found.challenger


def lived(world: World, rule: str, assumed: float = 1.0) -> dict[str, Any]:
    """A year under one rule in all worlds; `assumed` times the spread that the rule begins with."""
    rng, aside = np.random.default_rng(1), np.random.default_rng(2)
    recipes = recipes_of(world, rng)
    champion = drawn(world, 0, rng, recipes[0])
    spread = np.full(WORLDS, assumed * expected_gain.CHALLENGERS)
    known = expected_gain.initial_belief(noise_of(world, 0, spread))
    error, promoted, worse = np.zeros(WORLDS), np.zeros(WORLDS), np.zeros(WORLDS)
    planted = {}
    for night in range(1, NIGHTS + 1):
        noise, share = noise_of(world, night, spread), kept(world, night)
        champion, _ = aged(world, champion, night, rng)
        known = expected_gain.next_belief(known, noise, share, share)
        if night in LOOKED_AT:
            planted[night] = _planted(world, rule, known, noise, champion, night, aside)
        new = drawn(world, night, rng, recipes[night])
        passed, theirs, ours = passes(rule, known, noise, champion, new)
        spread = expected_gain.spread_after(spread, ours, night - 1)
        promoted += passed
        worse += passed & (new.error > champion.error)
        champion = champion.where(passed, new)
        known = Belief(
            np.where(passed[:, None], ours.mean, theirs.mean),
            np.where(passed[:, None, None], ours.covariance, theirs.covariance),
        )
        error += champion.error / NIGHTS
    return {"error": error, "promoted": promoted, "worse": worse, "planted": planted}


def _planted(
    world: World,
    rule: str,
    known: Belief,
    noise: Noise,
    champion: Models,
    night: int,
    rng: np.random.Generator,
) -> dict[float, float]:
    """Rates at which challengers of a known true change pass; a gain has several attempts."""

    def once(change: float) -> Any:
        like = drawn(world, night, rng)
        new = Models(champion.error + change, like.training, like.test)
        return passes(rule, known, noise, champion, new)[0]

    return {
        change: float(
            np.mean(
                [
                    np.any([once(change) for _ in range(ATTEMPTS if change < 0 else 1)], axis=0)
                    for _ in range(TIMES)
                ]
            )
        )
        for change in PLANTED
    }


def row(found: dict[str, Any], points: dict[str, Any]) -> dict[str, Any]:
    """Figures of a rule beside those of the gate of points, and whether each goal is met."""
    beyond = found["error"] - points["error"]
    error, se = float(beyond.mean()), float(beyond.std() / WORLDS**0.5)
    ratios = {
        name: float(found[name].mean() / points[name].mean()) for name in ("promoted", "worse")
    }
    goals = {
        "error": error <= 0.001,
        "worse": ratios["worse"] <= 1 / 3,
        "promoted": ratios["promoted"] <= 1 / 2,
    }
    for night in (1, 40):
        rates = found["planted"][night]
        goals[f"1 % worse, night {night}"] = rates[0.01] <= 0.05
        goals[f"2 % worse, night {night}"] = rates[0.02] <= 0.001
        goals[f"1.5 % better, night {night}"] = rates[-0.015] >= 0.8
    return {
        "error": error,
        "error_se": se,
        "promoted": float(found["promoted"].mean()),
        "worse": float(found["worse"].mean()),
        "ratios": ratios,
        "planted": {str(night): rates for night, rates in found["planted"].items()},
        "goals": goals,
    }


def main() -> None:
    """Simulate all worlds under all rules, print and keep the figures."""
    worlds: dict[str, Any] = {}
    for name, world in ON_PAPER.items():
        found = {rule: lived(world, rule) for rule in RULES}
        worlds[name] = {rule: row(found[rule], found[POINTS]) for rule in RULES}
        show(name, worlds[name])
    assumed: dict[str, Any] = {}
    for name in ("nothing changes", "slow drift"):
        points = lived(ON_PAPER[name], POINTS)
        for factor in (0.5, 2.0):
            title = f"{name}, {factor:g} times the assumed spread"
            assumed[title] = {
                "expected_gain": row(lived(ON_PAPER[name], "expected_gain", factor), points)
            }
            show(title, assumed[title])
    facts = {
        "worlds": WORLDS,
        "nights": NIGHTS,
        "formula": expected_gain.FORMULA,
        "cost_of_change": GatePolicy().cost_of_change,
    }
    results.save("gate-paper", {**facts, "on_paper": worlds | assumed})


def show(name: str, rows: dict[str, Any]) -> None:
    """Print a world: one line a rule, goals that are missed by name."""
    print(name, flush=True)
    for rule, found in rows.items():
        night = found["planted"]
        rates = "  ".join(
            f"{relative(float(change))} "
            + " / ".join(percent(night[str(n)][change]) for n in LOOKED_AT)
            for change in PLANTED
        )
        print(
            f"  {rule:<14} error {relative(found['error'], 2)} ({percent(found['error_se'], 2)})  "
            f"promoted {found['promoted']:5.1f}  worse {found['worse']:5.1f}  {rates}"
        )
        if rule == "expected_gain":
            missed = [goal for goal, met in found["goals"].items() if not met]
            print(f"  {'':<14} missed: {', '.join(missed) or 'no goal'}", flush=True)
