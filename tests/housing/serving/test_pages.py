"""The pages in a real browser: by mouse, by keyboard, on a phone, in the dark, and used wrongly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from housing import schema
from housing.operations import monitor_report
from housing.pipeline.report import write_report
from housing.pipeline.run_context import NightlyParameters, RunContext
from housing.records import RunOutcome, RunResult
from housing.report.design import palette
from housing.store.database.open import open_store
from tests.browser.chromium import a_browser
from tests.housing.serving.conftest import only_settings

pytestmark = [pytest.mark.system, pytest.mark.browser]

INCOME = schema.TABLE.strata[0].column
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as started:
        yield started


@pytest.fixture
def page(browser: Browser, client: httpx.Client) -> Iterator[Page]:
    """A page whose console must stay empty and which may use no other server."""
    opened = browser.new_page(base_url=str(client.base_url), reduced_motion="reduce")
    opened.set_default_timeout(15_000)
    messages: list[str] = []
    asked: list[str] = []
    opened.on("pageerror", lambda error: messages.append(str(error)))
    opened.on("console", lambda message: messages.append(message.text))
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    opened.close()
    assert [text for text in messages if "422" not in text] == []
    assert [url for url in asked if not url.startswith(str(client.base_url))] == []


def _open(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#high")).not_to_be_empty()


def test_a_click_predicts_a_price_with_its_interval_and_reasons(page: Page) -> None:
    _open(page)
    page.get_by_role("button", name="Predict price").click()
    answer = page.get_by_role("region", name="Predicted price")
    expect(answer.locator("#predicted")).to_contain_text("$")
    expect(answer).to_contain_text("Contributions")
    features = len(schema.FEATURES) - 1  # both coordinates are one feature
    expect(answer.locator("#contributions tr")).to_have_count(features)
    expect(answer.locator("#neighbours tr")).to_have_count(8)


def test_the_page_shows_the_price_that_programs_get(page: Page, client: httpx.Client) -> None:
    _open(page)
    page.get_by_role("button", name="Predict price").click()
    values = {name: page.locator(f"#field-{name}").input_value() for name in schema.FEATURES}
    row = {n: v if n in schema.CATEGORIES else float(v) for n, v in values.items()}
    predicted = client.post("/predict", json={"districts": [row]}).json()["predictions"][0]
    expected = f"${round(predicted['predicted'] / 100) * 100:,.0f}"
    expect(page.locator("#predicted")).to_have_text(expected)


def test_a_click_on_the_map_fills_in_the_district(page: Page) -> None:
    _open(page)
    before = page.locator(f"#field-{INCOME}").input_value()
    box = page.locator("#map").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.62, box["y"] + box["height"] * 0.75)
    expect(page.locator("#map-status")).to_contain_text("The form has the district")
    expect(page.locator("#predicted")).to_contain_text("$")
    assert page.locator(f"#field-{INCOME}").input_value() != before


def test_everything_works_by_keyboard(page: Page) -> None:
    _open(page)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "map":
            break
    assert page.evaluate("document.activeElement.id") == "map"
    for key in ("+", "+", "ArrowLeft", "ArrowUp", "ArrowUp", "-", "0"):
        page.keyboard.press(key)
    expect(page.locator("#map-status")).to_contain_text("Nearest district")
    page.keyboard.press("Enter")
    expect(page.locator("#map-status")).to_contain_text("The form has the district")
    expect(page.locator("#predicted")).to_contain_text("$")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("-120.5")
    page.keyboard.press("Enter")
    first = page.locator("#fields input").first
    expect(first).to_have_value("-120.5")
    expect(page.locator("#predicted")).to_contain_text("$")


def test_a_wrong_field_is_marked_named_and_focused(page: Page) -> None:
    _open(page)
    field = page.locator(f"#field-{INCOME}")
    for wrong, words in (("999", "out of range"), ("rich", "not a number"), ("", "is missing")):
        field.fill(wrong)
        page.get_by_role("button", name="Predict price").click()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(page.locator(f"#field-{INCOME}-fault")).to_contain_text(words)
        expect(field).to_be_focused()
    page.get_by_role("button", name="Typical district").click()
    expect(field).to_have_attribute("aria-invalid", "false")
    page.get_by_role("button", name="Predict price").click()
    expect(page.locator("#predicted")).to_contain_text("$")


def test_what_is_typed_never_becomes_markup(page: Page) -> None:
    _open(page)
    page.locator(f"#field-{INCOME}").fill("<img src=x onerror=document.title='owned'>")
    page.get_by_role("button", name="Predict price").click()
    expect(page.locator(f"#field-{INCOME}-fault")).to_contain_text("<img")
    assert page.title() != "owned"
    assert page.locator("#fields img").count() == 0


def test_an_unusual_district_is_flagged(page: Page) -> None:
    _open(page)
    page.locator(f"#field-{INCOME}").fill("49")
    page.get_by_role("button", name="Predict price").click()
    expect(page.locator("#warnings")).to_contain_text("outside what the model was trained on")


@pytest.fixture(scope="module")
def written(champion_home: Path) -> Path:
    """The folder of the newest run's report, its card and the monitor's page."""
    with only_settings(champion_home) as settings, open_store(settings) as store:
        run = RunContext(2, 0, NightlyParameters())
        result = RunResult(2, RunOutcome.PROMOTED, "Promoted.", 2, 2, 2)
        write_report(store, settings, run, result)
        monitor_report.write(store, settings)
    return champion_home / "reports"


PAGES = (
    "/",
    "/dashboard",
    "/docs",
    "/model/card",
    "/reports/report-r2.html",
    "/reports/data-v2.html",
    "/reports/monitor.html",
)
FAINT = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = channels(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || /^(STYLE|SCRIPT)$/i.test(element.tagName)) continue;
    const style = getComputedStyle(element);
    const color = channels(element instanceof SVGElement ? style.fill : style.color);
    const [high, low] = [light(color), light(behind(element))].sort((a, b) => b - a);
    if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(`${text}: ${color} on ${behind(element)}`);
  }
  return faint;
}"""
"""Texts whose contrast with what is behind them is below 4.5, the least of WCAG 2.2 AA."""


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_every_page_fits_a_phone_and_is_readable(
    page: Page, written: Path, path: str, mode: Any
) -> None:
    page.emulate_media(color_scheme=mode)
    for size in (PHONE, {"width": 1280, "height": 900}):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.goto(path)
        page.wait_for_load_state("networkidle")
        if path == "/":
            page.get_by_role("button", name="Predict price").click()
            expect(page.locator("#neighbours tr")).to_have_count(8)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.evaluate(FAINT) == []
        color = page.evaluate("getComputedStyle(document.body).backgroundColor")
        wanted = (palette.LIGHT if mode == "light" else palette.DARK)["page"]
        assert color == f"rgb({', '.join(str(int(wanted[i : i + 2], 16)) for i in (1, 3, 5))})"


def test_a_report_is_served_as_the_file_is_and_nothing_else_of_the_home(
    client: httpx.Client, written: Path
) -> None:
    (written / "r2-error-map.svg").write_text("<svg/>")
    for name in (
        "report-r2.html",
        "card-m2.html",
        "data-v2.html",
        "monitor.html",
        "r2-error-map.svg",
    ):
        answer = client.get(f"/reports/{name}")
        assert answer.content == (written / name).read_bytes()
        assert "script-src" not in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert client.get("/model/card").content == (written / "card-m2.html").read_bytes()
    for name in ("report-r9.html", "card-m2.md", "..%2Fhousing.db", "../housing.db"):
        assert client.get(f"/reports/{name}").status_code == 404


def test_the_dashboard_links_each_run_to_its_report_card_and_data(
    page: Page, written: Path
) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto("/dashboard")
    row = page.locator("#runs tbody tr", has_text="r2").first
    expect(row).to_be_visible()
    for name in ("card-m2", "data-v2", "report-r2"):
        link = row.get_by_role("link", name=name.partition("-")[0])
        expect(link).to_have_attribute("href", f"/reports/{name}.html")
    link.click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_the_api_is_described_without_other_hosts(page: Page, client: httpx.Client) -> None:
    page.goto("/docs")
    expect(page.locator("main section").first).to_be_visible()
    titles = page.locator("main h2").all_inner_texts()
    described = client.get("/openapi.json").json()["paths"]
    assert titles == [f"{m.upper()} {path}" for path, methods in described.items() for m in methods]
    expect(page.get_by_role("region", name="POST /predict", exact=True)).to_contain_text(INCOME)


@pytest.mark.parametrize("path", ["/", "/dashboard"])
def test_buttons_have_a_finger_s_width(page: Page, path: str) -> None:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(path)
    page.wait_for_load_state("networkidle")
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44


@pytest.mark.parametrize("path", ["/", "/dashboard"])
def test_every_field_and_picture_has_a_name(page: Page, path: str) -> None:
    page.goto(path)
    page.wait_for_load_state("networkidle")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, canvas, svg[role=img]")]
        .filter(e => !(e.labels?.length || e.textContent.trim() || e.getAttribute("aria-label")
          || e.getAttribute("aria-labelledby"))).map(e => e.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1


def test_the_dashboard_shows_champion_errors_and_runs(page: Page) -> None:
    page.goto("/dashboard")
    expect(page.locator("#tiles")).to_contain_text("m2")
    expect(page.locator("#errors [role=img] circle")).to_have_count(2)
    expect(page.locator("#errors")).to_contain_text("the champion stayed")
    expect(page.locator("#errors-hint")).to_contain_text("RMSE of each run's champion")
    expect(page.locator("#runs")).to_contain_text("r2")
    expect(page.locator("#promotions tbody tr")).to_have_count(2)
    expect(page.locator("#alarms")).to_contain_text("b3")  # the quarantined batch needs a person


def test_simulated_districts_are_messages_loudly(page: Page, client: httpx.Client) -> None:
    """The landing files of these runs are delivered, hence not marked as simulated."""
    _open(page)
    expect(page.locator("#notice")).to_have_text(client.get("/form").json()["notice"])
