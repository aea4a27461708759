"""A real browser on a real `housing up`; what it saw is kept under tests/screenshots."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from housing.settings import load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from tests.browser.chromium import a_browser
from tests.browser.ui import Ui
from tests.fixtures.housing_up import Up, until
from tests.fixtures.small_settings import landing_rows

SCREENSHOTS = Path(__file__).parents[1] / "screenshots"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as opened:
        yield opened


def _up(home: Path, **settings: str) -> Iterator[Up]:
    running = Up(home, {"HOUSING_SEARCH__FAMILIES": "forest", **settings})
    landing_rows(0, 600).to_csv(home / "landing" / "a.csv", index=False)
    try:
        until(lambda: "prune" in running.deployments(), 120, "the deployments never appeared")
        yield running
    finally:
        running.stop()
        print(running.output())


@pytest.fixture(scope="module")
def up(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Whose runs promote by themselves."""
    yield from _up(tmp_path_factory.mktemp("ui") / "home")


@pytest.fixture(scope="module")
def asking(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Whose runs ask a person."""
    yield from _up(tmp_path_factory.mktemp("asking") / "home", HOUSING_GATE__APPROVAL="true")


@pytest.fixture
def ui(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Ui]:
    up: Up = request.getfixturevalue(getattr(request, "param", "up"))
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page: Page = context.new_page()
    page.set_default_timeout(30_000)
    folder = SCREENSHOTS / request.node.name.replace("/", "-")
    shutil.rmtree(folder, ignore_errors=True)
    driven = Ui(page, up, folder)
    driven.sign_in()
    try:
        yield driven
    finally:
        if page.url != "about:blank":
            driven.shoot("end")
        context.close()


@pytest.fixture
def store(ui: Ui, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store below the server of `ui`."""
    monkeypatch.setenv("HOUSING_HOME", str(ui.up.home))
    with open_store(load_settings()) as opened:
        yield opened
