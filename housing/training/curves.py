"""Learning and validation curve of a candidate, by scikit-learn, with what each shows.

The rows, folds and seed are those of a search.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rv_discrete
from sklearn.metrics import make_scorer
from sklearn.model_selection import learning_curve, validation_curve

from housing.array_types import Floats
from housing.errors import NotPossible
from housing.evaluation.metrics import error_of
from housing.formatting import count, error_text, parameter, percent
from housing.metric import RMSE
from housing.records import Candidate
from housing.schema import WORDING
from housing.training.candidates import FAMILIES, pipeline
from housing.training.families import ModelFamily
from housing.training.sampling import folds, sample
from housing.training.search_config import SearchPlan
from housing.training.workers import one_thread_each

SIZES = (0.1, 0.3, 0.6, 1.0)
"""Shares of a fold's training rows."""

POINTS = 4
"""Values of a parameter, over the middle 96 % of its distribution."""

HELPS = 0.005
"""Fall of the error from the last but one size to all rows from which on more rows help."""

OVERFITS, UNDERFITS = 0.25, 0.05
"""How much lower the error on the rows of the fit is: from here on, and up to here."""


def scorer(metric: str) -> Any:
    """The negative error by a metric, as scikit-learn's model selection takes it."""
    return make_scorer(error_of, greater_is_better=False, metric=metric)


@dataclass(frozen=True)
class Curve:
    """Errors at some values, one a fold each; `parameter` is "" where these are rows."""

    parameter: str
    values: tuple[float, ...]
    train: tuple[tuple[float, ...], ...]  # on the rows of the fit
    validation: tuple[tuple[float, ...], ...]
    message: str = ""
    metric: str = RMSE

    @property
    def label(self) -> str:
        """What the values are."""
        return self.parameter.rpartition("__")[2].replace("_", " ") or f"training {WORDING.rows}"


def learning(X: pd.DataFrame, y: npt.ArrayLike, candidate: Candidate, plan: SearchPlan) -> Curve:
    """Error against the number of training rows; X has shape (n, features), y (n,)."""
    X, labels, options = _of_the_search(X, y, candidate, plan)
    model = pipeline(candidate, plan.seed, without=plan.exclude_features)
    with one_thread_each(plan.workers):
        found = learning_curve(
            model, X, labels, train_sizes=SIZES, shuffle=True, random_state=plan.seed, **options
        )
    sizes, train, validation = tuple(map(float, found[0])), _errors(found[1]), _errors(found[2])
    gains = [1 - last / before for before, last in zip(*validation[-2:], strict=True)]
    helps = fmean(gains) > HELPS and min(gains) > 0
    message = (
        f"From {count(int(sizes[-2]))} to {count(int(sizes[-1]))} {WORDING.rows} the error falls "
        f"by {percent(fmean(gains))} ({percent(min(gains))} to {percent(max(gains))} over the "
        f"folds), so more {WORDING.rows} would {'help' if helps else 'hardly help'}; on the "
        f"{WORDING.rows} of the fit it is {_gap(fmean(train[-1]), fmean(validation[-1]))}."
    )
    return Curve("", sizes, train, validation, message, plan.metric)


def validation(
    X: pd.DataFrame, y: npt.ArrayLike, candidate: Candidate, plan: SearchPlan, name: str = ""
) -> Curve:
    """Error against one number among a family's parameters, the first if none is named.

    NotPossible where the family's space has no such parameter, or no numbers.
    """
    known = ranges(FAMILIES[candidate.family])
    name = name or next(iter(known), "")
    if name not in known:
        there = ", ".join(known) or "none: its parameters are not numbers"
        raise NotPossible(
            what=f"A validation curve of {name or candidate.family}",
            why=f"parameters of {candidate.family} that have one: {there}.",
        )
    X, labels, options = _of_the_search(X, y, candidate, plan)
    model = pipeline(candidate, plan.seed, without=plan.exclude_features)
    with one_thread_each(plan.workers):
        found = validation_curve(
            model, X, labels, param_name=name, param_range=known[name], **options
        )
    values, errors = tuple(map(float, known[name])), (_errors(found[0]), _errors(found[1]))
    curve = Curve(name, values, *errors, metric=plan.metric)
    return replace(curve, message=_lowest(curve))


def ranges(family: ModelFamily) -> Mapping[str, list[Any]]:
    """Values, ascending, of each parameter of a family's space that is a number."""
    found: dict[str, list[Any]] = {}
    for name, values in family.space.items():
        if hasattr(values, "ppf"):
            points = values.ppf(np.linspace(0.02, 0.98, POINTS))
            whole = isinstance(values.dist, rv_discrete)
            found[name] = np.unique(points.astype(int) if whole else points).tolist()
        elif all(type(value) in (int, float) for value in values) and len(values) > 1:
            found[name] = sorted(values)
    return found


def _of_the_search(
    X: pd.DataFrame, y: npt.ArrayLike, candidate: Candidate, plan: SearchPlan
) -> tuple[pd.DataFrame, Any, dict[str, Any]]:
    """Rows and folds of a search, of no more rows than its family is fitted on by fold."""
    most = FAMILIES[candidate.family].most_rows * plan.folds // (plan.folds - 1)
    rows = sample(len(X), plan.model_copy(update={"rows": min(plan.rows, most)}))
    options = {
        "cv": list(folds(len(rows), plan)), "scoring": scorer(plan.metric), "error_score": "raise",
    }  # fmt: skip
    return X.iloc[rows], np.asarray(y, dtype=np.float64)[rows], options


def _errors(scores: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in (-scores).tolist())


def _gap(train: float, validation: float) -> str:
    gap = 1 - train / validation
    over, under = gap >= OVERFITS, gap <= UNDERFITS
    kind = "overfitting" if over else "underfitting" if under else "neither over- nor underfitting"
    return f"{percent(gap)} lower: {kind}"


def _lowest(curve: Curve) -> str:
    means = [fmean(errors) for errors in curve.validation]
    at = int(np.argmin(means))
    where = f"The error is lowest, {error_text(means[at], curve.metric)}, at {curve.label} "
    where += f"{parameter(curve.values[at])}"
    if at in (0, len(means) - 1):
        end = "lowest" if at == 0 else "highest"
        return f"{where}, the {end} value tried: a wider range may have a lower one."
    train = [fmean(errors) for errors in curve.train]
    over = "higher" if train[-1] < train[0] else "lower"
    under = "lower" if over == "higher" else "higher"
    return f"{where}: {under} values underfit and {over} ones overfit."
