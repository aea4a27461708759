"""The prediction API and page of a problem without location, symbol and house words."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from playwright.sync_api import expect

from tests.browser.chromium import a_browser
from tests.fixtures.plain_home import HOUSE_WORDS, ROOT, command, environment
from tests.fixtures.plain_problem import KINDS, PROBLEM, samples
from tests.housing.serving.conftest import free_port, until
from tests.housing.serving.test_contract import EXAMPLES, run_schemathesis

pytestmark = pytest.mark.xdist_group("plain")


@pytest.fixture(scope="module")
def plain(plain_home: Path) -> Iterator[httpx.Client]:
    """A client of a server of the plain problem, in a process of its own."""
    home, values, port = plain_home, environment(plain_home), free_port()
    serve = [sys.executable, "-m", "deployments.cli.__main__", "serve", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(serve, env=values, cwd=ROOT, stdout=log, stderr=log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            try:
                until(lambda: _ready(client) or process.poll() is not None, 120)
                assert process.poll() is None, (home / "server.log").read_text()
                yield client
            finally:
                process.terminate()
                process.wait(30)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def _rows(n: int, seed: int) -> list[dict[str, Any]]:
    frame = samples(n, seed).drop(columns="residue").astype(object)
    rows: list[dict[str, Any]] = frame.where(frame.notna(), None).to_dict("records")
    return rows


def test_rows_may_be_sent_under_both_names_and_a_fault_names_the_one_that_was(
    plain: httpx.Client,
) -> None:
    (row,) = _rows(1, 7)
    answers = [plain.post("/predict", json={key: [row]}).json() for key in ("rows", "samples")]
    assert answers[0] == answers[1]
    assert answers[0]["unit"] == "mg/l"
    assert answers[0]["predictions"][0]["sample"] == row["sample"]
    for key in ("rows", "samples"):
        wrong = plain.post("/predict", json={key: [{**row, "flow": -1}]})
        assert wrong.json()["errors"][0]["field"] == f"{key}[0].flow"
    both = plain.post("/predict", json={"rows": [row], "samples": [row]})
    assert both.status_code == 422
    assert "rows and samples, which are the same" in both.json()["detail"]


def test_without_a_location_nothing_asks_for_or_names_one(plain: httpx.Client) -> None:
    for path in ("/map", "/nearest?x=1&y=2"):
        assert plain.get(path).status_code == 404
    assert plain.get("/form").json()["location"] is None
    found = plain.post("/explain", json={"rows": _rows(1, 7)}).json()
    assert "neighbours" not in found
    total = found["base_value"] + sum(c["contribution"] for c in found["contributions"])
    assert total == pytest.approx(found["predictions"][0]["predicted"], rel=1e-9)
    assert {c["feature"] for c in found["contributions"]} == {"kind", "grain", "flow", "pressure"}


def test_a_row_outside_the_training_range_is_flagged_without_coordinates(
    plain: httpx.Client,
) -> None:
    (row,) = _rows(1, 7)
    rows = [{**row, "flow": 50.0}, {**row, "flow": 50.0, "grain": None}, {**row, "flow": 1e4}]
    found = plain.post("/predict", json={"rows": rows}).json()["predictions"]
    assert [p["extrapolates"] for p in found] == [False, False, True]
    assert "flow 10,000 is outside what the model was trained on" in found[2]["warnings"][0]


def test_intervals_cover_new_rows_as_promised_in_each_group(plain: httpx.Client) -> None:
    """The noise of one kind is ten times that of the others, and nothing lies nearby."""
    frame = samples(4000, 9)
    answer = plain.post(
        "/predict/batch",
        content=frame.to_csv(index=False).encode(),
        headers={"content-type": "text/csv"},
    )
    table = pd.read_csv(io.BytesIO(answer.content), keep_default_na=False, na_values=[""])
    inside = frame["residue"].between(table["lower"], table["upper"])
    assert 0.87 <= inside.mean() <= 0.93
    for kind in KINDS:
        assert 0.86 <= inside[frame["kind"] == kind].mean() <= 0.95, kind


def test_no_word_of_another_table_is_shown(plain: httpx.Client) -> None:
    for path in ("/", "/dashboard", "/words", "/form", "/openapi.json", "/model", "/metrics",
                 "/dashboard/data", "/static/predict.js", "/static/dashboard.js",
                 "/static/map.js", "/static/common.js", "/docs", "/static/docs.js"):  # fmt: skip
        text = plain.get(path).text
        if path.endswith(".js"):
            text = text.replace("${", "{")
        shown = re.sub(r"housing_\w+|`housing \w+|HOUSING_\w+|housing (rollback|retrain)", "", text)
        assert HOUSE_WORDS.findall(shown) == [], path
    wrong = plain.post("/predict", json={"rows": [{}]})
    assert HOUSE_WORDS.findall(wrong.text) == []
    assert json.loads(plain.get("/words").content)["rows"] == PROBLEM.wording.rows


@pytest.mark.system
def test_labels_with_and_without_ids_have_keys_of_categories_and_gaps(
    plain: httpx.Client, plain_home: Path, tmp_path: Path
) -> None:
    """The key is every feature; a sample to label keeps rows whose optional category is empty."""
    frame = samples(30, 11)
    frame.loc[::2, "sample"] = None
    frame.loc[0, ["grain", "pressure"]] = None
    file, audit = tmp_path / "labels.csv", tmp_path / "audit.csv"
    frame.to_csv(file, index=False)
    ingested = command(plain_home, "ingest", "--labels", str(file))
    assert "30 labels, 0 rejected" in " ".join(ingested.split())
    assert "40 samples" in command(plain_home, "audit", "sample", "-n", "40", "-o", str(audit))
    sampled = pd.read_csv(audit)
    assert sampled["sample"].notna().all()
    assert sampled["residue"].isna().all()
    assert sampled["grain"].isna().any()


@pytest.mark.system
def test_no_request_that_schemathesis_makes_up_is_a_server_error(
    plain: httpx.Client, tmp_path: Path
) -> None:
    done = run_schemathesis(plain, EXAMPLES, tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.system
@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_has_the_problems_words_and_precision_and_no_map(
    plain: httpx.Client, width: int
) -> None:
    with a_browser() as browser:
        page = browser.new_page(
            base_url=str(plain.base_url), viewport={"width": width, "height": 900}
        )
        page.goto("/")
        page.get_by_role("button", name="Predict residue").click()
        expect(page.locator("#predicted")).to_have_text(re.compile(r"^0\.0\d{1,4} mg/l$"))
        expect(page).to_have_title(PROBLEM.wording.title)
        expect(page.locator("#map-section")).to_be_hidden()
        expect(page.locator("#nearby")).to_be_hidden()
        assert HOUSE_WORDS.findall(page.inner_text("body")) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.goto("/dashboard")
        expect(page.locator("#tiles")).to_contain_text("0.0031")
        assert HOUSE_WORDS.findall(page.inner_text("body").replace("housing", "")) == []
