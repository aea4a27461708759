"""The work of a worker: compute the features of a fold, fit a candidate on them, score it.

Functions of plain arguments that run in any process.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from housing.array_types import Floats
from housing.evaluation.metrics import error_of
from housing.features.preprocess import leave_out, set_parameters
from housing.metric import RMSE
from housing.records import Candidate, Score
from housing.schema import in_range
from housing.training.families import EVERY_ROW
from housing.training.sampling import Fold, parts_of, subset
from housing.training.search_config import describe


@dataclass(frozen=True)
class Task:
    """One candidate on one fold; `key` names features that it shares with others, "" for none."""

    candidate: Candidate
    fold: int
    seed: int
    without: tuple[str, ...]
    build: Callable[[int], Pipeline]
    key: str = ""
    with_training_error: bool = False
    metric: str = RMSE
    most_rows: int = EVERY_ROW

    def pipeline(self) -> Pipeline:
        """The candidate's unfitted pipeline."""
        built = self.build(self.seed)
        leave_out(built["preprocess"], self.without)
        return set_parameters(built, self.candidate.parameters)


@dataclass(frozen=True, eq=False)
class FoldData:
    """The rows of a fold that are trained on, and those that are scored; rows or features."""

    train: Any
    test: Any
    error: str = ""  # why there are no features, or ""


@dataclass(frozen=True, eq=False)
class FoldScore:
    """A score and the predictions of the fold's rows (empty where it failed)."""

    score: Score
    predicted: Floats


def feature_key(task: Task) -> str:
    """Names the features of a task; "" where its parameters change them or are impossible."""
    if any(name.startswith("preprocess") for name in task.candidate.parameters):
        return ""
    try:
        return json.dumps(describe(task.pipeline()["preprocess"]), sort_keys=True)
    except (TypeError, ValueError):  # its score records the error
        return ""


def prepare(task: Task, X: pd.DataFrame, y: Floats, fold: Fold) -> tuple[str, int, FoldData]:
    """Features of a fold, learnt on its training rows alone."""
    train, test = fold
    try:
        preprocess = task.pipeline()[:-1]
        learnt = preprocess.fit_transform(X.iloc[train], y[train])
        sides = FoldData(learnt, preprocess.transform(X.iloc[test]))
    except Exception as failure:  # noqa: BLE001 - it is recorded as the result of each candidate
        sides = FoldData(None, None, f"{type(failure).__name__}: {failure}")
    return task.key, task.fold, sides


def score(task: Task, sides: FoldData, y_train: Floats, y_test: Floats) -> FoldScore:
    """Fit on one side of a fold, on at most `most_rows` of its rows, and score on the other: no
    step ever sees the other side's labels."""
    began = time.perf_counter()
    value, error, predicted = float("inf"), sides.error, np.empty(0)
    on_training_rows: float | None = None
    try:
        if not error:
            model: Any = task.pipeline()
            model = model[-1] if task.key else model
            part = parts_of(len(y_train), [task.most_rows], task.seed)[0]
            train, y_train = subset(sides.train, y_train, part)
            model.fit(train, y_train)
            predicted = np.asarray(model.predict(sides.test), dtype=np.float64)
            value = error_of(y_test, in_range(predicted), task.metric)
            if task.with_training_error:
                on_training = in_range(model.predict(train))
                on_training_rows = error_of(y_train, on_training, task.metric)
    except Exception as failure:  # noqa: BLE001 - recorded as the result of the candidate
        error = f"{type(failure).__name__}: {failure}"
    seconds = time.perf_counter() - began
    found = Score(task.candidate.index, task.fold, value, seconds, error, on_training_rows)
    return FoldScore(found, predicted)
