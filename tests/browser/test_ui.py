"""What an operator does in the UI: run, read, take back, cancel, approve."""

import re
from urllib.parse import urljoin, urlsplit

import pytest

from tests.browser.ui import Ui
from tests.fixtures.housing_up import until
from tests.fixtures.small_settings import landing_rows

pytestmark = [
    pytest.mark.system,
    pytest.mark.prefect,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("browser"),
]


def _land(ui: Ui, day: int, rows: int = 200) -> None:
    landing_rows(day, rows).to_csv(ui.up.home / "landing" / f"{day}.csv", index=False)


def _progress_shown(ui: Ui, artifact: str) -> float:
    """What the artifact's page says; it does not refresh itself."""
    ui.go(f"artifacts/artifact/{artifact}")
    said = ui.page.get_by_text(re.compile(r"^Progress: [\d.]+%$")).first.inner_text()
    assert re.fullmatch(r"Progress: \d{1,3}(\.\d)?%", said), said
    ui.page.get_by_text(re.compile(r"^search: \d+ of 24\.")).first.wait_for()
    return float(said.removeprefix("Progress: ").removesuffix("%"))


def test_a_quick_run_and_what_there_is_to_read(ui: Ui) -> None:
    run = ui.quick_run("nightly")
    done = ui.ended(run, "Promoted")
    assert re.search(r": v1, m1 against the baselines, promoted$", done["name"])
    ui.artifacts()
    for key in ("verdict", "models", "decision", "search", "report", "search-progress"):
        ui.page.get_by_text(key, exact=True).first.wait_for()
    ui.shoot("artifacts")
    for key in ("decision", "models", "verdict"):
        found = ui.up.ask(
            "artifacts/filter",
            {"artifacts": {"key": {"any_": [key]}, "flow_run_id": {"any_": [done["id"]]}}},
        )
        ui.go(f"artifacts/artifact/{found[0]['id']}")
        if key == "decision":
            assert found[0]["data"] == "/reports/r1-decision.svg"
            ui.page.locator("img[src$='/reports/r1-decision.svg']").first.wait_for()
            width = "document.querySelector(\"img[src$='decision.svg']\").naturalWidth > 100"
            ui.page.wait_for_function(width)
        else:
            ui.page.get_by_text("R²").first.wait_for()
        ui.shoot(f"artifact-{key}")
    wanted = {"artifacts": {"key": {"any_": ["report"]}, "flow_run_id": {"any_": [done["id"]]}}}
    ui.go(f"artifacts/artifact/{ui.up.ask('artifacts/filter', wanted)[0]['id']}")
    link = ui.page.get_by_role("link", name="The full report").first
    ui.page.goto(urljoin(ui.page.url, str(link.get_attribute("href"))))
    assert ui.page.url == f"http://127.0.0.1:{ui.up.port}/reports/report-r1.html"
    ui.page.get_by_text("PROMOTED", exact=False).first.wait_for()
    ui.shoot("report")


@pytest.mark.slow
def test_a_custom_run_uses_its_parameters_and_shows_its_progress(ui: Ui) -> None:
    _land(ui, 1)
    run = ui.custom_run("nightly", **{"N Trials": "12", "Seed": "7"})
    assert run["parameters"]["parameters"]["n_trials"] == 12
    assert run["parameters"]["parameters"]["seed"] == 7
    ui.up.searching(run)
    progress = {
        "artifacts": {"key": {"any_": ["search-progress"]}, "flow_run_id": {"any_": [run["id"]]}}
    }
    [artifact] = ui.up.ask("artifacts/filter", progress)
    seen = _progress_shown(ui, artifact["id"])
    until(lambda: _progress_shown(ui, artifact["id"]) > seen, 60, "it does not move")
    ui.shoot("progress")
    ui.rest()
    done = ui.up.ended(run)
    assert done["state"]["type"] == "COMPLETED"
    shown = ui.up.housing("runs")[0]["run"]
    assert ui.up.housing("show", shown)["parameters"]["n_trials"] == 12


@pytest.mark.slow  # tests/flows/test_rollback.py rolls back without a browser
def test_a_rollback_changes_the_champion(ui: Ui) -> None:
    """Two champions first, whatever the gate says of the new rows."""
    for day in range(2, 8):
        if len({line["to"] for line in ui.up.housing("history")}) > 1:
            break
        _land(ui, day, 2000)
        ui.up.ended(ui.up.run(families=["forest"]))
    before = ui.up.housing("champion")["to"]
    assert before != "m1", "no second champion"
    run = ui.custom_run("rollback", Reason="complaints from the field")
    ui.ended(run, "Rolled back")
    after = ui.up.housing("history")
    line = next(line for line in after if line["operation"] == "rollback")
    assert (line["from"], line["reason"]) == (before, "complaints from the field")
    assert ui.up.housing("champion")["to"] == line["to"] != before


def test_a_form_without_a_reason_is_refused(ui: Ui) -> None:
    runs = ui.up.ask("flow_runs/count", {})
    ui.deployment("rollback")
    ui.page.get_by_role("button", name="Run", exact=True).click()
    custom = ui.page.get_by_role("menuitem", name="Custom run")
    if custom.count():
        custom.click()
    ui.page.wait_for_url("**/run?*")
    ui.page.get_by_role("button", name="Submit").click()
    ui.page.wait_for_timeout(1000)
    ui.shoot("refused")
    assert ui.up.ask("flow_runs/count", {}) == runs


def test_no_page_of_the_ui_asks_another_host(ui: Ui) -> None:
    """Its analytics client would fetch its configuration although analytics are off."""
    asked: set[str] = set()
    ui.page.context.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    for path in ("dashboard", "runs", "deployments", "settings", "automations"):
        ui.go(path)
        ui.page.wait_for_load_state("networkidle")
    assert asked - {""} == {f"127.0.0.1:{ui.up.port}"}
    settings = ui.up.ask("admin/settings")["server"]
    assert not settings["analytics_enabled"]
    assert not settings["ui"]["show_promotional_content"]
