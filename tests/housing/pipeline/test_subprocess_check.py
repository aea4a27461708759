"""Stored models in a real fresh process: good, different, damaged, and no result."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from housing.pipeline.run_context import RunContext
from housing.pipeline.subprocess_check import PREFLIGHT_SECONDS, ModelSubprocess, preflight
from housing.settings import Settings, load_settings
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.database.tables import evaluations
from housing.store.models import artifacts, registry
from housing.store.objects.recording import record_blob
from tests.housing.conftest import Land
from tests.housing.pipeline.test_runs import run_pipeline

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_the_preflight_of_a_run(
    store: Store, run: RunContext, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_GATE__PREFLIGHT", "true")
    land("a.csv")
    ran = run_pipeline(store, run)
    assert ran.judged.outcome == "promote", ran.judged.message
    with store.read() as connection:
        row = connection.execute(sa.select(evaluations)).one()
    found = {check["name"]: check for check in row.verdict["checks"]}["preflight"]
    assert found["outcome"] == "passed"
    assert "same predictions" in found["message"]


@pytest.mark.system
def test_predictions_that_are_not_those_that_were_stored(
    store: Store, run: RunContext, land: Land
) -> None:
    land("a.csv")
    ran = run_pipeline(store, run)
    with store.read() as connection:
        row = registry.model(connection, ran.challenger)
    golden = to_frame(get_table(store, row.golden))
    wrong = golden.pop(artifacts.PREDICTION).to_numpy() * 1.001
    blob = artifacts.put_golden(store, golden, wrong)
    with store.write() as connection:
        record_blob(connection, blob, "golden")
    found = ModelSubprocess(store, load_settings(), [(row.artifact, blob.digest)]).result(
        PREFLIGHT_SECONDS
    )
    assert "golden predictions differ by up to 0.001" in found.fault
    assert (found.worst, found.not_run) == (None, "")

    path = Path(store.blobs.path(row.artifact, _suffix(store, row.artifact)))
    path.write_bytes(path.read_bytes()[:-7])
    found = ModelSubprocess(store, load_settings(), [(row.artifact, row.golden)]).result(
        PREFLIGHT_SECONDS
    )
    assert "corrupt" in found.fault
    assert found.seconds > 0


def _suffix(store: Store, digest: str) -> str:
    with store.read() as connection:
        query = sa.text("SELECT suffix FROM blobs WHERE digest = :digest")
        return str(connection.execute(query, {"digest": digest}).scalar_one())


def test_no_result_is_no_fault(store: Store, small: Settings) -> None:
    with ModelSubprocess(store, small, [("0" * 64, "0" * 64)]) as begun:
        found = begun.result(timeout=0.01)
    assert "no result within" in found.not_run
    assert found.fault == ""
    begun = ModelSubprocess(store, small, [("0" * 64, "0" * 64)])
    begun._child.kill()
    assert "the process ended with -9" in begun.result(PREFLIGHT_SECONDS).not_run


def test_the_subprocess_ends_with_its_parent(
    store: Store, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_GATE__PREFLIGHT", "true")
    row = SimpleNamespace(artifact="0" * 64, golden="0" * 64)
    with (  # noqa: PT012 - the block is what must end it
        pytest.raises(RuntimeError, match="the evaluation failed"),
        preflight(store, load_settings(), row) as begun,
    ):
        assert begun is not None
        assert begun._child.poll() is None
        raise RuntimeError("the evaluation failed")
    assert begun._child.poll() is not None
    with preflight(store, small, row) as none:
        assert none is None
