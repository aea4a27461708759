"""A run with default settings on two more tables, beside gradient boosting that others would tune.

`python -m benchmarks tables`: on each table of tests/problems one run with default settings, then a
random search of histogram gradient boosting (also of the target's logarithm where it is above zero)
on the same split, in the same processor time but of at least 10 draws, with one thread for both.
Each side chooses by cross-validation alone; the test rows are used once. Both sides get at most
20,000 rows, and the predictions of both are held in the target's range.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from benchmarks.homes import environment, new_version
from tests.problems.tables import ROWS, TABLES

LEVEL = 1.01
"""Ratio of the errors up to which the two are called level."""

LEAST_DRAWS = 10
"""Of the peer, also where they take longer than our search: fewer would be no tuning."""

SEED = 7


def _default_run() -> tuple[Any, Any, Any, Any, float]:
    """Training and test side, our model, and processor seconds of its search and fit."""
    from housing.pipeline import train
    from housing.pipeline.run_context import NightlyParameters, start_run
    from housing.settings import load_settings
    from housing.store.data import datasets as versions
    from housing.store.database.open import open_store
    from housing.store.models import artifacts, registry

    settings = load_settings()
    with start_run("nightly", NightlyParameters()) as run, open_store(settings) as store:
        version = new_version(store, settings, run)
        began = _processor()
        model = train.fit(store, run, train.search(store, run, version, settings), settings)
        seconds = _processor() - began
        frame = versions.read(store, version)
        with store.read() as connection:
            artifact = registry.model(connection, model).artifact
        fitted = artifacts.get_model(store, artifact)
    return *train.training_side(frame), versions.test_rows(frame), fitted, seconds


def _processor() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _boosting(rng: np.random.Generator, positive: bool) -> Any:
    """One draw from a space that a person who knows the model would search."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=int(rng.integers(100, 301)),
        learning_rate=float(np.exp(rng.uniform(np.log(0.03), np.log(0.3)))),
        max_leaf_nodes=int(rng.integers(10, 64)),
        min_samples_leaf=int(rng.integers(5, 61)),
        l2_regularization=float(np.exp(rng.uniform(np.log(0.01), np.log(30)))),
        max_features=float(rng.uniform(0.3, 1.0)),
        categorical_features="from_dtype", early_stopping=False, random_state=SEED,
    )  # fmt: skip
    if positive and rng.random() < 0.5:
        return TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp)
    return model


def _tuned(X: Any, y: Any, seconds: float, positive: bool) -> tuple[Any, Any]:
    """The best draw of a search with three folds, fitted on all rows, and the search's effort."""
    from sklearn.base import clone
    from sklearn.model_selection import KFold, cross_val_score

    rng, found = np.random.default_rng(SEED), []
    folds = KFold(3, shuffle=True, random_state=SEED)
    began, longest = time.process_time(), 0.0
    while time.process_time() - began + longest < seconds or len(found) < LEAST_DRAWS:
        clock = time.process_time()
        model = _boosting(rng, positive)
        scores = cross_val_score(model, X, y, cv=folds, scoring="neg_root_mean_squared_error")
        found.append((-scores.mean(), len(found), model))
        longest = max(longest, time.process_time() - clock)
    best = clone(min(found)[2]).fit(X, y)
    return best, {"draws": len(found), "their_seconds": time.process_time() - began}


def measure() -> dict[str, Any]:
    """Both errors on the table of the problem in force, whose home is prepared."""
    from housing import schema
    from housing.training.workers import one_thread

    with one_thread():
        X, y, test, ours, seconds = _default_run()
        X = X.astype(schema.dtypes(schema.FEATURES))
        peer, effort = _tuned(X, y, seconds, schema.TABLE.positive)
        given, labels = test[list(schema.FEATURES)].astype(X.dtypes), test[schema.TARGET]
        predicted = (schema.in_range(model.predict(given)) for model in (ours, peer))
        squared = [np.square(values - labels.to_numpy()) for values in predicted]
    mean = [float(each.mean()) for each in squared]
    relative = squared[0] / mean[0] - squared[1] / mean[1]
    ratio = float(np.sqrt(mean[0] / mean[1]))
    return {
        "unit": schema.UNIT, "ours": mean[0] ** 0.5, "theirs": mean[1] ** 0.5, **effort,
        "standard_error": ratio / 2 * float(relative.std(ddof=1)) / len(relative) ** 0.5,
        "seconds": seconds, "train_rows": len(y), "test_rows": len(test),
    }  # fmt: skip


def _in_own_process(rows: int, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "landing").mkdir()
        TABLES[name]().head(rows).to_csv(home / "landing" / f"{name}.csv", index=False)
        settings = environment(
            home, PROBLEM=f"tests.problems.{name}", SOURCES__SETTLE_SECONDS="0",
            SEARCH__N_JOBS="1",
        )  # fmt: skip
        command = [sys.executable, "-m", "benchmarks", "tables", "--measure"]
        done = subprocess.run(command, env=settings, stdout=subprocess.PIPE, check=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def main() -> None:
    """Measure each table in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--measure", action="store_true", help="the problem in force, as JSON")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure()))
        return
    with ThreadPoolExecutor() as pool:
        found = dict(
            zip(TABLES, pool.map(partial(_in_own_process, options.rows), TABLES), strict=True)
        )
    rows = [
        results.Row(
            f"{name}: test RMSE", f["ours"], f["theirs"], f["unit"],
            f["ours"] <= LEVEL * f["theirs"], f"{LEVEL:g} x",
        )
        for name, f in found.items()
    ]  # fmt: skip
    results.show("tables", rows, "beside tuned gradient boosting, on the same split", tables=found)
