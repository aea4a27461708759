"""A promotion that asks a person, as a run that waits in the UI: every way in which it can end."""

import re
from datetime import timedelta
from typing import Any

import pytest

from housing.store.database.engine import Store
from housing.store.database.tables import approvals, utc_now
from housing.store.models import promotion_log
from tests.browser.ui import Ui
from tests.fixtures.housing_up import until
from tests.fixtures.small_settings import landing_rows

pytestmark = [
    pytest.mark.system,
    pytest.mark.prefect,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("browser"),
    pytest.mark.parametrize("ui", ["asking"], indirect=True),
]


def _asks(ui: Ui, day: int, rows: int = 600) -> dict[str, Any]:
    """A run on new rows, once it waits; it has no process and no lease then."""
    landing_rows(day, rows).to_csv(ui.up.home / "landing" / f"{day}.csv", index=False)
    run = ui.up.run()

    def suspended() -> dict[str, Any] | None:
        found = ui.up.see(run)
        if found["state"]["type"] in ("FAILED", "CRASHED", "COMPLETED"):
            pytest.fail(f"it did not wait: {found['state']['name']}: {found['state']['message']}")
        return found if found["state"]["name"] == "Suspended" else None

    found = until(suspended, 120, "the run was never suspended")
    until(lambda: not ui.up.pids("flow"), 30, "it has a process while it waits")
    return found


def _history(store: Store) -> list[Any]:
    with store.read() as connection:
        return list(promotion_log.history(connection))


@pytest.mark.slow  # tests/flows/test_beside.py rejects without a browser
def test_rejecting_the_first_challenger_in_the_ui_leaves_no_champion(ui: Ui, store: Store) -> None:
    done = ui.resume(_asks(ui, 1), "reject", "not before the audit")
    assert done["state"]["name"] == "Rejected"
    assert done["state"]["message"].startswith("m1 is not promoted, rejected by ")
    assert _history(store) == []


@pytest.mark.slow  # tests/flows/test_beside.py ends such runs without a browser
def test_nobody_decides_in_time(ui: Ui, store: Store) -> None:
    run = _asks(ui, 2)
    with store.write() as connection:  # as if its day were over
        connection.execute(approvals.update().values(expires_at=utc_now() - timedelta(seconds=1)))
    done = ui.up.ended(run, 60)
    assert (done["state"]["type"], done["state"]["name"]) == ("COMPLETED", "Expired")
    assert done["state"]["message"] == "m2 is not promoted, expired: no decision in time."
    assert _history(store) == []


@pytest.mark.slow  # tests/flows/test_beside.py approves without a browser
def test_approving_in_the_ui_changes_the_champion(ui: Ui, store: Store) -> None:
    done = ui.resume(_asks(ui, 3), "approve", "seen by a person")
    assert done["state"]["name"] == "Approved"
    said = r": v\d, m\d against the baselines, approved$"
    assert re.search(said, done["name"]), done["name"]
    assert "approved" in done["tags"]
    [line] = _history(store)
    assert line.operation == "promote"
    assert f"m{line.to_model}" in done["tags"]
    assert line.reason.startswith("approved: seen by a person")


@pytest.mark.slow
def test_approving_at_a_terminal_ends_the_waiting_run_in_the_ui(ui: Ui, store: Store) -> None:
    run = _asks(ui, 4, rows=4000)  # of which it learns more than its champion did
    ui.go(f"runs/flow-run/{run['id']}")
    ui.up.housing("approve", ui.up.housing("runs")[0]["run"], "--reason", "seen at a terminal")
    done = ui.ended(run, "Approved")
    assert (done["state"]["type"], done["state"]["name"]) == ("COMPLETED", "Approved")
    assert re.match(r"m\d is promoted, approved by ", done["state"]["message"])
    assert done["state"]["message"].endswith(": seen at a terminal.")
    assert f"m{_history(store)[0].to_model}" in done["tags"]
