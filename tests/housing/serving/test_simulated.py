"""Each page, file and answer about a model that learned from simulated rows names them."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from httpx import ASGITransport, AsyncClient

from housing.operations import monitor_report
from housing.pipeline import data_page, model_card, report
from housing.pipeline.run_context import NightlyParameters, RunContext
from housing.records import RunOutcome, RunResult
from housing.report import markdown
from housing.serving import api, pages
from housing.serving.app import create_app
from housing.settings import Settings, load_settings
from housing.store.database.open import open_store
from tests.fixtures.populated_home import mark_simulated
from tests.fixtures.small_settings import SMALL

OF_NO_MODEL = {
    "/health", "/ready", "/metrics", "/words", "/docs", "/openapi.json", "/static/style.css",
}  # fmt: skip
"""They have no figure of a model."""

BANNER = {"/": "/form", "/dashboard": "/dashboard/data"}
"""Pages of a script, and where it reads whether its banner is shown."""


@pytest.fixture(scope="module")
def simulated(populated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home whose batches are simulated, with its pages."""
    home = tmp_path_factory.mktemp("simulated") / "home"
    shutil.copytree(populated_home, home)
    mark_simulated(home)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SMALL, "HOUSING_HOME": str(home)}.items():
            patch.setenv(name, value)
        patch.chdir(home)
        settings = load_settings()
        run = RunContext(2, 0, NightlyParameters())
        result = RunResult(2, RunOutcome.PROMOTED, "It is better.", 2, 2, 2, "")
        with open_store(settings) as store:
            written = report.write_report(store, settings, run, result)
            model_card.write(store, settings, 2)
            monitor_report.write(store, settings)
            data_page.write(settings, data_page.collect(store, 2, None))
        (home / "reports" / "summary.md").write_text(markdown.summary(written.report))
        yield settings


@pytest.mark.parametrize(
    "name",
    ["report-r2.html", "card-m2.html", "card-m2.md", "monitor.html", "data-v2.html", "summary.md"],
)
def test_each_file_names_them_first(simulated: Settings, name: str) -> None:
    text = (simulated.home / "reports" / name).read_text()
    section = "<h2" if name.endswith(".html") else "\n|"
    assert "SIMULATED" in text.partition(section)[0]


WHERE = {"x": -122.2, "y": 37.8}


def test_each_answer_of_the_service_names_them(simulated: Settings) -> None:
    app = create_app(simulated)
    paths = {each.path for router in (api.router, pages.router) for each in router.routes}
    assert {"/predict", "/nearest", "/reports/{name}"} < paths

    async def ask() -> None:
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=ASGITransport(app), base_url="http://localhost") as client,
        ):
            example = (await client.get("/openapi.json")).json()["components"]["examples"]["one"]
            (row,) = (one := example["value"])[next(iter(one))]
            table = pd.DataFrame([row]).to_csv(index=False)
            file = {"content": table, "headers": {"content-type": "text/csv"}}
            how: dict[str, tuple[str, dict[str, Any]]] = {
                "/predict": ("POST", {"json": one}),
                "/explain": ("POST", {"json": one}),
                "/predict/batch": ("POST", file),
                "/nearest": ("GET", {"params": WHERE}),
            }
            for path in paths - OF_NO_MODEL - BANNER.keys():
                method, sent = how.get(path, ("GET", {}))
                answer = await client.request(
                    method, path.replace("{name}", "monitor.html"), **sent
                )
                assert answer.is_success, (path, answer.text[:300])
                told = answer.headers.get("X-Simulated") == "true" or "SIMULATED" in answer.text
                assert told or answer.json()["simulated"] is True, path
            for page, data in BANNER.items():
                assert 'id="simulated"' in (await client.get(page)).text
                assert (await client.get(data)).json()["simulated"] is True

    asyncio.run(ask())
