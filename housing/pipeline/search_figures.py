"""What a full search shows besides its trials: families and baselines compared, and curves.

All figures are measured on the rows of the search and stored with it. Not here: their table and
plots (`housing.report`).
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import cross_validate

from housing.pipeline.evidence_context import latency
from housing.records import Candidate, Member, Trial
from housing.store.models import artifacts
from housing.training.candidates import BASELINES, FAMILIES
from housing.training.curves import Curve, learning, ranges, scorer, validation
from housing.training.fit import fit_members
from housing.training.sampling import folds, sample
from housing.training.search import best
from housing.training.search_config import SearchPlan
from housing.training.workers import in_parallel, one_thread, one_thread_each

MEASURED_ROWS = 200
"""Rows by which the latency of a model is measured."""


def comparison(
    X: pd.DataFrame, y: npt.ArrayLike, trials: Sequence[Trial], plan: SearchPlan, dask: str = ""
) -> dict[str, Any]:
    """Size (bytes) and latency (ms) of each family's best candidate, fitted on the search's rows,
    and the same of each baseline with its errors by fold."""
    rows = sample(len(X), plan)
    X, labels = X.iloc[rows], np.asarray(y, dtype=np.float64)[rows]
    whole = [trial for trial in trials if trial.cv_error < float("inf")]
    chosen = [
        best([t for t in whole if t.candidate.family == family]).candidate
        for family in dict.fromkeys(trial.candidate.family for trial in whole)
    ]
    arguments = [(candidate, plan, X, labels) for candidate in chosen]
    with closing(in_parallel(_fitted, arguments, plan.workers, dask)) as fitted:
        models = dict(fitted)
    return {
        "families": {name: _costs(model, X) for name, model in models.items()},
        "baselines": {name: _baseline(name, X, labels, plan) for name in BASELINES},
    }


def _fitted(
    candidate: Candidate, plan: SearchPlan, X: pd.DataFrame, y: npt.NDArray[np.float64]
) -> tuple[str, Any]:
    members = [Member(candidate, plan.seed)]
    return candidate.family, fit_members(X, y, members, without=plan.exclude_features).model


def _costs(model: Any, X: pd.DataFrame) -> dict[str, float]:
    return {"bytes": artifacts.size_of(model), "latency": latency(model, X[:MEASURED_ROWS])}


def _baseline(
    name: str, X: pd.DataFrame, y: npt.NDArray[np.float64], plan: SearchPlan
) -> dict[str, Any]:
    """Errors by fold on validation and training rows, seconds of a fit, size and latency."""
    model = BASELINES[name].build(plan.seed)
    try:
        with one_thread_each(plan.workers):
            found = cross_validate(
                model, X, y, cv=list(folds(len(X), plan)), scoring=scorer(plan.metric),
                return_train_score=True, error_score="raise",
            )  # fmt: skip
        with one_thread():
            costs = _costs(model.fit(X, y), X)
    except Exception as failure:  # noqa: BLE001 - a baseline must not end a search
        return {"error": f"{type(failure).__name__}: {failure}"}
    return {
        "fold_errors": (-found["test_score"]).tolist(),
        "fold_train_errors": (-found["train_score"]).tolist(),
        "fit_seconds": float(found["fit_time"].mean()),
        **costs,
    }


def curves(
    X: pd.DataFrame, y: npt.ArrayLike, trials: Sequence[Trial], plan: SearchPlan, name: str = ""
) -> list[Curve]:
    """Learning and validation curve of a search's best candidate; `name` is the parameter of the
    second. A family without numeric parameters has the first alone."""
    candidate = best(trials).candidate
    first = learning(X, y, candidate, plan)
    if not (name or ranges(FAMILIES[candidate.family])):
        return [first]
    return [first, validation(X, y, candidate, plan, name)]


def as_stored(found: Sequence[Curve]) -> list[dict[str, Any]]:
    """Curves as JSON values."""
    return [asdict(curve) for curve in found]
