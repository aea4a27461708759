"""Score champion and challenger on the same test set, and record the gate's verdict.

No figure comes from an earlier run: both models are loaded, verified by their digests, and predict
again. The leak check comes first; where it fails, nothing is judged.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Row

from housing import schema
from housing.array_types import Floats, Mask
from housing.errors import FileUnreadable, LeakFound, NotUsableHere
from housing.evaluation.spatial_se import Values, row_cells
from housing.gate import decision_rule
from housing.gate.check import CHECKS, judge, with_default_thresholds
from housing.gate.evidence import Evidence
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, TestRows, measure_evidence
from housing.gate.model_checks import BeatsBaseline
from housing.inference.columns import columns_of_frame
from housing.inference.fast_predictor import CHECKED_ROWS, checked_predictor, mean_of
from housing.keys import KEY_COLUMN, among
from housing.pipeline import evidence_context, label_file, training_evidence
from housing.pipeline.run_context import RunContext
from housing.pipeline.subprocess_check import PREFLIGHT_SECONDS, preflight
from housing.pipeline.train import training_side, verified_training_keys
from housing.records import Json, Verdict
from housing.schema import CHALLENGER, CHAMPION
from housing.settings import Settings
from housing.store.data import datasets, near_duplicate_lookup, profiles
from housing.store.data.segments import put_frame
from housing.store.database.engine import Store
from housing.store.models import (
    approvals,
    artifacts,
    blocks,
    onnx_copies,
    promotion_log,
    registry,
    retention,
)
from housing.store.runs import runs
from housing.training.fingerprints import fingerprints
from housing.training.fit import predict_baselines


@dataclass(frozen=True)
class JudgedEvaluation:
    """An evaluation in SQL, with the gate's verdict."""

    evaluation: int
    challenger: int
    champion: int | None  # against which it was judged
    outcome: str
    message: str
    block_reason: str = ""  # why it may not be promoted; "" if it may

    @property
    def promotes(self) -> bool:
        """Whether the challenger becomes champion."""
        return self.outcome == "promote" and not self.block_reason


def evaluation_key(challenger: int, champion: int | None, content: str, settings: Settings) -> str:
    """Digest of what a verdict depends on: rows, sides, both models, and the gate's settings."""
    policy = with_default_thresholds(settings.gate).model_dump_json()
    judging = f"{policy}:{settings.search.seed}"  # baselines have the seed
    with suppress(FileUnreadable):  # then a check cannot run, and the verdict does not stand
        judging += label_file.estimates_digest(settings)
    return hashlib.sha256(f"{challenger}:{champion}:{content}:{judging}".encode()).hexdigest()


def valid_evaluation(
    connection: Connection, challenger: int, champion: int | None, content: str, settings: Settings
) -> Row[Any] | None:
    """The newest evaluation of these inputs, or None where they must be judged (again).

    One in which a check could not run does not count, nor one whose approved promotion was rolled
    back. For the champion it is the evaluation that promoted it.
    """
    if champion == challenger:
        made = registry.promoting_evaluation(connection, challenger)
        return made or registry.newest_evaluation(connection, challenger)
    key = evaluation_key(challenger, champion, content, settings)
    row = registry.evaluation_with_key(connection, key)
    if row is None:
        return None
    checks = row.verdict.get("checks", ())
    if row.outcome == "inconclusive" and any(check["outcome"] == "error" for check in checks):
        return None
    request = approvals.of_key(connection, key)
    approved = request is not None and request.status == "approved"
    if approved and challenger in promotion_log.former_champions(connection):
        return None
    return row


def evaluate(
    store: Store, run: RunContext, version: int, challenger: int, settings: Settings
) -> JudgedEvaluation:
    """Measure, judge and record, also in the run row; the same inputs are judged once."""
    judged = judge_against(store, run.id, version, challenger, settings)
    runs.note(store, run.id, evaluation=judged.evaluation)
    return judged


def judge_against(
    store: Store,
    run: int,
    version: int,
    challenger: int,
    settings: Settings,
    *,
    again: bool = False,
) -> JudgedEvaluation:
    """The verdict on a challenger against the current champion, on the test side of a version.

    An existing verdict is returned, unless `again`.
    """
    content = profiles.measured(store, version).content
    with store.read() as connection:
        champion = promotion_log.champion(connection)
        known = valid_evaluation(connection, challenger, champion, content, settings)
        block_reason = blocks.block_reason(connection, challenger)
        manual = runs.get(connection, run).kind in runs.MANUAL
        earlier = registry.earlier_verdicts(connection, version, challenger, manual=manual)
    if known is None or again:
        pair = challenger, champion
        policy = with_default_thresholds(settings.gate)
        evidence, predictions = collect_evidence(store, version, pair, earlier, settings)
        facts = {
            "key": evaluation_key(challenger, champion, content, settings),
            "policy": policy.model_dump(mode="json"),
            "run": run,
        }
        known = _record(store, facts, evidence, judge(evidence, policy), predictions)
    return from_row(known, block_reason)


def collect_evidence(
    store: Store,
    version: int,
    pair: tuple[int, int | None],
    earlier: sa.ColumnElement[bool],
    settings: Settings,
) -> tuple[Evidence, pd.DataFrame]:
    """The evidence, and the predictions of challenger and champion for the test rows.

    `earlier` are the evaluations before this one (see `registry.earlier_verdicts`).
    """
    challenger, champion = pair
    with store.read() as connection:
        ours = registry.model(connection, challenger)
        theirs = None if champion is None else registry.model(connection, champion)
        former = _former(connection, champion, challenger, settings.gate.cumulative_champions)
        entered = evidence_context.entered_batches(connection, version, theirs)
        decisions = evidence_context.n_decisions(connection, version, challenger)
        standing = training_evidence.standing(connection, champion, earlier, settings.gate.metric)
    with preflight(store, settings, ours) as process:
        frame = datasets.read(store, version)
        profiles.record_or_verify(store, version, frame)
        test = datasets.test_rows(frame)

        fresh = None
        if theirs is not None:
            fresh = evidence_context.unused_test_rows(store, version, test, earlier)

        def score(row: Row[Any], own: pd.DataFrame | None = None) -> tuple[Any, ModelPredictions]:
            return _score(store, row, test, version, settings.search.workers, own)

        trained = {version: frame}  # the rows of each version are read once
        for row in (ours, theirs):
            if row is not None and row.version not in trained:
                trained[row.version] = datasets.read(store, row.version)
        scored = [score(row, trained[row.version]) for row in (ours, theirs) if row]
        (_, new), old = scored[0], scored[1][1] if theirs else None
        training = None
        if theirs is not None:
            training = training_evidence.out_of_fold_comparison(
                store, datasets.training_rows(frame), (ours, theirs), scored[1][0], settings.gate
            )
        baselines = predict_baselines(*training_side(frame), test, seed=settings.search.seed)
        formers = [score(row)[1] for row in former]
        existing, failed = _estimates(settings, test)
        competitors = Competitors(old, baselines.values, formers, baselines.failed, existing)
        read_rows, rejected_rows = evidence_context.rejected_share(entered)
        facts = RunFacts(
            read_rows=read_rows,
            rejected_rows=rejected_rows,
            decisions=decisions,
            drift=()
            if theirs is None
            else evidence_context.drift(store, theirs, trained[theirs.version], frame, entered),
            costs=evidence_context.costs(
                store, ours, [model for model, _ in scored], test[list(schema.FEATURES)]
            ),
            preflight=None if process is None else process.result(PREFLIGHT_SECONDS),
            judged_before=_judged_before(store, version, earlier, fresh),
            champion_is_newer=champion is not None and challenger < champion,
            training=training,
            standing=standing,
            failed=failed,
        )
    rows = _test_rows(test, version, fresh)
    evidence = measure_evidence(rows, new, competitors, settings.gate, facts, CHECKS)
    columns = {CHALLENGER: new.values} | ({} if old is None else {CHAMPION: old.values})
    return evidence, test[[KEY_COLUMN, *schema.COORDINATES, schema.TARGET]].assign(**columns)


def _judged_before(
    store: Store, version: int, earlier: sa.ColumnElement[bool], fresh: Mask | None
) -> tuple[int, ...]:
    """The challengers of earlier evaluations if no test row is new since; or none."""
    with store.read() as connection:
        exactly = registry.judged_on(connection, version, earlier)
        if exactly or fresh is None or fresh.any():
            return exactly
        return registry.judged_before(connection, earlier)


def _estimates(settings: Settings, test: pd.DataFrame) -> tuple[Values | None, dict[str, str]]:
    """The estimates in use today for the test rows, or why the check that needs them has none."""
    try:
        return label_file.estimates(settings, test), {}
    except FileUnreadable as error:
        return None, {BeatsBaseline.name: f"HOUSING_VALUE__ESTIMATES: {error}"}


def _former(
    connection: Connection, champion: int | None, challenger: int, at_most: int
) -> list[Row[Any]]:
    """Former champions that are kept and were not rolled back, newest first."""
    if champion is None:
        return []
    lines = promotion_log.history(connection)
    undone = {line.from_model for line in lines if line.operation == "rollback"}
    undone |= {line.blocked_model for line in lines}  # a rollback may undo several
    left_out = {champion, challenger, *undone}
    ids = [m for m in promotion_log.former_champions(connection) if m not in left_out]
    kept = decision_rule.evenly_spaced(retention.with_artifacts(connection, ids), at_most)
    return [registry.model(connection, model) for model in kept]


def _test_rows(test: pd.DataFrame, version: int, fresh: Mask | None) -> TestRows:
    actual = test[schema.TARGET].to_numpy()
    return TestRows(
        version,
        row_cells(test),
        actual,
        slices={
            f"{schema.CATALOGUE[grouping.column].label} {name}": codes == code
            for grouping in schema.TABLE.slices
            for codes in [grouping.codes(test)]
            for code, name in enumerate(grouping.names())
        },
        fresh=fresh,
        capped=None if schema.LABEL_CAP is None else actual >= schema.LABEL_CAP,
        features=test[list(schema.FEATURES)],
    )


def _score(
    store: Store,
    row: Row[Any],
    test: pd.DataFrame,
    version: int,
    threads: int,
    own: pd.DataFrame | None,
) -> tuple[Any, ModelPredictions]:
    """Load a model, check it for leakage, and predict, also with each ensemble member.

    With the rows of its `own` version, near-duplicates of test rows in its training rows are
    counted as well.
    """
    overlap = assert_no_leakage(store, row, test[KEY_COLUMN].to_numpy(), version, own)
    try:
        model = artifacts.get_model(store, row.artifact)
    except NotUsableHere:  # the libraries have changed since the champion was trained
        model = onnx_copies.load_verified(store, row).model
    fast = checked_predictor(model, test.iloc[:CHECKED_ROWS], threads)

    def each_of(rows: pd.DataFrame) -> Floats:
        return fast.each(columns_of_frame(rows))

    near_duplicates = None
    if own is not None:
        train = fingerprints(datasets.training_rows(own))
        leaking = near_duplicate_lookup.leaking_rows(store, fingerprints(test), train)
        near_duplicates = int(leaking.sum())
    predicted = each_of(test)
    members = tuple(predicted) if len(predicted) > 1 else ()
    return model, ModelPredictions(
        row.id, row.artifact, mean_of(predicted), row.train_rows, overlap, members,
        near_duplicates=near_duplicates, predict=lambda rows: mean_of(each_of(rows)),
    )  # fmt: skip


def assert_no_leakage(
    store: Store,
    model: Row[Any],
    test_keys: Any,
    version: int,
    own: pd.DataFrame | None = None,
) -> int:
    """Check that no training row of a model is in the test set; 0, or raises LeakFound.

    The training keys are derived again from the version on which the model was fitted, whose rows
    are read unless they are given (`own`); Corrupt where their digest is not the recorded one.
    """
    rows = datasets.read(store, model.version, columns=()) if own is None else own
    keys = verified_training_keys(model, rows)
    overlap = int(among(keys, test_keys).sum())
    if overlap:
        raise LeakFound(
            model=f"m{model.id}", overlap=overlap, rows=len(keys), version=f"v{version}"
        )
    return overlap


def _record(
    store: Store, facts: Json, evidence: Evidence, verdict: Verdict, predictions: pd.DataFrame
) -> Row[Any]:
    blob = put_frame(store, predictions)
    values = {
        **facts,
        "version": evidence.version,
        "challenger": evidence.challenger.id,
        "champion": None if evidence.champion is None else evidence.champion.id,
        "evidence": TypeAdapter(Evidence).dump_python(evidence, mode="json"),
        "verdict": TypeAdapter(Verdict).dump_python(verdict, mode="json"),
        "outcome": verdict.outcome,
    }
    return registry.record_evaluation(store, values, blob)


def from_row(row: Row[Any], block_reason: str = "") -> JudgedEvaluation:
    """The record of an evaluation's row."""
    message = row.verdict["message"]
    return JudgedEvaluation(
        row.id, row.challenger, row.champion, row.outcome, message, block_reason
    )
