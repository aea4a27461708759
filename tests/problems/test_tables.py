"""Two more tables, each a package as a team writes one: all that the system does, on each.

A home has four runs with deliveries; all its tests use it, in this order. Each command is a
process of its own, as a problem is a process's.
"""

import io
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from math import sqrt
from pathlib import Path

import httpx
import pandas as pd
import pytest
from playwright.sync_api import expect

from housing.keys import ids_of_keys, keys_of_ids
from housing.problem import Problem
from tests.browser.chromium import a_browser
from tests.fixtures.plain_home import ROOT, environment
from tests.housing.serving.conftest import free_port, until
from tests.housing.serving.test_contract import run_schemathesis
from tests.problems.own_process import FIRST, NEXT
from tests.problems.tables import TABLES, TableMissing

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

CALIFORNIA = re.compile(
    r"\b(districts?|houses?|dollars?|california|ocean\w*|longitude|latitude|census|km)\b", re.I
)
"""What no page and no message of another problem may show."""

SEARCHED = {
    "diamonds": {"HOUSING_SEARCH__FAMILIES": "boosting-log"},
    "flights": {"HOUSING_SEARCH__FAMILIES": "linear", "HOUSING_SEARCH__N_TRIALS": "4"},
}
"""Families that learn enough of few rows for a promotion."""


EXCHANGEABLE = {"diamonds"}
"""Tables whose later rows are like the earlier ones; flights of later weeks are not."""


@dataclass
class Home:
    """A home of a table, and all that its commands have printed."""

    name: str
    folder: Path
    printed: list[str] = field(default_factory=list)

    @property
    def problem(self) -> Problem:
        found: Problem = import_module(f"tests.problems.{self.name}").PROBLEM
        return found

    def environment(self, **settings: str) -> dict[str, str]:
        own = {
            "HOUSING_PROBLEM": f"tests.problems.{self.name}",
            "HOUSING_SEARCH__ENSEMBLE_SIZE": "2",
        }
        return environment(self.folder) | SEARCHED[self.name] | own | settings

    def python(self, *arguments: str, codes: tuple[int, ...] = (0,), **settings: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments], env=self.environment(**settings), cwd=ROOT,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in codes, done.stdout[-3000:] + done.stderr[-3000:]
        self.printed.append(done.stdout + done.stderr)
        return done.stdout

    def housing(self, *arguments: str, codes: tuple[int, ...] = (0,), **settings: str) -> str:
        return self.python("deployments.cli.__main__", *arguments, codes=codes, **settings)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.folder / "housing.db")) as database:
            return database.execute(sql).fetchall()

    def rows(self, first: int, last: int) -> pd.DataFrame:
        """Rows after those of the runs."""
        seen = FIRST + 3 * NEXT
        return TABLES[self.name]().iloc[seen + first : seen + last]


@pytest.fixture(
    scope="module", params=["diamonds", pytest.param("flights", marks=pytest.mark.slow)]
)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Home:
    try:
        TABLES[request.param]()
    except TableMissing as missing:
        pytest.skip(str(missing))
    made = Home(request.param, tmp_path_factory.mktemp(request.param))
    made.python("tests.problems.own_process", "runs", "1", "4")
    return made


@pytest.fixture(scope="module")
def client(home: Home) -> Iterator[httpx.Client]:
    port = free_port()
    command = [sys.executable, "-m", "deployments.cli.__main__", "serve", "--port", str(port)]
    with (home.folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=home.environment(), cwd=ROOT, stdout=log, stderr=log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as found:
            try:
                until(lambda: _ready(found) or server.poll() is not None, 180)
                assert server.poll() is None, (home.folder / "server.log").read_text()
                yield found
            finally:
                server.terminate()
                server.wait(60)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def shown(text: str) -> str:
    """What people read of a page: no styles, outlines of glyphs, names of commands and settings."""
    return re.sub(
        r"<style>.*?</style>|<(path|use)[^>]*>|HOUSING_\w+|housing_\w+", "", text, flags=re.S
    )


def test_four_runs_promote_and_one_command_rolls_back(home: Home) -> None:
    runs = json.loads(home.housing("runs", "--json"))
    assert [run["status"] for run in runs] == ["completed"] * 4
    promotions = json.loads(home.housing("history", "--json"))
    assert len(promotions) >= 2
    champion = promotions[0]["to"]
    home.housing("rollback", "--reason", "complaints", "--yes")
    blocked, rolled_back, *_ = json.loads(home.housing("history", "--json"))
    assert blocked["blocks"] == rolled_back["from"] == champion
    assert (rolled_back["operation"], rolled_back["to"]) == ("rollback", promotions[1]["to"])
    home.housing("status")
    home.housing("compare", *sorted({p["to"] for p in promotions})[:2])
    home.housing("gate", "explain")


def test_report_and_card_are_about_this_table(home: Home) -> None:
    words, unit = home.problem.wording, home.problem.amount.unit
    pages = sorted((home.folder / "reports").glob("*"))
    assert {"report-r4.html", "card-m2.md"} <= {page.name for page in pages}
    for page in pages:
        text = shown(page.read_text())
        assert CALIFORNIA.findall(text) == [], page.name
        assert f" {unit}" in text, page.name
        assert words.rows in text, page.name
        assert "uncapped" not in text, page.name
        assert not re.search("map of|neighbours|spatial", text, re.IGNORECASE), page.name


@pytest.mark.slow
def test_each_family_is_fitted_stored_fast_and_explained(home: Home, tmp_path: Path) -> None:
    shutil.copytree(home.folder, tmp_path / "copy")
    copy = {"HOUSING_HOME": str(tmp_path / "copy")}
    names = home.python("tests.problems.own_process", "families", **copy).splitlines()
    expected = {"boosting", "boosting-log", "forest", "linear", "nearest", "svr"}
    if not home.problem.table.positive:
        expected.remove("boosting-log")
    assert {line.split()[0] for line in names} == expected
    if home.name == "diamonds":  # of the smallest ones a straight line predicts less than nothing
        (linear,) = (line for line in names if line.startswith("linear "))
        assert not linear.endswith(" 0 held in the range"), linear


@pytest.mark.slow
def test_predictions_of_a_file_meet_their_labels_in_the_monitor(
    home: Home, client: httpx.Client, tmp_path: Path
) -> None:
    table, rows = home.problem.table, home.rows(0, 300)
    given, labels, audit = tmp_path / "rows.csv", tmp_path / "labels.csv", tmp_path / "audit.csv"
    rows.drop(columns=table.target).to_csv(given, index=False)
    home.housing("predict", str(given), "-o", str(tmp_path / "predicted.csv"))
    predicted = pd.read_csv(tmp_path / "predicted.csv")
    assert predicted["predicted"].notna().all()
    csv = {"content-type": "text/csv"}
    answer = client.post("/predict/batch", content=given.read_bytes(), headers=csv)
    served = pd.read_csv(io.BytesIO(answer.content))
    pd.testing.assert_series_equal(served["predicted"], predicted["predicted"], rtol=1e-9)
    if home.name in EXCHANGEABLE:
        inside = rows[table.target].reset_index(drop=True).between(served["lower"], served["upper"])
        assert holds_90_percent(int(inside.sum()), len(inside), FIRST)
    until(lambda: home.query("SELECT id FROM prediction_batches"))  # the server writes them later
    rows[[table.id_column, table.target]].to_csv(labels, index=False)
    assert "300 labels, 0 rejected" in _line(home.housing("ingest", "--labels", str(labels)))
    home.housing("monitor", "--no-act", codes=(0, 3))
    page = (home.folder / "reports" / "monitor.html").read_text()
    assert CALIFORNIA.findall(shown(page)) == []
    assert f"RMSE ({home.problem.amount.unit})" in page

    home.housing("audit", "sample", "-n", "20", "-o", str(audit))
    sample = pd.read_csv(audit)
    every = TABLES[home.name]()
    known = every[table.target].set_axis(ids_of_keys(keys_of_ids(every[table.id_column])))
    sample[table.target] = known.loc[sample[table.id_column]].to_numpy()
    sample.to_csv(audit, index=False)
    assert "20" in _line(home.housing("ingest", "--audit", str(audit)))


def holds_90_percent(inside: int, rows: int, calibrated: int) -> bool:
    """Whether 90 % is plausible (99.99 %) for limits set by `calibrated` rows of the same draw."""
    deviation = sqrt(0.9 * 0.1 * (1 / rows + 1 / calibrated))
    return abs(inside / rows - 0.9) < 3.9 * deviation


def test_the_interval_holds_its_share_of_rows_like_those_of_training(client: httpx.Client) -> None:
    """The test side is drawn at random from the rows of the runs, so it is like their rest."""
    found = client.get("/model").json()
    assert found["nominal_coverage"] == 0.9
    inside = round(found["coverage"]["value"] * found["test_rows"])
    assert holds_90_percent(inside, found["test_rows"], found["train_rows"])


def _line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.slow
def test_an_export_and_a_restored_backup_predict_as_the_original(
    home: Home, tmp_path: Path
) -> None:
    rows = home.rows(0, 20).drop(columns=home.problem.table.target)
    rows.to_csv(tmp_path / "rows.csv", index=False)

    def predictions(name: str, **settings: str) -> str:
        out = tmp_path / f"{name}.csv"
        home.housing("predict", str(tmp_path / "rows.csv"), "-o", str(out), **settings)
        return out.read_text()

    original = predictions("original")
    home.housing("export", "m1", "-o", str(tmp_path / "export"))
    assert any((tmp_path / "export").iterdir())
    backup = {"HOUSING_BACKUP_URL": str(tmp_path / "backup")}
    home.housing("backup", "create", **backup)
    key = (home.folder / "keys" / "signing.key").read_text().strip()
    empty = {**backup, "HOUSING_HOME": str(tmp_path / "empty"), "HOUSING_SIGNING_KEY": key}
    home.housing("backup", "restore", **empty)
    assert predictions("restored", **empty) == original


@pytest.mark.slow
def test_no_request_that_schemathesis_makes_up_is_a_server_error(
    client: httpx.Client, tmp_path: Path
) -> None:
    done = run_schemathesis(client, 3, tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert _ready(client)


@pytest.mark.browser
def test_both_pages_work_and_are_about_this_table(
    home: Home, client: httpx.Client, tmp_path: Path
) -> None:
    words, unit = home.problem.wording, home.problem.amount.unit
    with a_browser() as browser:
        page = browser.new_page(base_url=str(client.base_url))
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: line.type == "error" and faults.append(line.text))
        page.goto("/")
        page.get_by_role("button", name=f"Predict {words.value}").click()
        expect(page.locator("#predicted")).to_have_text(re.compile(rf"^[^a-zA-Z]+ {unit}$"))
        expect(page).to_have_title(words.title)
        expect(page.locator("#map-section")).to_be_hidden()
        page.screenshot(path=tmp_path / "predict.png", full_page=True)
        texts = [page.inner_text("body")]
        page.goto("/dashboard")
        expect(page.locator("#tiles")).to_contain_text(unit)
        page.screenshot(path=tmp_path / "dashboard.png", full_page=True)
        texts.append(page.inner_text("body"))
    assert faults == []
    assert CALIFORNIA.findall(shown("".join(texts))) == []


def test_no_word_of_the_worked_problem_is_shown_anywhere(home: Home, client: httpx.Client) -> None:
    for path in ("/", "/dashboard", "/words", "/form", "/openapi.json", "/model", "/model/card",
                 "/metrics", "/dashboard/data", "/docs"):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert CALIFORNIA.findall(shown(answer.text)) == [], path
    assert CALIFORNIA.findall(client.post("/predict", json={"rows": [{}]}).text) == []
    for line in "".join(home.printed).splitlines():
        assert CALIFORNIA.findall(shown(line)) == [], line
    alerts = home.query("SELECT * FROM alerts")
    assert alerts
    assert CALIFORNIA.findall(shown(str(alerts))) == []
