"""Champion and challenger on tonight's test set, both scored afresh, and the gate's verdict.

Nothing here takes a figure from an earlier night: both models are loaded, checked against their
digests and asked again. The leak proof comes first; where it fails, nothing is judged.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Row

from housing import schema
from housing.errors import Corrupt, LeakFound
from housing.gate.check import judge
from housing.gate.evidence import Evidence, Predictions, TestRows, gather
from housing.gate.policy import GatePolicy
from housing.records import Verdict
from housing.settings import Settings
from housing.steps.night import Night
from housing.steps.tune import keys_digest, training_side
from housing.store import artifacts, batches, datasets, holds, profiles, registry
from housing.store.datasets import SIDE_COLUMN
from housing.store.engine import Store
from housing.store.runs import last_completed_night
from housing.store.segments import KEY_COLUMN, put_frame, record_blob
from housing.store.tables import evaluations, utc_now
from housing.training.fit import fit_baselines


@dataclass(frozen=True)
class Judged:
    """An evaluation in SQL and what the gate said of it."""

    evaluation: int
    challenger: int
    champion: int | None  # against which it was judged
    outcome: str
    sentence: str
    on_hold: str = ""  # why it is not promoted all the same; "" where nothing is in the way

    @property
    def promotes(self) -> bool:
        """Whether the champion is to change."""
        return self.outcome == "promote" and not self.on_hold


def evaluation_key(challenger: int, champion: int | None, version: int, policy: GatePolicy) -> str:
    """What makes two evaluations the same one."""
    text = f"{challenger}:{champion}:{version}:{policy.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()


def evaluate(
    store: Store, night: Night, version: int, challenger: int, settings: Settings
) -> Judged:
    """Measure, judge and record; the same inputs are judged once."""
    policy = settings.gate
    with store.read() as connection:
        champion = registry.champion(connection)
        key = evaluation_key(challenger, champion, version, policy)
        known = registry.evaluation_with_key(connection, key)
        if known is None and champion == challenger:
            # An earlier run got as far as the promotion and no further.
            known = registry.promoting_evaluation(connection, challenger)
        ours = registry.model(connection, challenger)
        theirs = None if champion is None else registry.model(connection, champion)
        read_rows, rejected_rows = tonight(connection)
        on_hold = holds.why_not(connection, challenger)
    if known is not None:
        return judged_of(known, on_hold)
    frame = datasets.read(store, version)
    profiles.confirm(store, version, frame)
    test = frame[frame[SIDE_COLUMN]].reset_index(drop=True)
    predicted = {"challenger": _predictions(store, ours, test, version)}
    if theirs is not None:
        predicted["champion"] = _predictions(store, theirs, test, version)
    baselines = fit_baselines(*training_side(frame), seed=settings.search.seed)
    evidence = gather(
        _test_rows(test, version),
        predicted["challenger"],
        predicted.get("champion"),
        {name: m.predict(test) for name, m in baselines.items()},
        policy,
        read_rows=read_rows,
        rejected_rows=rejected_rows,
    )
    verdict = judge(evidence, policy)
    row = _record(store, night, key, evidence, verdict, policy, _as_frame(test, predicted))
    return judged_of(row, on_hold)


def tonight(connection: Connection) -> tuple[int, int]:
    """Rows read and rejected since the last night that came to its end."""
    last = last_completed_night(connection)
    came = batches.since(connection, 0 if last is None else last.id)
    return sum(row.read_rows for row in came), sum(row.rejected_rows for row in came)


def _test_rows(test: pd.DataFrame, version: int) -> TestRows:
    longitude, latitude = (test[name].to_numpy() for name in schema.COORDINATES)
    return TestRows(version, longitude, latitude, test[schema.TARGET].to_numpy())


def _predictions(store: Store, model: Row[Any], test: pd.DataFrame, version: int) -> Predictions:
    overlap = prove_disjoint(store, model, test[KEY_COLUMN].to_numpy(), version)
    fitted = artifacts.get_model(store, model.artifact)
    values = np.asarray(fitted.predict(test[list(schema.FEATURES)]), dtype=np.float64)
    return Predictions(model.id, model.artifact, values, model.train_rows, overlap)


def prove_disjoint(store: Store, model: Row[Any], test_keys: Any, version: int) -> int:
    """The leak proof: none of the model's training districts is in tonight's test set.

    The training keys are derived anew from the version that the model was fitted on, and their
    digest must be the one recorded when it was. Returns 0, or raises LeakFound.
    """
    trained = datasets.read(store, model.version, columns=())
    keys = trained.loc[~trained[SIDE_COLUMN], KEY_COLUMN].to_numpy()
    if keys_digest(keys) != model.train_keys:
        raise Corrupt(
            what=f"the split of dataset v{model.version}",
            why=f"the training districts of m{model.id} are not those recorded with it",
        )
    overlap = int(np.isin(keys, test_keys).sum())
    if overlap:
        raise LeakFound(
            model=f"m{model.id}", overlap=overlap, rows=len(keys), version=f"v{version}"
        )
    return overlap


def _as_frame(test: pd.DataFrame, predicted: dict[str, Predictions]) -> pd.DataFrame:
    columns = {name: p.values for name, p in predicted.items()}
    return test[[KEY_COLUMN, *schema.COORDINATES, schema.TARGET]].assign(**columns)


def _record(
    store: Store,
    night: Night,
    key: str,
    evidence: Evidence,
    verdict: Verdict,
    policy: GatePolicy,
    predictions: pd.DataFrame,
) -> Row[Any]:
    blob = put_frame(store, predictions)
    with store.write() as connection:
        connection.execute(
            evaluations.insert().values(
                key=key,
                version=evidence.version,
                challenger=evidence.challenger.id,
                champion=None if evidence.champion is None else evidence.champion.id,
                predictions=record_blob(connection, blob, "predictions"),
                policy=policy.model_dump(mode="json"),
                evidence=TypeAdapter(Evidence).dump_python(evidence, mode="json"),
                verdict=TypeAdapter(Verdict).dump_python(verdict, mode="json"),
                outcome=verdict.outcome,
                run=night.run,
                created_at=utc_now(),
            )
        )
        row = registry.evaluation_with_key(connection, key)
    if row is None:
        raise Corrupt(what="the evaluation", why="it was written and is not there")
    return row


def judged_of(row: Row[Any], on_hold: str = "") -> Judged:
    """An evaluation's row in short."""
    sentence = row.verdict["sentence"]
    return Judged(row.id, row.challenger, row.champion, row.outcome, sentence, on_hold)
