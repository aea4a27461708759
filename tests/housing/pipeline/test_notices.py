"""Warnings that status, reports and summaries show first."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.cli.main import app
from housing.pipeline.notices import notices, reuse_warning_is_due
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import registry
from tests.housing.operations.test_backup import original as original
from tests.housing.operations.test_backup import seen as seen


def _shown(monkeypatch: pytest.MonkeyPatch, backup: Path) -> str:
    monkeypatch.setenv("HOUSING_BACKUP_URL", str(backup))
    settings = load_settings()
    with open_store(settings) as store, store.read() as connection:
        return " ".join(notices(connection, settings))


def test_a_backup_that_cannot_be_used_is_named_before_it_is_needed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    shown = _shown(monkeypatch, file / "backup")
    assert f"The backup at {file / 'backup'} cannot be used: {file} is not a folder." in shown
    assert "same disk" not in shown
    assert "same disk" in _shown(monkeypatch, tmp_path / "backup")


def test_a_shadow_that_does_not_exist_is_named_by_status_and_by_shadow(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in ("status", "shadow"):
        assert "cannot be loaded" not in CliRunner().invoke(app, [command]).output
    monkeypatch.setenv("HOUSING_SERVE__SHADOW", "m99")
    for command in ("status", "shadow"):
        said = " ".join(CliRunner().invoke(app, [command]).output.split())
        assert "The shadow m99 cannot be loaded: There is no model m99" in said, said


def test_a_shadow_whose_file_is_missing_is_named_by_status_and_by_shadow(
    original: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_SERVE__SHADOW", "m1")
    with original.read() as connection:
        digest = registry.model(connection, 1).artifact
    file = next(Path(seen.blob_url).rglob(f"{digest}*"))
    for command in ("status", "shadow"):
        assert "cannot be loaded" not in CliRunner().invoke(app, [command]).output
    file.unlink()
    for command in ("status", "shadow"):
        said = " ".join(CliRunner().invoke(app, [command]).output.split())
        assert "The shadow m1 cannot be loaded" in said
        assert "housing heal" in said


def test_the_warning_about_reuse_of_the_test_set_ends_and_returns_when_it_has_doubled() -> None:
    due = [n for n in range(1, 600) if reuse_warning_is_due(n)]
    assert due == [*range(60, 66), *range(120, 132), *range(240, 264), *range(480, 528)]
