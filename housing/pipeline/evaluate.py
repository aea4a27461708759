"""Champion and challenger on tonight's test set, both scored afresh, and the gate's verdict.

Nothing here takes a figure from an earlier night: both models are loaded, checked against their
digests and asked again. The leak proof comes first; where it fails, nothing is judged.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Row

from housing import schema
from housing.errors import LeakFound
from housing.evaluation.spatial_se import Mask
from housing.gate import decision_rule
from housing.gate.check import judge
from housing.gate.evidence import Evidence
from housing.gate.measure import Competitors, Predictions, RunFacts, TestRows, measure_evidence
from housing.gate.policy import GatePolicy
from housing.inference.fast_predictor import predict_members
from housing.keys import KEY_COLUMN
from housing.pipeline import evidence_context
from housing.pipeline.preflight import TIMEOUT_SECONDS, preflight
from housing.pipeline.run_context import RunContext
from housing.pipeline.train import training_side, verified_training_keys
from housing.records import Verdict
from housing.settings import Settings
from housing.store.data import agreements, datasets, profiles
from housing.store.data.segments import put_frame
from housing.store.database.engine import Store
from housing.store.database.tables import blobs, evaluations, models, utc_now
from housing.store.models import approvals, artifacts, blocks, registry
from housing.store.objects.recording import record_blob
from housing.store.runs import runs
from housing.training.fingerprints import fingerprints
from housing.training.fit import predict_baselines


@dataclass(frozen=True)
class JudgedEvaluation:
    """An evaluation in SQL and what the gate said of it."""

    evaluation: int
    challenger: int
    champion: int | None  # against which it was judged
    outcome: str
    message: str
    block_reason: str = ""  # why it is not promoted all the same; "" where nothing is in the way

    @property
    def promotes(self) -> bool:
        """Whether the champion is to change."""
        return self.outcome == "promote" and not self.block_reason


def evaluation_key(challenger: int, champion: int | None, content: str, settings: Settings) -> str:
    """What a verdict stands for: rows and sides, both models, and the settings that judge."""
    judging = f"{settings.gate.model_dump_json()}:{settings.search.seed}"  # baselines have the seed
    return hashlib.sha256(f"{challenger}:{champion}:{content}:{judging}".encode()).hexdigest()


def standing(
    connection: Connection, challenger: int, champion: int | None, content: str, settings: Settings
) -> Row[Any] | None:
    """The evaluation that stands, or None where there is something to judge.

    The newest of these inputs, but not one in which a check could not run, nor one whose approved
    promotion was taken back. The champion is not judged: it stands by what made it champion.
    """
    if champion == challenger:
        made = registry.promoting_evaluation(connection, challenger)
        return made or registry.newest_evaluation(connection, challenger)
    key = evaluation_key(challenger, champion, content, settings)
    row = registry.evaluation_with_key(connection, key)
    if row is None or _could_not_run(row):
        return None
    asked = approvals.of_key(connection, key)
    used = asked is not None and asked.status == "approved"
    if used and challenger in registry.former_champions(connection):
        return None
    return row


def _could_not_run(row: Row[Any]) -> bool:
    checks = row.verdict.get("checks", ())
    return row.outcome == "inconclusive" and any(c["outcome"] == "error" for c in checks)


def evaluate(
    store: Store,
    run: RunContext,
    version: int,
    challenger: int,
    settings: Settings,
) -> JudgedEvaluation:
    """Measure, judge and record, and note in the run's row which verdict is its; the same inputs
    are judged once.
    """
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
    """The verdict on a challenger against the present champion, on the test side of a version.

    One that stands is returned as it is, unless it is to be judged `again`.
    """
    content = profiles.measured(store, version).content
    with store.read() as connection:
        champion = registry.champion(connection)
        by_hand = runs.get(connection, run).kind in runs.BY_HAND
        known = standing(connection, challenger, champion, content, settings)
        block_reason = blocks.block_reason(connection, challenger)
    if known is not None and not again:
        return from_row(known, block_reason)
    with store.read() as connection:
        looks = registry.judged_before(connection, version, challenger, by_hand=by_hand)
    pair = challenger, champion
    evidence, predictions = collect_evidence(store, version, pair, looks, settings)
    verdict = judge(evidence, settings.gate)
    key = evaluation_key(challenger, champion, content, settings)
    row = _record(store, run, key, evidence, verdict, settings.gate, predictions)
    return from_row(row, block_reason)


def collect_evidence(
    store: Store,
    version: int,
    pair: tuple[int, int | None],
    looks: tuple[int, ...],
    settings: Settings,
) -> tuple[Evidence, pd.DataFrame]:
    """The evidence, and the predictions of the test rows of a challenger and the champion.

    `looks` are the challengers that were judged on exactly these rows before.
    """
    challenger, champion = pair
    with store.read() as connection:
        ours = registry.model(connection, challenger)
        theirs = None if champion is None else registry.model(connection, champion)
        former = _former(connection, champion, challenger, settings.gate)
        came = evidence_context.entered(connection, version, theirs)
        served = evidence_context.n_decisions(connection, version, challenger)
    with preflight(store, settings, ours) as fresh_process:
        frame = datasets.read(store, version)
        profiles.record_or_verify(store, version, frame)
        test = datasets.test_rows(frame)
        threads = settings.search.workers
        scored = [
            _ScoredModel.of(store, row, test, version, threads).proven(
                near_duplicates(store, row, test)
            )
            for row in (ours, theirs)
            if row
        ]
        baselines = predict_baselines(*training_side(frame), test, seed=settings.search.seed)
        rivals = Competitors(
            scored[1].predictions if theirs else None,
            baselines.values,
            [_ScoredModel.of(store, row, test, version, threads).predictions for row in former],
            baselines.failed,
        )
        features = test[list(schema.FEATURES)]
        read_rows, rejected_rows = evidence_context.rejected_share(came)
        found = RunFacts(
            read_rows=read_rows,
            rejected_rows=rejected_rows,
            decisions=served,
            drift=() if theirs is None else evidence_context.drift(store, theirs, frame, came),
            costs=evidence_context.costs(store, ours, [s.model for s in scored], features),
            preflight=None if fresh_process is None else fresh_process.result(TIMEOUT_SECONDS),
            judged_before=looks,
            champion_is_newer=champion is not None and challenger < champion,
        )
    fresh = None
    if theirs is not None:
        fresh = evidence_context.unused_test_rows(store, version, challenger, test)
    rows = _test_rows(test, version, fresh)
    evidence = measure_evidence(rows, scored[0].predictions, rivals, settings.gate, found)
    return evidence, _as_frame(test, scored)


def _former(
    connection: Connection, champion: int | None, challenger: int, policy: GatePolicy
) -> list[Row[Any]]:
    """Champions of before that are still kept, from the newest to the oldest; none taken back."""
    if champion is None:
        return []
    lines = registry.history(connection)
    taken_back = {line.from_model for line in lines if line.operation == "rollback"}
    taken_back |= {line.blocked_model for line in lines}  # a rollback may undo several
    left_out = {champion, challenger, *taken_back}
    ids = [m for m in registry.former_champions(connection) if m not in left_out]
    kept = sa.select(models).join(blobs, blobs.c.digest == models.c.artifact)
    rows = connection.execute(kept.where(models.c.id.in_(ids), blobs.c.pruned_at.is_(None)))
    newest_first = sorted(rows, key=lambda row: ids.index(row.id))
    return decision_rule.evenly_spaced(newest_first, policy.cumulative_champions)


def _test_rows(test: pd.DataFrame, version: int, fresh: Mask | None) -> TestRows:
    longitude, latitude = (test[name].to_numpy() for name in schema.COORDINATES)
    actual = test[schema.TARGET].to_numpy()
    return TestRows(
        version,
        longitude,
        latitude,
        actual,
        slices={
            f"{schema.CATALOGUE[grouping.column].label} {name}": codes == code
            for grouping in schema.SLICES
            for codes in [grouping.codes(test)]
            for code, name in enumerate(grouping.names())
        },
        fresh=fresh,
        capped=None if schema.LABEL_CAP is None else actual >= schema.LABEL_CAP,
    )


@dataclass(frozen=True, eq=False)
class _ScoredModel:
    """A fitted model and what it says of tonight's test rows."""

    model: Any
    predictions: Predictions

    @classmethod
    def of(
        cls, store: Store, row: Row[Any], test: pd.DataFrame, version: int, threads: int
    ) -> "_ScoredModel":
        """Load a model, prove it apart from the test rows, and ask it and its members."""
        overlap = assert_no_leakage(store, row, test[KEY_COLUMN].to_numpy(), version)
        model = artifacts.get_model(store, row.artifact)
        said = predict_members(model, test, threads)
        values, members = said.mean(axis=0), tuple(said) if len(said) > 1 else ()
        return cls(
            model,
            Predictions(row.id, row.artifact, values, row.train_rows, overlap, members),
        )

    def proven(self, near: int) -> "_ScoredModel":
        """With the count of test rows that have a near-duplicate in its training."""
        return replace(self, predictions=replace(self.predictions, near_duplicates=near))


def assert_no_leakage(store: Store, model: Row[Any], test_keys: Any, version: int) -> int:
    """The leak proof: none of the model's training districts is in tonight's test set.

    The training keys are derived again from the version that the model was fitted on, and their
    digest must be the one recorded when it was. Returns 0, or raises LeakFound.
    """
    keys = verified_training_keys(model, datasets.read(store, model.version, columns=()))
    overlap = int(np.isin(keys, test_keys).sum())
    if overlap:
        raise LeakFound(
            model=f"m{model.id}", overlap=overlap, rows=len(keys), version=f"v{version}"
        )
    return overlap


def near_duplicates(store: Store, model: Row[Any], test: pd.DataFrame) -> int:
    """How many test rows have a near-duplicate among the rows that a model was trained on."""
    columns = (*schema.FEATURES, schema.TARGET)
    trained = datasets.read(store, model.version, columns=columns)
    train = fingerprints(datasets.training_rows(trained))
    return int(agreements.leaking_rows(store, fingerprints(test), train).sum())


def _as_frame(test: pd.DataFrame, scored: list[_ScoredModel]) -> pd.DataFrame:
    roles = ("challenger", "champion")
    columns = {role: s.predictions.values for role, s in zip(roles, scored, strict=False)}
    return test[[KEY_COLUMN, *schema.COORDINATES, schema.TARGET]].assign(**columns)


def _record(
    store: Store,
    run: int,
    key: str,
    evidence: Evidence,
    verdict: Verdict,
    policy: GatePolicy,
    predictions: pd.DataFrame,
) -> Row[Any]:
    blob = put_frame(store, predictions)
    with store.write() as connection:
        new = connection.execute(
            evaluations.insert()
            .values(
                key=key,
                version=evidence.version,
                challenger=evidence.challenger.id,
                champion=None if evidence.champion is None else evidence.champion.id,
                predictions=record_blob(connection, blob, "predictions"),
                policy=policy.model_dump(mode="json"),
                evidence=TypeAdapter(Evidence).dump_python(evidence, mode="json"),
                verdict=TypeAdapter(Verdict).dump_python(verdict, mode="json"),
                outcome=verdict.outcome,
                run=run,
                created_at=utc_now(),
            )
            .returning(evaluations)
        )
        return new.one()


def from_row(row: Row[Any], block_reason: str = "") -> JudgedEvaluation:
    """An evaluation's row in short."""
    message = row.verdict["message"]
    return JudgedEvaluation(
        row.id, row.challenger, row.champion, row.outcome, message, block_reason
    )
