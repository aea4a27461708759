"""Hyper-parameter search and challenger fit; both resume from stored results."""

import hashlib
import logging
import time
from collections.abc import Collection
from dataclasses import asdict
from functools import partial
from math import inf
from typing import Any

import pandas as pd
from sqlalchemy.engine import Row

from housing import progress, schema
from housing.errors import Corrupt, HousingError, NothingToTrainOn
from housing.formatting import duration, error_amount
from housing.keys import KEY_COLUMN, Keys
from housing.pipeline import search_figures
from housing.pipeline.run_context import RunContext
from housing.records import Candidate, Member, Score, Trial
from housing.settings import Settings
from housing.store.data import datasets, profiles
from housing.store.data.segments import put_frame
from housing.store.database.engine import Store
from housing.store.models import artifacts, registry, searches
from housing.store.runs.predictions import PREDICTED
from housing.training.candidates import FAMILIES, unfitted
from housing.training.fit import (
    ensemble_members,
    fit_members,
    golden_rows,
    library_versions,
)
from housing.training.importance import importances
from housing.training.preprocessing_plan import output_columns
from housing.training.sampling import expected_seconds, in_search_space, sample_candidates
from housing.training.search import SearchResult, best, run_search
from housing.training.search_config import SearchPlan
from housing.training.search_config import search_key as plan_key
from housing.training.workers import one_thread

log = logging.getLogger("housing")

TOY_ROWS = 200
"""Training rows on which a family is tried before its search."""

GOLDEN_ROWS = 50
"""Rows whose predictions are stored with a model, to verify it when it is loaded."""


def search_key(content: str, plan: SearchPlan) -> str:
    """Digest of what identifies a search: rows, sides and plan."""
    return hashlib.sha256(f"{content}:{plan_key(plan)}".encode()).hexdigest()


def plan_of(settings: Settings, content: str) -> SearchPlan:
    """The plan of a search, with a seed derived from the content of the rows.

    A version with the rows of an earlier one has the same search and gets no second chance.
    """
    plan = settings.search
    return plan.model_copy(update={"seed": (plan.seed + int(content[:8], 16)) % 2**31})


def keys_digest(keys: Keys) -> str:
    """Digest of a set of keys."""
    ordered = keys.copy()
    ordered.sort()
    return hashlib.sha256(ordered.astype("<i8").tobytes()).hexdigest()


def verified_training_keys(model: Row[Any], frame: pd.DataFrame) -> Keys:
    """Keys of the rows that a model was fitted on, from the rows of its dataset version.

    Raises Corrupt where they are not the recorded ones.
    """
    keys = datasets.training_keys(frame)
    if keys_digest(keys) != model.train_keys:
        raise Corrupt(
            what=f"the split of dataset v{model.version}",
            why=f"the training {schema.WORDING.rows} of m{model.id} are not those recorded with it",
        )
    return keys


def training_side(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Features and target of the training side."""
    side = datasets.training_rows(frame)
    return side[list(schema.FEATURES)], side[schema.TARGET]


def preprocess(
    store: Store, run: RunContext, version: int, settings: Settings
) -> list[dict[str, Any]]:
    """Begin the search of this version and plan, with the columns that its families compute.

    NotPossible where one is refused (`output_columns`). What a search has recorded is returned.
    """
    content = profiles.measured(store, version).content
    known = store.query(searches.find, search_key(content, plan_of(settings, content)))
    if known is not None and known.preprocessing is not None:
        return list(known.preprocessing)
    search, plan, frame = _begun(store, run, version, settings)
    found = [asdict(column) for column in output_columns(*training_side(frame), plan)]
    searches.note(store, search, preprocessing=found)
    return found


def _begun(
    store: Store, run: RunContext, version: int, settings: Settings
) -> tuple[int, SearchPlan, pd.DataFrame]:
    """The search of this version and plan, begun if there is none, and the version's rows."""
    frame = datasets.read(store, version)
    profile = profiles.record_or_verify(store, version, frame)
    plan = plan_of(settings, profile.content)
    if (rows := len(datasets.training_rows(frame))) < plan.folds:
        raise NothingToTrainOn(
            why=f"dataset v{version} has {rows} training rows for {plan.folds} folds",
            next_step="`housing ingest FILE` brings rows in.",
        )
    search = searches.begin(
        store,
        key=search_key(profile.content, plan),
        version=version,
        plan=plan.model_dump(mode="json"),
        run=run.id,
        warm_starts=_warm_starts(store, version, plan),
    )
    return search, plan, frame


def search(store: Store, run: RunContext, version: int, settings: Settings) -> int:
    """Run or resume the search of this version and plan; returns its id."""
    search, plan, frame = _begun(store, run, version, settings)
    X, y = training_side(frame)
    if store.query(searches.get, search).finished_at is not None:
        return search
    check_families(plan, X, y)
    found = _run(store, search, plan, X, y, settings.dask_address or "")
    if plan.compares_families:
        _note_figures(store, search, plan, (X, y, found.trials), settings.dask_address or "")
    keys = datasets.training_rows(frame)[KEY_COLUMN].to_numpy()[found.rows]
    choice = found.choice
    out_of_fold = pd.DataFrame(
        {KEY_COLUMN: keys, PREDICTED: choice.predicted, searches.NESTED: choice.nested}
    )
    facts = {
        "models": [[candidate, count] for candidate, count in choice.models.items()],
        "cv_error": choice.cv_error,
    }
    searches.finish(store, search, facts, put_frame(store, out_of_fold))
    return search


def _note_figures(
    store: Store, search: int, plan: SearchPlan, measured: tuple[Any, Any, Any], dask: str
) -> None:
    """Store comparison and curves of a search of several families; a failure is only logged."""
    X, y, trials = measured
    try:
        compared = search_figures.comparison(X, y, trials, plan, dask)
        drawn = search_figures.as_stored(search_figures.curves(X, y, trials, plan))
    except HousingError:
        raise
    except Exception as error:  # noqa: BLE001 - of any library that a family needs
        log.warning("The search has no comparison of families and no curves: %s", error)
        return
    searches.note(store, search, comparison=compared, curves=drawn)


def check_families(plan: SearchPlan, X: pd.DataFrame, y: pd.Series) -> None:
    """Fail before hours of search: NotPossible where a family's model cannot be stored and loaded.

    Each family is fitted on a few rows. The log names a family without an ONNX form; the search
    reports one that cannot be fitted.
    """
    rows, labels = X.iloc[:TOY_ROWS], y.iloc[:TOY_ROWS]
    for family in dict.fromkeys(plan.families):
        model = unfitted(family, plan.seed, FAMILIES, plan.exclude_features)
        try:
            with one_thread():
                model.fit(rows, labels)
        except Exception:  # noqa: BLE001, S112 - the search records what each of its candidates raises
            continue
        artifacts.check_storable(model, rows.iloc[:GOLDEN_ROWS], f"a model of the family {family}")
        if why := why_no_onnx(model):
            log.warning("A model of the family %s can not be exported to ONNX: %s", family, why)


def why_no_onnx(model: Any) -> str:
    """The part of a fitted model that has no ONNX form; "" if all parts have one."""
    from housing.inference.onnx.convert import to_onnx  # slow to import, and only a search needs it
    from housing.inference.onnx.graph import NoOnnxForm

    try:
        to_onnx(model)
    except NoOnnxForm as refused:
        return str(refused)
    return ""


def _warm_starts(store: Store, version: int, plan: SearchPlan) -> list[Candidate]:
    """The best candidates of earlier searches that lie in this plan's search space; each once."""
    if plan.strategy == "grid":
        return []
    others = store.query(searches.best_of_others, version, plan.warm_starts)
    found: list[Candidate] = []
    for each in others:
        same = any((each.family, each.parameters) == (e.family, e.parameters) for e in found)
        if not same and in_search_space(each, plan, FAMILIES):
            found.append(each)
    return found


def _run(
    store: Store, search: int, plan: SearchPlan, X: pd.DataFrame, y: pd.Series, dask: str
) -> SearchResult:
    with store.read() as connection:
        warm_starts = searches.warm_starts_of(searches.get(connection, search))
        scored = list(searches.scores_of(connection, search))
        ended = {trial.candidate.index: trial for trial in searches.trials_of(connection, search)}
    done = tuple(scored)
    tried = sample_candidates(plan, FAMILIES, warm_starts)
    total = plan.folds * len(tried)  # at most: candidates that are stopped save theirs
    about = duration(expected_seconds(tried, len(X), plan))
    log.info("search: %d candidates, at most %d fits, about %s", len(tried), total, about)

    def report() -> None:
        lowest, message = min((t.cv_error for t in ended.values()), default=inf), ""
        if lowest < inf:
            message = f"best error so far {error_amount(lowest, plan.metric)}"
        progress.report("search", len(scored), total, message)

    def keep_score(score: Score) -> None:
        searches.record_score(store, search, score)
        scored.append(score)
        report()

    def keep_trial(trial: Trial) -> None:
        if trial.candidate.index not in ended:
            searches.record(store, search, trial)
            ended[trial.candidate.index] = trial
            report()

    report()
    return run_search(
        X,
        y,
        plan,
        warm_starts=warm_starts,
        done=done,
        on_score=keep_score,
        on_trial=keep_trial,
        dask=dask,
    )


def fit(store: Store, run: RunContext, search: int, settings: Settings) -> int:
    """Fit the search's choice on the whole training side and register it; returns the model's id.

    A model that was fitted before is returned; one whose bytes were pruned is fitted again.
    """
    with store.read() as connection:
        row = searches.get(connection, search)
        plan = SearchPlan.model_validate({**row.plan, "n_jobs": settings.search.n_jobs})
        known = registry.model_of_search(connection, search, plan.ensemble_size)
        if known is not None and registry.pruned_at(connection, known) is None:
            return int(known.id)
        trials = searches.trials_of(connection, search)
    winner = best(tuple(trials))
    members = ensemble_members(
        dict(row.models), {t.candidate.index: t.candidate for t in trials}, plan.seed
    )
    frame = datasets.read(store, row.version)
    X, y = training_side(frame)
    train_keys = datasets.training_keys(frame)
    del frame  # memory for the fit, with millions of rows
    began = time.perf_counter()
    fitted = fit_members(
        X, y, members,
        workers=plan.workers, without=plan.exclude_features, rows=plan.member_rows,
        dask=settings.dask_address or "", also=partial(importances, winner.candidate, plan),
    )  # fmt: skip
    fit_seconds = time.perf_counter() - began
    rows = golden_rows(X, GOLDEN_ROWS, plan.seed)
    artifact = artifacts.put_model(store, fitted.model)
    with one_thread():  # for a few rows, waking others takes longer than they save
        golden = artifacts.put_golden(store, rows, fitted.model.predict(rows))
    if known is not None:
        return registry.restore_artifact(store, known, artifact, golden)
    facts = {
        "search": search,
        "ensemble_size": plan.ensemble_size,
        "version": row.version,
        "candidate": winner.candidate.index,
        "family": winner.candidate.family,
        "parameters": dict(winner.candidate.parameters),
        "members": [asdict(member) for member in members],
        "seed": plan.seed,
        "cv_error": row.cv_error,
        "out_of_fold": row.out_of_fold,
        "train_rows": len(y),
        "train_keys": keys_digest(train_keys),
        "importances": fitted.also.columns,
        "groups": fitted.also.groups,
        "unseen": asdict(fitted.also.unseen) if fitted.also.unseen else {},
        "libraries": library_versions(fitted.model),
        "fit_seconds": fit_seconds,
        "run": run.id,
    }
    return registry.register(store, facts, artifact, golden)


def refit(
    store: Store,
    model: Row[Any],
    X: pd.DataFrame,
    y: pd.Series,
    settings: Settings,
    without: Collection[str] = (),
) -> Any:
    """A registered model fitted again on the same rows: same members, same excluded features, and
    `without` some more groups of them."""
    plan = store.query(searches.get, model.search).plan
    members = [Member(Candidate(**each["candidate"]), each["seed"]) for each in model.members]
    return fit_members(
        X, y, members,
        workers=settings.search.workers, without={*plan["exclude_features"], *without},
        rows=plan["member_rows"], dask=settings.dask_address or "",
    ).model  # fmt: skip
