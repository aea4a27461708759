"""Random search: draws, folds, and their scores in parallel, one recorded trial at a time.

The draws and scores are those of scikit-learn's RandomizedSearchCV over the union of the
families' spaces; what it has not are trials that are handed over as they end, resumption, and
one thread a worker. Not here: spaces (`candidates`), and where trials are kept (the caller).
"""

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import KFold, ParameterSampler

from housing.errors import SearchFailed
from housing.records import Draw, Trial
from housing.training.candidates import CANDIDATES, Candidate
from housing.training.plan import SearchPlan
from housing.training.workers import in_parallel

Rows = npt.NDArray[np.int64]
Fold = tuple[Rows, Rows]
OnTrial = Callable[[Trial], object]

FAMILY = "family"
"""Marks a draw's family in the sampled dict. It has one value, so choosing it takes nothing from
the random stream."""


def draws(plan: SearchPlan, candidates: Mapping[str, Candidate] = CANDIDATES) -> tuple[Draw, ...]:
    """The points that ParameterSampler gives for the families' spaces and the plan's seed.

    Parameters are plain int, float, str, bool or None. Where every space is a list of values and
    together they hold fewer than `n_iter` points, there are only as many draws.
    """
    spaces = [{FAMILY: [name], **candidates[name].space} for name in plan.families]
    sampler = ParameterSampler(spaces, plan.n_iter, random_state=plan.seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The total space of parameters", UserWarning)
        points = list(sampler)
    return tuple(
        Draw(index, str(point.pop(FAMILY)), {name: _plain(v) for name, v in point.items()})
        for index, point in enumerate(points)
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def folds(rows: int, plan: SearchPlan) -> tuple[Fold, ...]:
    """Row numbers to train on and to score on, one pair a fold.

    Without `shuffle` these are the folds of RandomizedSearchCV(cv=plan.folds); with it those of
    KFold(plan.folds, shuffle=True, random_state=plan.seed).
    """
    random_state = plan.seed if plan.shuffle else None
    splitter = KFold(plan.folds, shuffle=plan.shuffle, random_state=random_state)
    return tuple(splitter.split(np.empty(rows)))


def run_search(
    X: pd.DataFrame,
    y: npt.ArrayLike,
    plan: SearchPlan,
    *,
    done: Iterable[Trial] = (),
    on_trial: OnTrial = lambda _trial: None,
    candidates: Mapping[str, Candidate] = CANDIDATES,
) -> tuple[Trial, ...]:
    """Score every draw of the plan by cross-validation; trials in order of their draws.

    X has shape (n, features), y (n,). Draws of `done` are not computed again. `on_trial` is
    called here, in the calling process, as soon as a draw's last fold is in, not in draw order.
    A draw that fails is a trial with an error.

    Raises SearchFailed where all draws failed, ValueError where a trial of `done` belongs to
    another search. A worker that is killed from outside ends the search; trials handed over stay.
    """
    wanted = draws(plan, candidates)
    trials = {trial.draw.index: _checked(trial, wanted) for trial in done}
    missing = [draw for draw in wanted if draw.index not in trials]
    # The longest first: what is left for the end is short, so that all workers end together.
    missing.sort(key=lambda draw: -candidates[draw.family].cost(draw.parameters))
    labels = np.asarray(y, dtype=np.float64)
    splits = folds(len(X), plan)
    tasks = [
        (candidates[draw.family].build, draw, plan.seed, X, labels, split)
        for draw in missing
        for split in enumerate(splits)
    ]
    with closing(in_parallel(_score, tasks, plan.workers)) as scores:
        for trial in _trials(scores, plan.folds):
            trials[trial.draw.index] = trial
            on_trial(trial)
    ordered = tuple(trials[draw.index] for draw in wanted)
    if all(trial.error for trial in ordered):
        raise SearchFailed(draws=len(ordered), first=ordered[0].error)
    return ordered


def best(trials: Iterable[Trial]) -> Trial:
    """The trial with the lowest mean RMSE; of equals, the first drawn."""
    return min(trials, key=lambda trial: (trial.rmse, trial.draw.index))


@dataclass(frozen=True)
class _Score:
    """One draw on one fold."""

    draw: Draw
    fold: int
    rmse: float
    seconds: float
    error: str = ""


def _score(
    build: Callable[[int], Any],
    draw: Draw,
    seed: int,
    X: pd.DataFrame,
    y: npt.NDArray[np.float64],
    split: tuple[int, Fold],
) -> _Score:
    """Fit on one side of a fold, score on the other: no step ever sees the other side's labels."""
    number, (train, test) = split
    started = time.perf_counter()
    rmse, error = float("inf"), ""
    try:
        model = build(seed).set_params(**draw.parameters)
        model.fit(X.iloc[train], y[train])
        rmse = float(root_mean_squared_error(y[test], model.predict(X.iloc[test])))
    except Exception as failure:  # noqa: BLE001 - whatever a draw raises is recorded as its result
        error = f"{type(failure).__name__}: {failure}"
    return _Score(draw, number, rmse, time.perf_counter() - started, error)


def _trials(scores: Iterable[_Score], folds_each: int) -> Iterator[Trial]:
    """A trial as soon as the last of its folds is in."""
    waiting: dict[int, list[_Score]] = defaultdict(list)
    for score in scores:
        of_draw = waiting[score.draw.index]
        of_draw.append(score)
        if len(of_draw) == folds_each:
            yield _trial(sorted(waiting.pop(score.draw.index), key=lambda s: s.fold))


def _trial(scores: list[_Score]) -> Trial:
    error = next((score.error for score in scores if score.error), "")
    return Trial(
        draw=scores[0].draw,
        fold_rmse=() if error else tuple(score.rmse for score in scores),
        seconds=sum(score.seconds for score in scores),
        error=error,
    )


def _checked(trial: Trial, wanted: tuple[Draw, ...]) -> Trial:
    index = trial.draw.index
    if not 0 <= index < len(wanted) or wanted[index] != trial.draw:
        raise ValueError(f"trial {index} ({trial.draw.family}) was not drawn by this plan")
    return trial
