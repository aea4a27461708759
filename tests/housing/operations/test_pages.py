"""Reports and cards in the blob store: served by every machine, backed up, pruned, missed."""

import os
import shutil
import time
from pathlib import Path

import pytest

from housing.operations import backup, doctor, monitor_report, prune
from housing.operations.heal import heal_pages
from housing.pipeline import model_card
from housing.pipeline.report import write_report
from housing.pipeline.run_context import NightlyParameters, RunContext
from housing.records import RunOutcome, RunResult
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.ownership import MARK, must_own, repair
from housing.store.database.tables import runs
from housing.store.objects.pages import page_storage
from tests.housing.operations.test_backup import elsewhere
from tests.housing.operations.test_backup import original as original
from tests.housing.operations.test_backup import s3 as s3
from tests.housing.operations.test_backup import s3_server as s3_server
from tests.housing.operations.test_backup import seen as seen
from tests.housing.serving.conftest import running

RESULT = RunResult(2, RunOutcome.PROMOTED, "Promoted.", 2, 2, 2)
PAGES = ("report-r2.html", "card-m2.html", "data-v2.html", "monitor.html")


def write_pages(store: Store, settings: Settings) -> str:
    """The pages of the newest run and the monitor's; returns where the report is."""
    monitor_report.write(store, settings)
    written = write_report(store, settings, RunContext(2, 0, NightlyParameters()), RESULT)
    return str(written.result.report)


def findings(store: Store, settings: Settings) -> list[str]:
    return [found.what for found in doctor.examine(store, settings).findings]


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_another_machine_serves_the_pages_of_a_blob_store(
    seen: Settings,
    tmp_path: Path,
    kind: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = str(tmp_path / "shared") if kind == "folder" else request.getfixturevalue("s3")
    with open_store(seen) as store:
        backup.create(store, seen)
    shared = {"blob_url": url, "database_url": f"sqlite:///{tmp_path / 'shared.db'}"}
    shutil.copytree(seen.home / "keys", tmp_path / "elsewhere" / "keys")
    first = elsewhere(tmp_path, **shared)
    backup.restore(first)
    with open_store(first) as store:
        assert write_pages(store, first) == f"{url}/reports/report-r2.html"
    assert not (first.home / "reports").exists()

    shutil.copytree(seen.home / "keys", tmp_path / "second" / "keys")
    second = load_settings(home=tmp_path / "second", **shared)
    with running(second) as client:
        for name in PAGES:
            answer = client.get(f"/reports/{name}")
            assert answer.status_code == 200, name
            assert answer.content == page_storage(first).read(name)
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert client.get("/reports/report-r99.html").status_code == 404
        assert client.get("/reports/store-id").status_code == 404
        [run] = [r for r in client.get("/dashboard/data").json()["runs"] if r["run"] == "r2"]
        assert run["links"]["report"] == "/reports/report-r2.html"


def test_a_backup_brings_the_pages_to_another_machine(
    original: Store, seen: Settings, tmp_path: Path
) -> None:
    write_pages(original, seen)
    pages = {name: page_storage(seen).read(name) for name in page_storage(seen).names()}
    made = backup.create(original, seen)
    assert backup.verify(original).good
    assert backup.create(original, seen).copied == 0
    page_storage(seen).write("monitor.html", b"of the next hour")
    assert backup.create(original, seen).copied == len(b"of the next hour")
    shutil.copytree(seen.home / "keys", tmp_path / "elsewhere" / "keys")
    there = elsewhere(tmp_path, blob_url=str(tmp_path / "their-blobs"))
    backup.restore(there, made.id)
    assert set(PAGES) <= set(pages)
    assert {n: page_storage(there).read(n) for n in page_storage(there).names()} == pages


def test_copies_of_pages_do_not_hide_whose_a_backup_is(original: Store, seen: Settings) -> None:
    write_pages(original, seen)
    backup.create(original, seen)
    original.backup.raw().write(MARK, b"damaged")
    repair(original, original.backup)
    assert must_own(original, original.backup)


@pytest.mark.system
def test_a_damaged_copy_of_a_page_is_found_and_written_again(
    original: Store, seen: Settings
) -> None:
    write_pages(original, seen)
    backup.create(original, seen)
    [copy] = [n for n in original.backup.names() if n.endswith(".html")][:1]
    original.backup.write(copy, b"damaged")
    assert any("sha256" in what for what in findings(original, seen))
    assert not backup.verify(original).good
    backup.create(original, seen)
    assert backup.verify(original).good


def test_prune_deletes_old_pages_and_keeps_the_cards_of_champions(
    original: Store, seen: Settings
) -> None:
    write_pages(original, seen)
    model_card.write(original, seen, 1)
    storage = page_storage(seen)
    old = time.time() - 91 * 24 * 3600
    for name in storage.names():
        os.utime(storage.at(name), (old, old))
    monitor_report.write(original, seen)
    going = set(storage.names()) - {"monitor.html"}
    cards = {f"card-m{model}.{kind}" for model in (1, 2) for kind in ("html", "md")}
    looked = prune.prune(original, seen, dry_run=True)
    assert set(storage.names()) == going | {"monitor.html"}
    assert prune.prune(original, seen) == looked
    assert looked.pages == len(going - cards) > 0
    assert set(storage.names()) == cards | {"monitor.html"}


def test_prune_keeps_the_copies_of_pages_that_a_backup_has(original: Store, seen: Settings) -> None:
    write_pages(original, seen)
    backup.create(original, seen)
    for name in original.backup.names():
        os.utime(original.backup.at(name), (0, 0))
    assert prune.prune(original, seen).copies == 0
    assert backup.verify(original).good


def test_a_missing_report_is_named_and_healed(
    original: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(doctor.CHECKS, "readiness")
    report = write_pages(original, seen)
    with original.write() as connection:
        connection.execute(runs.update().where(runs.c.id == 2).values(report=report))
    storage = page_storage(seen)
    whole = storage.read("report-r2.html")
    backup.create(original, seen)
    assert not [what for what in findings(original, seen) if "reports" in what]
    storage.remove("report-r2.html")
    assert "missing reports: 1, e.g. report-r2.html" in findings(original, seen)
    assert heal_pages(original, seen) == ("report-r2.html",)
    assert storage.read("report-r2.html") == whole
    assert heal_pages(original, seen) == ()
    storage.remove("report-r2.html")
    storage.remove("card-m2.html")
    backup.create(original, seen)  # the nightly one, before anyone has looked
    assert heal_pages(original, seen) == ("report-r2.html",)
    assert storage.read("report-r2.html") == whole
