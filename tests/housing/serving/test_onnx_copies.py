"""ONNX copies of champions: made before a promotion, used where the libraries have changed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from housing import schema
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import load
from housing.inference.onnx import convert
from housing.inference.onnx.convert import store_copy
from housing.operations import backup
from housing.pipeline import promote, rollback_readiness
from housing.problems.california.simulated.scenarios import simulate
from housing.store.database.engine import Store
from housing.store.database.tables import backup_copies, blobs, models, onnx_copies
from housing.store.models import artifacts, registry
from housing.store.models import onnx_copies as stored
from housing.store.objects.recording import record_blob
from housing.store.queries import list_readiness, status
from tests.fixtures.small_settings import SMALL
from tests.housing.serving.conftest import Started, only_settings, running
from tests.housing.serving.test_model_reloader import _example

FEATURES = list(schema.FEATURES)
BUILD = Path(__file__).parents[3] / "build" / "other-scikit-learn"


def _row(store: Store, model: int) -> Any:
    with store.read() as connection:
        return registry.model(connection, model)


def _copy(store: Store, model: int) -> Any:
    with store.read() as connection:
        return stored.get(connection, model)


def _as_if_the_libraries_had_changed(store: Store, model: int) -> None:
    """The artifact of `model`, whole and signed, predicts otherwise from here on."""
    fitted = artifacts.get_model(store, _row(store, model).artifact)
    for tree in fitted[-1].estimators_:
        tree.tree_.value[:] *= 1.01
    blob = artifacts.put_model(store, fitted)
    with store.write() as connection:
        digest = record_blob(connection, blob, "model")
        this = models.update().where(models.c.id == model)
        connection.execute(this.values(artifact=digest))


def test_a_promoted_model_has_a_signed_copy_in_store_and_backup(own_store: Store) -> None:
    rows = simulate(50, 0, day=1)[FEATURES]
    for model in (1, 2):
        copy, row = _copy(own_store, model), _row(own_store, model)
        assert copy.reason == ""
        asked = artifacts.get_model(own_store, copy.artifact)
        fitted = artifacts.get_model(own_store, row.artifact)
        assert asked.predict(rows) == pytest.approx(fitted.predict(rows), rel=1e-9)
        with own_store.read() as connection:
            query = sa.select(backup_copies.c.digest).where(backup_copies.c.digest == copy.artifact)
            assert connection.scalar(query)
        assert own_store.backup.get(copy.artifact, artifacts.ONNX)
    with own_store.write() as connection:
        this = blobs.update().where(blobs.c.digest == copy.artifact)
        connection.execute(this.values(signature="0" * 64))
    with pytest.raises(Exception, match="sign"):
        artifacts.get_model(own_store, copy.artifact)


def test_equal_models_have_equal_copies_whatever_their_numbers(own_store: Store) -> None:
    row = _row(own_store, 2)
    fitted = artifacts.get_model(own_store, row.artifact)
    renumbered: Any = SimpleNamespace(**{**row._mapping, "id": 1})
    assert store_copy(own_store, renumbered, fitted) == ""
    assert _copy(own_store, 1).artifact == _copy(own_store, 2).artifact


@pytest.mark.system
def test_readiness_shows_the_artifact_and_the_copy(own_home: Path, own_store: Store) -> None:
    with only_settings(own_home) as settings:
        with own_store.write() as connection:
            connection.execute(onnx_copies.delete().where(onnx_copies.c.model == 1))
        two, one = rollback_readiness.check(own_store, settings)
        assert (two.ready, two.onnx_ready) == (True, True)
        assert two.onnx_detail.startswith("golden predictions are ")
        assert (one.ready, one.onnx_ready, one.onnx_detail) == (True, None, stored.NONE)
        assert rollback_readiness.check(own_store, settings) == (two, one)
        _as_if_the_libraries_had_changed(own_store, 2)
        two, one = rollback_readiness.check(own_store, settings, force=True)
        assert (two.ready, two.onnx_ready) == (False, True)
        assert two.message.startswith("m2 predicts by its ONNX copy alone: ")
        with own_store.read() as connection:
            shown = list_readiness(connection)
            needs = status(connection)["needs_a_person"]
        assert [(r["ready"], r["onnx_ready"]) for r in shown] == [(False, True), (True, None)]
        assert needs[0]["message"] == two.message


def test_the_copy_predicts_where_the_artifact_predicts_otherwise(
    own_home: Path, own_store: Store
) -> None:
    """With intervals, explanations and neighbours; it is shown wherever the model is."""
    rows = columns_of_frame(simulate(50, 0, day=1)[FEATURES])
    before = load(own_store, 2)
    then = before.predictions(rows)
    assert (before.artifact_error, before.onnx_copy, before.copy_notice) == ("", "", "")
    _as_if_the_libraries_had_changed(own_store, 2)
    served = load(own_store, 2)
    now = served.predictions(rows)
    assert now.predicted == pytest.approx(then.predicted, rel=1e-9)
    assert now.lower == pytest.approx(then.lower, rel=1e-9)
    assert served.copy_notice.startswith("m2 predicts by its ONNX copy: ")
    assert "golden predictions differ" in served.notice
    assert served.model_facts["artifact"] == _copy(own_store, 2).artifact
    with only_settings(own_home) as settings, running(settings) as client:
        ready = client.get("/ready").json()
        assert (ready["ready"], ready["model"], ready["onnx_copy"]) == (True, "m2", "stored")
        assert "golden predictions differ" in ready["artifact_error"]
        answer = client.post("/explain", json=_example(str(client.base_url)))
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert "by its ONNX copy" in found["notice"]
        assert found["neighbours"]
        total = found["base_value"] + sum(c["contribution"] for c in found["contributions"])
        assert total == pytest.approx(found["predictions"][0]["predicted"])
        assert "by its ONNX copy" in client.get("/dashboard/data").json()["copy_notice"]
        assert "by its ONNX copy" in client.get("/form").json()["notice"]


def test_a_rollback_and_a_trial_restore_use_the_copy(own_home: Path, own_store: Store) -> None:
    for model in (1, 2):
        _as_if_the_libraries_had_changed(own_store, model)
    with only_settings(own_home) as settings:
        backup.create(own_store, settings)
        assert backup.verify(own_store).problems == ()
    copy = _copy(own_store, 1).artifact
    Path(own_store.blobs.path(copy, artifacts.ONNX)).write_bytes(b"damaged")
    done = promote.roll_back(own_store, None, "test")
    assert done.healed == (copy,)
    assert "golden predictions differ" in done.artifact_error
    assert "its ONNX copy predicts" in done.notification().text


def test_without_a_copy_nothing_is_different(own_store: Store) -> None:
    with own_store.write() as connection:
        connection.execute(onnx_copies.delete())
    assert load(own_store, 2).onnx_copy == stored.NONE
    _as_if_the_libraries_had_changed(own_store, 2)
    with pytest.raises(Exception, match="golden predictions differ"):
        load(own_store, 2)


def test_what_cannot_be_copied_is_named_and_promoted(
    own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = _row(own_store, 2)
    fitted = artifacts.get_model(own_store, row.artifact)
    for tree in fitted[-1].estimators_:
        tree.tree_.value[:] *= 1 + 1e-8
    assert "golden predictions differ by up to 1e-08" in store_copy(own_store, row, fitted)
    assert _copy(own_store, 2).artifact is None
    assert "there is none: " in load(own_store, 2).onnx_copy
    assert store_copy(own_store, row, object()) == "object has none"
    monkeypatch.setattr(convert, "MOST_ROWS", row.train_rows - 1)
    promote.back_up(own_store, 2)
    assert "training rows are more than" in _copy(own_store, 2).reason
    with own_store.read() as connection:
        assert "training rows are more than" in list_readiness(connection)[0]["onnx_detail"]


# --- another scikit-learn -------------------------------------------------------------------

TRAIN = """
import sys
from housing import schema
from housing.inference.loaded_model import load
from housing.pipeline import promote
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.models import artifacts, registry
from housing.store.objects.recording import record_blob
from housing.store.data.segments import get_table, to_frame
from housing.store.database.tables import models
from housing.training.candidates import FAMILIES

features = list(schema.FEATURES)
with open_store(load_settings()) as store:
    with store.read() as connection:
        row = registry.model(connection, 1)
    table = simulate(400, 0).astype(schema.dtypes())
    fitted = FAMILIES["boosting"].build(0).set_params(model__max_iter=20)
    fitted.fit(table[features], table[schema.TARGET])
    rows = to_frame(get_table(store, row.golden))[features]
    predicted = fitted.predict(rows)
    blobs = artifacts.put_model(store, fitted), artifacts.put_golden(store, rows, predicted)
    with store.write() as connection:
        artifact = record_blob(connection, blobs[0], "model")
        golden = record_blob(connection, blobs[1], "golden")
        for model in (1, 2):
            this = models.update().where(models.c.id == model)
            connection.execute(this.values(artifact=artifact, golden=golden, family="boosting"))
    for model in (1, 2):
        promote.back_up(store, model)
"""
"""Both champions become a boosted model, which other versions of scikit-learn cannot load."""


@pytest.mark.system
@pytest.mark.timeout(1200)
def test_another_version_of_scikit_learn_keeps_the_predictions(
    own_home: Path, served: Started
) -> None:
    if not BUILD.exists():
        pytest.skip("there is no other version of scikit-learn: `make other-scikit-learn`")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOUSING_")}
    here = {**kept, **SMALL, "HOUSING_HOME": str(own_home)}
    there = {**here, "PYTHONPATH": str(BUILD), "PYTHONWARNINGS": "ignore"}

    def run(*command: str, environment: dict[str, str]) -> Any:
        return subprocess.run(
            [sys.executable, *command],
            env=environment, cwd=own_home, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    trained = run("-c", TRAIN, environment=here)
    assert trained.returncode == 0, trained.stderr
    answers = []
    for settings in ({}, {"PYTHONPATH": str(BUILD), "PYTHONWARNINGS": "ignore"}):
        with served("--workers", "1", **settings) as address:
            example = _example(address)
            answers.append(httpx.post(f"{address}/explain", json=example, timeout=60).json())
            ready = httpx.get(f"{address}/ready").json()
    old, new = answers
    assert old["notice"] == ""
    assert "m2 predicts by its ONNX copy" in new["notice"]
    assert "UntrustedTypesFound" in ready["artifact_error"]
    assert ready["onnx_copy"] == "stored"
    for name in ("predicted", "lower", "upper"):
        then, now = (found["predictions"][0][name] for found in (old, new))
        assert now == pytest.approx(then, rel=1e-9)
    assert new["neighbours"] == old["neighbours"]
    cli = ("-m", "deployments.cli.__main__")
    found = run(*cli, "readiness", "--json", environment=there)
    assert found.returncode == 5
    assert [(r["ready"], r["onnx_ready"]) for r in json.loads(found.stdout)] == [(False, True)] * 2
    found = run(*cli, "rollback", "m1", "--yes", "--reason", "test", environment=there)
    assert found.returncode == 0, found.stderr
    assert "its ONNX copy predicts" in " ".join(found.stdout.split())
