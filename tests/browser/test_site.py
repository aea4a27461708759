"""The documentation as pages: `make site` builds it without a warning, search works offline."""

import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser.chromium import a_browser

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "pages" / "site"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture
def address() -> Iterator[str]:
    built = subprocess.run(["make", "site"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    handler = partial(SimpleHTTPRequestHandler, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_page_is_built_and_search_asks_no_other_host(address: str) -> None:
    pages = {page.with_suffix(".html").name for page in (ROOT / "docs").glob("*.md")}
    assert pages <= {page.name for page in SITE.glob("*.html")}
    asked: list[str] = []
    with a_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/settings.html")
        page.keyboard.press("/")
        found = page.locator("dialog[open]")
        found.wait_for(timeout=60_000)
        page.keyboard.type("rollback")
        found.get_by_text("housing dataset rollback").first.wait_for(timeout=60_000)
    assert asked
    assert [url for url in asked if not url.startswith(address)] == []
