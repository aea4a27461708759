"""The configuration of a search, and the key under which its trials are found again.

`housing.settings` imports this module, so families and features (scikit-learn) are imported only
where a value is checked or a key is made.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from housing.metric import RMSE
from housing.records import SettingsGroup
from housing.schema import PROBLEM

if TYPE_CHECKING:
    from housing.training.families import ModelFamily

ALL_CORES = -1


class SearchPlan(SettingsGroup):
    """A search; the same plan gives the same candidates and scores on every machine."""

    metric: str = RMSE  # by which candidates and members are chosen: the gate's, which sets it
    families: Annotated[tuple[str, ...], Field(min_length=1)] = (PROBLEM.default_family,)
    """Model families to sample from, each with equal chance or, where wall time is the limit, in
    turn; a family that is named twice is sampled twice as often"""
    n_trials: int = Field(default=6, ge=1, le=10_000)
    """Number of trials"""
    folds: int = Field(default=3, ge=2, le=20)
    """Folds of the cross-validation"""
    # Before rows are divided into folds. Off, folds are consecutive rows: in a table ordered by
    # location this measures the error at unseen locations.
    shuffle: bool = True
    seed: int = Field(default=42, ge=0, lt=2**32)
    """Seed of the trials, the folds and every fit"""
    seconds: float | None = Field(default=None, gt=0, le=7 * 86_400)
    """Wall time of the search in seconds; trials are added in rounds of N_TRIALS until it is used
    up"""
    strategy: Literal["random", "grid"] = "random"
    """`random` draws N_TRIALS candidates from the families' spaces; `grid` tries every combination
    of the values of their grids, and no best trials of earlier runs"""
    prune_margin: float = Field(default=0.003, ge=0, le=1)
    """A trial is pruned after a fold when its error so far exceeds the best trial's on the same
    folds by more than this share; 0 scores every trial on every fold"""
    warm_starts: int = Field(default=1, ge=0, le=100)
    """Best trials of earlier runs that are tried again beside new ones"""
    rows: int = Field(default=25_000, ge=1000)
    """Training rows that trials are scored on, sampled at random where there are more; the
    challenger is fitted on all"""
    member_rows: int = Field(default=300_000, ge=1000)
    """Training rows that one member of the ensemble is fitted on. Where there are more, each member
    gets a sample of its own; neighbour features use all rows"""
    exclude_features: tuple[str, ...] = ()
    """Groups of features to leave out; at least one of the families must have them"""
    ensemble_size: int = Field(default=3, ge=1, le=50)
    """Members of the ensemble, each with its own seed, whose mean is the challenger"""
    # Choose the members among the best trials by their predictions of unseen folds; off, all are
    # the best trial with other seeds.
    ensemble: bool = True
    n_jobs: int = Field(default=ALL_CORES, ge=ALL_CORES, le=4096)
    """Worker processes of one thread each; -1 for one per physical core"""

    @field_validator("families")
    @classmethod
    def _known(cls, families: tuple[str, ...]) -> tuple[str, ...]:
        from housing.training.candidates import FAMILIES

        unknown = sorted(set(families) - set(FAMILIES))
        if unknown:
            raise ValueError(
                f"there is no model family {', '.join(unknown)}; there are {', '.join(FAMILIES)}"
            )
        for name in families:
            if why := FAMILIES[name].missing:
                raise ValueError(f"{name}: {why}")
        return families

    @field_validator("strategy")
    @classmethod
    def _with_grids(cls, strategy: str, info: ValidationInfo) -> str:
        """Refuse a grid search of families without a grid, and one that wall time would cut off."""
        from housing.training.candidates import FAMILIES

        if strategy == "grid":
            named = info.data.get("families", ())  # none where they are refused
            if without := [name for name in named if FAMILIES[name].lists is None]:
                having = [name for name, family in FAMILIES.items() if family.lists is not None]
                raise ValueError(
                    f"{', '.join(without)} has no grid; families that have one: {', '.join(having)}"
                )
            if info.data.get("seconds") is not None:
                raise ValueError("a grid search tries all of its grid: it cannot end after SECONDS")
        return strategy

    @field_validator("exclude_features")
    @classmethod
    def _known_groups(cls, without: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Refuse groups that no family has: leaving them out would change nothing."""
        from housing.features.preprocess import groups_of
        from housing.training.candidates import FAMILIES, feature_groups

        if unknown := sorted(set(without) - set(feature_groups())):
            there = ", ".join(feature_groups())
            raise ValueError(f"there are no features {', '.join(unknown)}; there are {there}")
        families = dict.fromkeys(info.data.get("families", ()))  # none where they are refused
        steps = [FAMILIES[name].build(0)["preprocess"] for name in families]
        had = frozenset().union(*map(groups_of, steps))
        if families and (strange := sorted(set(without) - had)):
            names, has = ", ".join(families), [group for group in feature_groups() if group in had]
            raise ValueError(
                f"{', '.join(strange)} cannot be left out, as {names} has no such features; "
                f"what can be left out there: {', '.join(has) or 'nothing'}"
            )
        return tuple(sorted(set(without)))

    @field_validator("n_jobs")
    @classmethod
    def _some_worker(cls, n_jobs: int) -> int:
        if n_jobs == 0:
            raise ValueError("0 workers do nothing; use -1 for one a physical core")
        return n_jobs

    @property
    def compares_families(self) -> bool:
        """Whether several families are searched: then errors on training rows are measured too."""
        return len(set(self.families)) > 1

    @property
    def workers(self) -> int:
        """Worker processes on this machine."""
        if self.n_jobs == ALL_CORES:
            import joblib

            with warnings.catch_warnings():
                # Without /sys, in some containers, it counts logical cores, which is no fault.
                warnings.filterwarnings("ignore", "Could not find the number of physical cores")
                return int(joblib.cpu_count(only_physical_cores=True))
        return self.n_jobs


def search_key(plan: SearchPlan, families: "Mapping[str, ModelFamily] | None" = None) -> str:
    """Digest of what decides a search's scores and choice beside the rows: 64 hexadecimal digits.

    Covers the plan, each family's space and its pipeline with every parameter. Does not cover
    `n_jobs`, which changes no score, nor the code of functions, library versions and the candidates
    of other runs, which the caller records. `families` are all where it is None.
    """
    from housing.features.preprocess import STEPS
    from housing.training.candidates import FAMILIES, unfitted

    families = FAMILIES if families is None else families
    # Keys that were made when there was no other metric are those of RMSE.
    left_out = {"n_jobs"} | ({"metric"} if plan.metric == RMSE else set())
    facts = {
        "plan": plan.model_dump(exclude=left_out),
        "families": {
            name: {
                "space": describe(space),
                "steps": {
                    value: describe(STEPS[value])
                    for values in space.values()
                    if isinstance(values, list)
                    for value in values
                    if isinstance(value, str) and value in STEPS
                },
                "pipeline": describe(unfitted(name, plan.seed, families, plan.exclude_features)),
                # A limit that changes no score is left out.
                **({"most_rows": family.most_rows} if family.most_rows < plan.rows else {}),
            }
            for name in plan.families
            for family in [families[name]]
            for space in [(family.lists or {}) if plan.strategy == "grid" else family.space]
        },
    }
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def describe(thing: Any) -> Any:
    """A JSON value that changes when `thing` does, and is the same in every process.

    Raises TypeError for a kind of object that it cannot describe.
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, list | tuple):
        return [describe(item) for item in thing]
    if isinstance(thing, Mapping):
        return {str(key): describe(value) for key, value in thing.items()}
    if hasattr(thing, "rvs"):
        return [thing.dist.name, describe(thing.args), describe(thing.kwds)]
    return [_name(thing), describe(_parts(thing))]


def _name(thing: Any) -> str:
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


def _parts(thing: Any) -> Any:
    if isinstance(thing, type):
        return None
    if hasattr(thing, "get_params"):
        return thing.get_params(deep=False)
    if is_dataclass(thing):
        return {part.name: getattr(thing, part.name) for part in fields(thing)}
    if isinstance(thing, partial):
        return [thing.func, thing.args, thing.keywords]
    if callable(thing):
        return None
    raise TypeError(f"{_name(thing)} in a pipeline or a space has no description")
