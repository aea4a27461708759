"""Search, and the challenger that comes of it: both found again rather than done again."""

import hashlib
import time
from collections.abc import Sequence

import pandas as pd

from housing import progress, schema
from housing.errors import NothingToTrainOn
from housing.keys import Keys
from housing.records import DatasetProfile, Trial
from housing.settings import Settings
from housing.steps.night import Night
from housing.store import artifacts, datasets, profiles, registry, searches
from housing.store.datasets import SIDE_COLUMN
from housing.store.engine import Store
from housing.store.segments import KEY_COLUMN
from housing.training.fit import fit, golden_rows, importances, library_versions
from housing.training.plan import SearchPlan
from housing.training.plan import search_key as plan_key
from housing.training.search import best, draws, run_search

GOLDEN_ROWS = 50
"""Rows whose predictions are kept with a model, to tell later whether it still gives them."""


def search_key(profile: DatasetProfile, plan: SearchPlan) -> str:
    """What makes two searches the same: the rows, their sides and the plan."""
    sides = f"{profile.train_rows}:{profile.test_rows}"
    return hashlib.sha256(f"{profile.digest}:{sides}:{plan_key(plan)}".encode()).hexdigest()


def plan_of(settings: Settings, version: int) -> SearchPlan:
    """The plan of a version's search: each version draws other points than the one before."""
    plan = settings.search
    return plan.model_copy(update={"seed": (plan.seed + version) % 2**31})


def keys_digest(keys: Keys) -> str:
    """Digest of a set of district keys."""
    ordered = keys.copy()
    ordered.sort()
    return hashlib.sha256(ordered.astype("<i8").tobytes()).hexdigest()


def training_side(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Features and target of the districts on the training side."""
    side = frame[~frame[SIDE_COLUMN]].reset_index(drop=True)
    return side[list(schema.FEATURES)], side[schema.TARGET]


def tune(store: Store, night: Night, version: int, settings: Settings) -> int:
    """Run the search of this version and plan, or what is left of it; returns its id."""
    frame = datasets.read(store, version)
    profile = profiles.confirm(store, version, frame)
    plan = plan_of(settings, version)
    X, y = training_side(frame)
    if len(y) < plan.folds:
        raise NothingToTrainOn(
            why=f"dataset v{version} has {len(y)} training rows for {plan.folds} folds",
            next_step="`housing ingest FILE` brings rows in.",
        )
    search = searches.begin(
        store,
        key=search_key(profile, plan),
        version=version,
        plan=plan.model_dump(mode="json"),
        run=night.run,
    )
    _run(store, search, plan, X, y)
    searches.finish(store, search)
    return search


def _run(store: Store, search: int, plan: SearchPlan, X: pd.DataFrame, y: pd.Series) -> None:
    with store.read() as connection:
        done = list(searches.trials_of(connection, search))
    total = len(draws(plan))
    progress.report("tune", len(done), total, _so_far(done))

    def keep(trial: Trial) -> None:
        searches.record(store, search, trial)
        done.append(trial)
        progress.report("tune", len(done), total, _so_far(done))

    run_search(X, y, plan, done=tuple(done), on_trial=keep)


def _so_far(trials: Sequence[Trial]) -> str:
    good = [t for t in trials if not t.error]
    return f"best error so far {min(t.rmse for t in good):,.0f} US dollars" if good else ""


def fit_challenger(store: Store, night: Night, search: int, settings: Settings) -> int:
    """Fit the search's best draw on the whole training side and register it; returns its id."""
    with store.read() as connection:
        row = searches.get(connection, search)
        known = registry.model_of_search(connection, search, settings.search.bag)
        if known is not None:
            return int(known.id)
        trials = searches.trials_of(connection, search)
    plan, winner = plan_of(settings, row.version), best(tuple(trials))
    frame = datasets.read(store, row.version)
    X, y = training_side(frame)
    began = time.perf_counter()
    model = fit(X, y, winner.draw, seed=plan.seed, bag=plan.bag, workers=plan.workers)
    fit_seconds = time.perf_counter() - began
    rows = golden_rows(X, GOLDEN_ROWS, plan.seed)
    train_keys = frame.loc[~frame[SIDE_COLUMN], KEY_COLUMN].to_numpy()
    artifact = artifacts.put_model(store, model)
    golden = artifacts.put_golden(store, rows, model.predict(rows))
    facts = {
        "search": search,
        "bag": plan.bag,
        "version": row.version,
        "draw": winner.draw.index,
        "family": winner.draw.family,
        "parameters": dict(winner.draw.parameters),
        "seed": plan.seed,
        "cv_rmse": winner.rmse,
        "train_rows": len(y),
        "train_keys": keys_digest(train_keys),
        "importances": importances(model, X, y, seed=plan.seed),
        "libraries": library_versions(),
        "fit_seconds": fit_seconds,
        "run": night.run,
    }
    return registry.register(store, facts, artifact, golden)
