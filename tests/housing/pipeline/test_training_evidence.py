"""Out-of-fold errors of two models, and what earlier verdicts say of a champion, from real runs."""

import numpy as np
import pytest
import sqlalchemy as sa
from sklearn.dummy import DummyRegressor

from housing import schema
from housing.gate.expected_gain import standings
from housing.gate.policy import GatePolicy
from housing.gate.policy import read as read_policy
from housing.gate.replay import replay
from housing.inference.fast_predictor import predict_members
from housing.keys import KEY_COLUMN
from housing.pipeline import training_evidence
from housing.store.data import datasets
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.database.tables import evaluations
from housing.store.models import artifacts, promotion_log, registry
from housing.store.models.searches import NESTED
from tests.fixtures.small_settings import landing_rows
from tests.housing.conftest import Land
from tests.housing.pipeline.test_evidence_context import crowned, evidence_of

pytestmark = pytest.mark.either_database

RULE = "HOUSING_GATE__RULE"


def test_three_runs_carry_what_is_known_from_verdict_to_verdict(
    store: Store, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RULE, "expected_gain")
    land("a.csv", 900)
    first = crowned(store)
    assert evidence_of(store, first).standing is None
    corrected = landing_rows(0, 900).iloc[:200]
    corrected[schema.TARGET] = corrected[schema.TARGET] * 1.01
    land("b.csv", 400, seed=1)
    land("c.csv", frame=corrected)
    second = crowned(store)
    evidence = evidence_of(store, second)
    assert evidence.standing is None
    assert evidence.training is not None

    frame = datasets.training_rows(datasets.read(store, second.version))
    then = datasets.training_rows(datasets.read(store, first.version))
    known = then.set_index(KEY_COLUMN)[schema.TARGET].reindex(frame[KEY_COLUMN]).to_numpy()
    actual = frame[schema.TARGET].to_numpy()
    with store.read() as connection:
        rows = [registry.model(connection, each.challenger) for each in (first, second)]
    folds = [get_table(store, row.out_of_fold).to_pandas().set_index(KEY_COLUMN) for row in rows]
    theirs, ours = (each[NESTED].reindex(frame[KEY_COLUMN]).to_numpy(copy=True) for each in folds)
    new = np.isnan(known)
    champion = artifacts.get_model(store, rows[0].artifact)
    theirs[new] = predict_members(champion, frame[new]).mean(axis=0)
    same = new | (known == actual)  # a row with another value was never predicted by the champion
    assert 0 < (~same).sum() < 200
    errors = [np.mean((each[same] - actual[same]) ** 2) ** 0.5 for each in (ours, theirs)]
    assert evidence.training.rows == same.sum()
    assert evidence.training.effect == pytest.approx(errors[0] / errors[1] - 1)

    lowest, policy = schema.CATALOGUE[schema.TARGET].minimum, GatePolicy(min_test_rows=50)
    at_limit, beyond = (
        training_evidence.out_of_fold_comparison(store, frame, (rows[1], rows[0]), constant, policy)
        for constant in (
            DummyRegressor(strategy="constant", constant=value).fit(
                frame[[*schema.FEATURES]], actual
            )
            for value in (lowest, -1e9)
        )
    )
    assert at_limit is not None
    assert beyond == at_limit, "a prediction is held in the target's range here as everywhere"

    land("d.csv", 200, seed=2)
    third = crowned(store)
    found = evidence_of(store, third).standing
    assert found == standings(evidence)[1]
    with store.read() as connection:
        row = registry.evaluation(connection, third.judged.evaluation)
        assert replay(row.evidence, row.policy, row.verdict).agrees
        assert read_policy(row.policy).rule == "expected_gain"

    # Records of an earlier release have no such fields: all comparisons are gone through.
    with store.write() as connection:
        for old in connection.execute(sa.select(evaluations)).all():
            kept = {k: v for k, v in old.evidence.items() if k not in ("training", "standing")}
            query = evaluations.update().where(evaluations.c.id == old.id)
            connection.execute(query.values(evidence=kept))
    with store.read() as connection:
        champion_now = promotion_log.champion(connection)
        before = training_evidence.standing(connection, champion_now, sa.true())
        assert before is not None
        assert (before.comparisons, before.training_rows) == (2, 0)
        assert training_evidence.standing(connection, None, sa.true()) is None
        assert training_evidence.standing(connection, champion_now, sa.false()) is None


def test_too_few_common_rows_are_not_compared(
    store: Store, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    land("a.csv", 900)
    first = crowned(store)
    land("b.csv", 100, seed=1)
    second = crowned(store)
    train = datasets.training_rows(datasets.read(store, second.version))
    with store.read() as connection:
        pair = tuple(registry.model(connection, each.challenger) for each in (second, first))
    model = artifacts.get_model(store, pair[1].artifact)
    policy = GatePolicy(min_test_rows=len(train))
    compare = training_evidence.out_of_fold_comparison
    assert compare(store, train, pair, model, policy) is not None
    more = policy.model_copy(update={"min_test_rows": len(train) + 1})
    assert compare(store, train, pair, model, more) is None
