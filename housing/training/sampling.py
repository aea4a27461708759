"""The candidates that a search tries, and the folds that it scores them on.

Candidates are those of scikit-learn's ParameterGrid over the families' grids; or those of its
ParameterSampler over the union of their spaces, or over each in turn where wall time is the limit,
then the best of earlier runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, ParameterGrid, ParameterSampler

from housing.array_types import Floats, Integers
from housing.records import Candidate
from housing.training.candidates import FAMILIES
from housing.training.families import ModelFamily
from housing.training.search_config import SearchPlan

Rows = Integers
Fold = tuple[Rows, Rows]

FAMILY = "family"
"""Key of the family in a sampled dict. It has one value, so choosing it takes nothing from the
random stream."""

MOST_DRAWS = 10_000
"""Candidates of a search that only wall time limits."""


def sample_candidates(
    plan: SearchPlan,
    families: Mapping[str, ModelFamily] = FAMILIES,
    warm_starts: Sequence[Candidate] = (),
) -> tuple[Candidate, ...]:
    """The first `n_trials` points that ParameterSampler gives, then those of `warm_starts`.

    A family that none of them is of gets one more point of its own, so that each is compared. With
    the strategy `grid` all points of ParameterGrid, and no others. Parameters are plain int,
    float, str, bool or None. Where every space is a list of values and together they hold fewer
    than `n_trials` points, there are only as many candidates.
    """
    if plan.strategy == "grid":
        grids = [{FAMILY: [name], **(families[name].lists or {})} for name in plan.families]
        return tuple(_candidate(i, point) for i, point in enumerate(ParameterGrid(grids)))
    fresh = tuple(islice(sample_forever(plan, families), plan.n_trials))
    fresh += _of_each_other_family(plan, families, fresh)
    again = (Candidate(len(fresh) + i, w.family, w.parameters) for i, w in enumerate(warm_starts))
    return (*fresh, *again)


def _of_each_other_family(
    plan: SearchPlan, families: Mapping[str, ModelFamily], drawn: Sequence[Candidate]
) -> tuple[Candidate, ...]:
    """The first point of each named family that has none among `drawn`."""
    seen = {candidate.family for candidate in drawn}
    added: list[Candidate] = []
    for name in dict.fromkeys(plan.families):
        if name not in seen:
            alone = plan.model_copy(update={"families": (name,)})
            first = next(sample_forever(alone, families))
            added.append(Candidate(len(drawn) + len(added), name, first.parameters))
    return tuple(added)


def sample_forever(
    plan: SearchPlan, families: Mapping[str, ModelFamily] = FAMILIES
) -> Iterator[Candidate]:
    """ParameterSampler's points for the families' spaces and the plan's seed, one after the other.

    With a limit of wall time few may be tried, and families take turns, each with a sampler of its
    own: none has all of the time by chance. Only spaces that are all lists are sampled without
    replacement, and so depend on how many points are wanted; they end after `n_trials`.
    """
    spaces = [{FAMILY: [name], **families[name].space} for name in plan.families]
    points = _sampled(spaces, plan.n_trials, np.random.RandomState(plan.seed))
    if plan.seconds is not None and len(spaces) > 1:
        states = [np.random.RandomState([plan.seed, place]) for place in range(len(spaces))]
        each = [_sampled([s], plan.n_trials, own) for s, own in zip(spaces, states, strict=True)]
        points = (point for turn in zip_longest(*each) for point in turn if point is not None)
    for index, point in enumerate(points):
        yield _candidate(index, point)


def _candidate(index: int, point: dict[str, Any]) -> Candidate:
    family = str(point.pop(FAMILY))
    return Candidate(index, family, {name: _plain(value) for name, value in point.items()})


def _sampled(
    spaces: list[dict[str, Any]], n_trials: int, random_state: np.random.RandomState
) -> Iterator[dict[str, Any]]:
    finite = all(isinstance(v, list) for space in spaces for v in space.values())
    wanted = min(n_trials, len(ParameterGrid(spaces))) if finite else max(n_trials, MOST_DRAWS)
    return iter(ParameterSampler(spaces, wanted, random_state=random_state))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def in_search_space(
    candidate: Candidate, plan: SearchPlan, families: Mapping[str, ModelFamily]
) -> bool:
    """Whether a candidate of another run can be tried in this one: same family and parameters."""
    return candidate.family in plan.families and set(candidate.parameters) == set(
        families[candidate.family].space
    )


def expected_seconds(candidates: Sequence[Candidate], rows: int, plan: SearchPlan) -> float:
    """Estimated wall time of scoring `candidates` on `rows` rows, from the families' `cost`."""
    costs = sum(FAMILIES[c.family].cost(c.parameters) for c in candidates)
    share = min(rows, plan.rows) * (plan.folds - 1) / plan.folds / 10_000
    return costs * share * plan.folds / plan.workers


def sample(rows: int, plan: SearchPlan) -> Rows:
    """Rows that candidates are scored on, ascending: all, or `plan.rows` of them at random."""
    if rows <= plan.rows:
        return np.arange(rows)
    chosen = np.random.default_rng(plan.seed).permutation(rows)[: plan.rows]
    return np.sort(chosen)


def parts_of(rows: int, limits: Sequence[int], seed: int) -> list[Rows | None]:
    """Numbers of the rows of each of several fits, at most its limit of them, ascending; None for
    all. They overlap as little as possible."""
    order, sizes = np.random.default_rng(seed).permutation(rows), [min(rows, n) for n in limits]
    starts = np.cumsum([0, *sizes])
    takes = [np.arange(at, at + size) % rows for at, size in zip(starts, sizes, strict=False)]
    return [None if len(take) == rows else np.sort(order[take]) for take in takes]


def subset(X: Any, y: Floats, part: Rows | None) -> tuple[Any, Any]:
    """These rows of inputs (a frame or an array) and labels."""
    if part is None:
        return X, y
    return (X.iloc[part] if isinstance(X, pd.DataFrame) else X[part]), y[part]


def folds(rows: int, plan: SearchPlan) -> tuple[Fold, ...]:
    """Row numbers to train on and to score on, one pair a fold.

    Without `shuffle` these are the folds of RandomizedSearchCV(cv=plan.folds); with it those of
    KFold(plan.folds, shuffle=True, random_state=plan.seed).
    """
    random_state = plan.seed if plan.shuffle else None
    splitter = KFold(plan.folds, shuffle=plan.shuffle, random_state=random_state)
    return tuple(splitter.split(np.empty(rows)))
