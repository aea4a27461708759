"""The flow with all that the gate asks of a run: a fresh process and budgets, as by default."""

from typing import Any

import pytest

from flows.nightly import nightly
from housing.settings import Settings
from housing.store import queries
from housing.store.database.open import open_store
from tests.fixtures.small_settings import landing_rows

pytestmark = [pytest.mark.system, pytest.mark.prefect]


def checks_of(settings: Settings, run: int) -> dict[str, dict[str, Any]]:
    """What each check of a run said."""
    with open_store(settings) as store, store.read() as connection:
        verdict = queries.show_run(connection, run)["verdict"]
    assert verdict is not None
    return {check["name"]: check for check in verdict["checks"]}


def land(settings: Settings, name: str, day: int) -> None:
    folder = settings.sources.landing_dir
    assert folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    landing_rows(day, 600).to_csv(folder / name, index=False)


def test_the_stored_artifact_is_loaded_in_a_fresh_process_and_measured_against_its_budgets(
    small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_GATE__PREFLIGHT", "true")
    land(small, "a.csv", 0)
    result = nightly()
    assert result.outcome == "promoted", result.message
    found = checks_of(small, result.run)
    assert found["preflight"]["outcome"] == "passed", found["preflight"]
    assert found["preflight"]["figures"]["worst"] == 0
    assert found["preflight"]["figures"]["seconds"] > 0
    size = found["artifact-size"]["figures"]["artifact_bytes"]
    assert {found[name]["outcome"] for name in ("latency", "artifact-size")} == {"passed"}

    # The same two budgets, too small by far: the champion stays, whatever the comparison says.
    monkeypatch.setenv("HOUSING_GATE__THRESHOLDS__ARTIFACT_SIZE", str(size / 1e7))
    monkeypatch.setenv("HOUSING_GATE__LATENCY_BUDGET_MS", "0.001")
    land(small, "b.csv", 1)
    later = nightly()
    assert (later.outcome, later.champion) == ("kept", result.champion)
    found = checks_of(small, later.run)
    assert {found[name]["outcome"] for name in ("latency", "artifact-size")} == {"failed"}
