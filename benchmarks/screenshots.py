"""`python -m benchmarks screenshots [TABLE]`: the pictures of pages in README and docs.

Runs on the reference table in a home of its own: two promotions, a rollback, a third run, labels
of logged predictions with a shadow model, and monitor runs; then Chromium opens each page. With
`--all FOLDER` every page is also kept whole, at both widths, light and dark, to be looked at.
"""

import argparse
import io
import json
import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.data import add_table, reference_table
from benchmarks.homes import environment
from benchmarks.serving.servers import housing_server, server
from deployments.processes.prefect_server import free_port
from housing.errors import NoRollbackTarget
from housing.operations import labels as labelling
from housing.operations import monitor as monitoring
from housing.operations import monitor_report
from housing.pipeline import promote
from housing.pipeline.ingest import ingest_files
from housing.schema import FEATURES, KEY, TARGET
from housing.settings import load_settings
from housing.store.database.open import open_store
from tests.fixtures.run_without_prefect import plain_run

DOCS = Path(__file__).parents[1] / "docs"
LARGEST = 250_000
"""Bytes of a picture of docs."""

WIDE, PHONE = (1440, 1000), (390, 844)
FIRST, SECOND, THIRD, NEW = 4_000, 12_000, 3_000, 400
"""Rows of the three runs' files, and of a file that only the monitor sees."""

LABELLED = (400, 400, 440)
"""Rows that are predicted first and labelled later, by run of the monitor."""

SETTINGS = {
    "SOURCES__NAMES": "landing",
    "SOURCES__SETTLE_SECONDS": "0",
    "SERVE__SHADOW": "m1",
    "SEARCH__N_TRIALS": "3",
    "SEARCH__ENSEMBLE_SIZE": "2",
    "VALUE__COST_PER_ERROR": "0.02",
}


@dataclass(frozen=True)
class Shot:
    """A picture of docs: page, size of the window and scheme."""

    file: str
    page: str
    window: tuple[int, int]
    dark: bool = False


SHOTS = (
    Shot("report.png", "report", (1440, 1500)),
    Shot("serving/prices.png", "predict", WIDE),
    Shot("serving/prices-phone-dark.png", "predict", PHONE, dark=True),
    Shot("serving/dashboard.png", "dashboard", WIDE),
    Shot("serving/dashboard-phone-dark.png", "dashboard", PHONE, dark=True),
    Shot("serving/monitor.png", "monitor", WIDE),
    Shot("serving/card.png", "card", WIDE),
    Shot("data/version.png", "data", WIDE),
)


class Home:
    """A home with runs, without the orchestrator, whose own pages are not shown here."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        os.environ.update(environment(folder, **SETTINGS, **settings))

    def land(self, name: str, rows: pd.DataFrame) -> Path:
        """A file in the landing directory."""
        path = self.folder / "landing" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.to_csv(path, index=False)
        return path

    def run(self, name: str, rows: pd.DataFrame) -> None:
        """A run with new rows."""
        self.land(name, rows)
        print(plain_run().message, flush=True)

    def make(self, table: pd.DataFrame) -> None:
        """Three runs and a rollback, then labels and runs of the monitor."""
        rows = iter(_parts(table, (FIRST, SECOND, THIRD, NEW, *LABELLED)))
        self.run("a", next(rows))
        self.run("b", next(rows))
        with (
            open_store(load_settings()) as store,
            suppress(NoRollbackTarget),
        ):  # m2 may not be champion
            promote.roll_back(store, None, "complaints about prices near the coast")
        os.environ["HOUSING_SEARCH__FAMILIES"] = "boosting,extra-trees,linear"
        self.run("c", next(rows))
        new, *later = rows
        with self.served() as address:
            for part in later:
                predict(address, part)
            time.sleep(15)  # the prediction log is written every five seconds
        self.monitor(later, new)

    def monitor(self, later: list[pd.DataFrame], new: pd.DataFrame) -> None:
        """A run of the monitor for each part of the predicted rows, once it has labels."""
        settings = load_settings()
        with open_store(settings) as store:
            for number, part in enumerate(later):
                if number == 1:
                    ingest_files(store, settings, [self.land("d", new)])
                labels = self.folder / f"labels-{number}.csv"
                part[[*KEY, TARGET]].to_csv(labels, index=False)
                print(labelling.ingest_labels(store, settings, [labels]).message, flush=True)
                monitoring.monitor(store, settings)
            monitor_report.write(store, settings)

    @contextmanager
    def served(self) -> Iterator[str]:
        """The address of a prediction server on this home."""
        port = free_port()
        with server(housing_server(port, 1), port, "/ready"):
            yield f"http://127.0.0.1:{port}"

    def pages(self) -> dict[str, str]:
        """Path of each page on the server by its name here."""
        reports = self.folder / "reports"
        newest = {
            kind: max(reports.glob(f"{kind}-*.html"), key=lambda path: path.stat().st_mtime).name
            for kind in ("report", "card", "data")
        }
        return {
            **{kind: f"/reports/{name}" for kind, name in newest.items()},
            "monitor": "/reports/monitor.html", "dashboard": "/dashboard", "predict": "/",
            "docs": "/docs",
        }  # fmt: skip


def _parts(table: pd.DataFrame, sizes: tuple[int, ...]) -> Iterator[pd.DataFrame]:
    """Rows of the table in random order, so many at a time."""
    rows, first = table.sample(frac=1, random_state=0), 0
    for size in sizes:
        yield rows[first : first + size]
        first += size


def predict(address: str, rows: pd.DataFrame) -> None:
    """Ask the server for the predictions of these rows."""
    records = json.loads(rows[list(FEATURES)].to_json(orient="records"))
    body = json.dumps({"rows": records}).encode()
    request = urllib.request.Request(
        f"{address}/predict", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60):
        pass


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; CHROMIUM names its program."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    if program is None:
        raise SystemExit("there is no Chromium: install it, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def opened(browser: Browser, address: str, window: tuple[int, int], dark: bool) -> Iterator[Page]:
    """A page once it is quiet; the form has been sent."""
    context = browser.new_context(
        viewport={"width": window[0], "height": window[1]},
        color_scheme="dark" if dark else "light",
    )
    page = context.new_page()
    page.goto(address, wait_until="networkidle")
    if address.endswith("/"):
        page.locator("form button[type=submit]").first.click()
        page.locator("#answer .predicted").wait_for(timeout=60_000)
        page.wait_for_load_state("networkidle")
        page.evaluate("window.scrollTo(0, 0)")
    yield page
    context.close()


def packed(picture: bytes) -> bytes:
    """The picture with a palette: a third of the bytes."""
    with Image.open(io.BytesIO(picture)) as image:
        sink = io.BytesIO()
        image.convert("RGB").quantize(256).save(sink, "PNG", optimize=True)
    return sink.getvalue()


def main() -> None:
    """Make the home, then the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    parser.add_argument("--home", type=Path, help="made once, and kept")
    parser.add_argument("--all", type=Path, help="folder for every page at each width and scheme")
    parser.add_argument("--metric", default="rmse", help="the metric that decides")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        home = Home(
            (options.home or Path(scratch) / "home").absolute(), GATE__METRIC=options.metric
        )
        if not (home.folder / "housing.db").exists():
            home.folder.mkdir(parents=True, exist_ok=True)
            home.make(pd.read_csv(reference_table(options)))
        with home.served() as address:
            pages = home.pages()
            if options.all:
                everything(browser, address, pages, options.all)
                return
            for shot in SHOTS:
                with opened(browser, address + pages[shot.page], shot.window, shot.dark) as page:
                    picture = packed(page.screenshot())
                if len(picture) > LARGEST:
                    raise SystemExit(f"{shot.file} has {len(picture):,} bytes")
                (DOCS / shot.file).parent.mkdir(exist_ok=True)
                (DOCS / shot.file).write_bytes(picture)
                print(f"docs/{shot.file}")


def everything(browser: Browser, address: str, pages: dict[str, str], folder: Path) -> None:
    """Each page whole, at both widths, light and dark; names those that scroll sideways."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in pages.items():
        for window in (WIDE, PHONE):
            for dark in (False, True):
                with opened(browser, address + path, window, dark) as page:
                    width = page.evaluate("document.documentElement.scrollWidth")
                    file = folder / f"{name}-{window[0]}{'-dark' if dark else ''}.png"
                    page.screenshot(path=file, full_page=True)
                    print(f"{file}{f': {width} px wide' if width > window[0] else ''}", flush=True)
