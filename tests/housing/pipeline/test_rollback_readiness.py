"""Rollback readiness: former champions are loaded in a fresh process."""

import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from housing.pipeline import rollback_readiness
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.tables import readiness_checks as table
from housing.store.models import artifacts, registry
from housing.store.queries import list_readiness, status
from housing.store.runs import outbox
from tests.housing.operations.test_backup import original as original
from tests.housing.operations.test_backup import seen as seen
from tests.housing.test_notify import Receiver, over_webhook
from tests.housing.test_notify import receiver as receiver


def _rows(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def _status(store: Store) -> list[tuple[str, bool | None]]:
    with store.read() as connection:
        return [(row["model"], row["ready"]) for row in list_readiness(connection)]


@pytest.mark.system
def test_each_champion_is_tried_in_a_fresh_process_once_a_day(
    original: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _status(original) == [("m2", None), ("m1", None)]
    found = rollback_readiness.check(original, seen)
    assert [(one.model, one.ready) for one in found] == [(2, True), (1, True)]
    assert found[0].detail == "golden predictions are exactly the same"
    assert _status(original) == [("m2", True), ("m1", True)]
    assert _rows(original) == 2
    assert rollback_readiness.check(original, seen) == found
    assert _rows(original) == 2, "tried again although nothing has changed"
    monkeypatch.setattr(rollback_readiness, "environment", lambda: "another environment".ljust(64))
    rollback_readiness.check(original, seen)
    assert _rows(original) == 4


@pytest.mark.system
def test_a_damaged_champion_is_red_and_reported_once_until_it_is_ready_again(
    original: Store, seen: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_GATE__PREFLIGHT", "true")
    store = over_webhook(original, receiver)
    with store.read() as connection:
        row = registry.model(connection, 1)
    path = Path(store.blobs.path(row.artifact, artifacts.FORMAT))
    whole = path.read_bytes()
    reported = []
    for content in (whole[:-1], whole[:-1], whole, whole[:-1]):
        path.write_bytes(content)
        found = rollback_readiness.check(store, load_settings(), force=True)
        assert [one.model for one in found if not one.ready] == ([] if content == whole else [1])
        outbox.deliver(store)
        reported.append(len(receiver.got))
    assert reported == [1, 1, 1, 2]
    assert {(got["event"], got["subject"]) for got in receiver.got} == {("not ready", "m1")}
    assert _status(store) == [("m2", True), ("m1", False)]
    with store.read() as connection:
        needs = status(connection)["needs_a_person"]
    assert any("m1" in need["message"] for need in needs)
    before = _rows(store)
    rollback_readiness.check_readiness(store, load_settings())
    assert _rows(store) == before + 2, "what was red is tried again"


def test_a_process_that_dies_leaves_the_rest_red(
    original: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    script.write_text(
        "#!/bin/sh\n"
        """echo '{"worst": 0.0, "seconds": 0.1}'\n"""
        """echo '{"worst": 0.0, "sec'\n"""
        "kill -9 $$\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    two, one = rollback_readiness.in_fresh_process(original, seen, (2, 1))
    assert (two.ready, one.ready) == (True, False)
    assert "ended with -9" in one.detail


def test_a_process_that_hangs_leaves_the_rest_red(
    original: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(rollback_readiness, "TIMEOUT_SECONDS", 0.5)
    (one,) = rollback_readiness.in_fresh_process(original, seen, (1,))
    assert not one.ready
    assert "no result within" in one.detail


@pytest.mark.system
def test_libraries_that_cannot_load_what_was_stored_are_seen(
    original: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The fresh process has its own libraries: here one in which skops is broken."""
    (tmp_path / "broken" / "skops").mkdir(parents=True)
    (tmp_path / "broken" / "skops" / "__init__.py").write_text("raise ImportError('broken')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    found = rollback_readiness.check(original, seen)
    assert [one.ready for one in found] == [False, False]
    assert "broken" in found[0].detail


def test_readiness_without_a_champion_has_no_checks(store: Store, settings: Settings) -> None:
    assert rollback_readiness.check(store, settings) == ()
