"""Prefect's UI as a person uses it: pages, buttons, forms; a picture of each step."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.fixtures.housing_up import ENDED, Up

SECONDS = 120_000  # milliseconds


class Ui:
    """One page of a browser."""

    def __init__(self, page: Page, up: Up, folder: Path) -> None:
        self.page, self.up, self.folder = page, up, folder
        self._shots = 0

    def shoot(self, what: str) -> None:
        """Keep a picture."""
        self._shots += 1
        self.page.screenshot(path=self.folder / f"{self._shots:02}-{what}.png")

    def sign_in(self) -> None:
        """By the address that `housing up` prints, and nothing else."""
        self.page.goto(self.up.sign_in())
        # A page that is left while it checks the auth string forgets it.
        self.page.get_by_role("link", name="Deployments", exact=True).first.wait_for()

    def go(self, path: str) -> None:
        self.page.goto(f"http://127.0.0.1:{self.up.port}/v2/{path}")

    def rest(self) -> None:
        """Away from pages that draw all the time."""
        self.page.goto("about:blank")

    def deployment(self, name: str) -> None:
        """To a deployment's page, from the list."""
        self.go("deployments")
        self.page.get_by_role("link", name=name, exact=True).first.click()
        self.page.wait_for_url("**/deployments/deployment/*")
        self.shoot(f"deployment-{name}")

    def quick_run(self, name: str) -> dict[str, Any]:
        self.deployment(name)
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Quick run").click()
        return self._to_the_run()

    def custom_run(self, name: str, **fields: str) -> dict[str, Any]:
        """`fields` by their labels; a value that begins with `=` is chosen from a list."""
        self.deployment(name)
        self.page.get_by_role("button", name="Run", exact=True).click()
        custom = self.page.get_by_role("menuitem", name="Custom run")
        if custom.count():
            custom.click()
        self.page.wait_for_url("**/run?*")
        for label, value in fields.items():
            self._fill(label, value)
        self.shoot("form")
        self.page.get_by_role("button", name="Submit").click()
        return self._to_the_run()

    def _fill(self, label: str, value: str) -> None:
        """A field by its label."""
        named = f"normalize-space(.)='{label}' or normalize-space(.)='{label} (Optional)'"
        found = self.page.locator(f"xpath=//label[{named}]").first
        if value.startswith("="):
            found.locator("xpath=(following::*[text()='Select'])[1]").click()
            self.page.get_by_role("option", name=value[1:]).first.click()
        else:
            found.locator("xpath=(following::*[self::input or self::textarea])[1]").fill(value)

    def _to_the_run(self) -> dict[str, Any]:
        self.page.get_by_role("button", name="View run").click()
        self.page.wait_for_url("**/runs/flow-run/*")
        id_ = self.page.url.rpartition("/")[2].partition("?")[0]
        return self.up.see({"id": id_})

    def ended(self, run: dict[str, Any], state: str) -> dict[str, Any]:
        """Wait until the page says how the run ended."""
        expect(self.page.get_by_text(state, exact=True).first).to_be_visible(timeout=SECONDS)
        self.shoot(state.lower().replace(" ", "-"))
        found = self.up.see(run)
        assert found["state"]["type"] in ENDED
        return found

    def artifacts(self) -> None:
        self.page.get_by_role("tab", name="Artifacts").click()

    def cancel(self) -> None:
        self.page.get_by_role("button", name="Open menu").first.click()
        self.page.get_by_role("menuitem", name="Cancel").click()
        self.shoot("cancel")
        self.page.get_by_role("button", name="Cancel Flow Run").click()

    def resume(self, run: dict[str, Any], decision: str, reason: str) -> dict[str, Any]:
        """Answer the form of a run that waits; the run, once it has ended."""
        self.go(f"runs/flow-run/{run['id']}")
        self.page.get_by_text("Suspended", exact=True).first.wait_for()
        self.shoot("suspended")
        self.page.get_by_role("button", name="Open menu").first.click()
        self.page.get_by_role("menuitem", name="Resume").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_label("Select Decision").click()
        self.page.get_by_role("option", name=decision).first.click()
        dialog.locator("textarea").fill(reason)
        self.shoot("answer")
        dialog.get_by_role("button", name="Resume", exact=True).click()
        done = self.up.ended(run)
        self.page.get_by_text(done["state"]["name"], exact=True).first.wait_for()
        self.shoot("answered")
        self.rest()
        return done
