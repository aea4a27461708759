"""Deliveries of every kind, from the file to the dataset and to what a person is shown."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from housing import schema
from housing.errors import NotPossible
from housing.pipeline import datasets as dataset_steps
from housing.pipeline import ingest
from housing.pipeline.ingest import ingest_files
from housing.problems.california.census import Census, CensusOptions
from housing.problems.california.simulated.source import SimulatedOptions
from housing.records import BatchSummary
from housing.settings import Settings, load_settings
from housing.sources.landing import Landing
from housing.store import queries
from housing.store.data import batches, datasets, profiles
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import batches as batches_table
from housing.store.database.tables import evaluations
from housing.training.candidates import FAMILIES
from tests.fixtures import dataset_operations
from tests.fixtures.pausing import Paused, Point
from tests.fixtures.run_without_prefect import plain_run
from tests.fixtures.small_settings import SMALL, _without_clock, landing_rows, small_forest
from tests.housing.conftest import Land

IDS = [f"d{i}" for i in range(120)]


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """A store on SQLite: what both databases do differently is tested in tests/housing/store."""
    with open_store(load_settings()) as opened:
        yield opened


@pytest.fixture
def small(home: Path, no_report: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a run that takes a second, on SQLite."""
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOUSING_SOURCES__LANDING_DIR", str(home / "landing"))
    monkeypatch.setitem(FAMILIES, "forest", small_forest())  # type: ignore[arg-type]
    return load_settings()


@pytest.fixture
def table() -> pd.DataFrame:
    return landing_rows(0, 120).assign(district_id=IDS)


def take(store: Store, path: Path, *, again: bool = False) -> BatchSummary:
    (found,) = ingest_files(store, load_settings(), [path], again=again).batches
    return found


def freeze_and_split(store: Store) -> int | None:
    """Freeze, split and measure what waits; returns the new version, if there is one."""
    made = datasets.append_waiting(store, reason="r", run=None)
    dataset_steps.split(store, load_settings())
    if made is not None:
        profiles.record_or_verify(store, made.id, datasets.read(store, made.id))
    return None if made is None else made.id


def population(store: Store) -> list[float]:
    with store.read() as connection:
        active = datasets.active(connection)
    assert active is not None
    return sorted(datasets.read(store, active.id)["population"])


def status(store: Store) -> list[str]:
    with store.read() as connection:
        return [need["message"] for need in queries.status(connection)["needs_a_person"]]


def commands(store: Store) -> list[str]:
    """What a person is offered."""
    with store.read() as connection:
        needs = queries.status(connection)["needs_a_person"]
    return [command for need in needs for command in need["commands"]]


# --- the same rows in another dress ----------------------------------------------------------

DRESSES: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "rows.csv": lambda t: t.sample(frac=1, random_state=1).to_csv(index=False).encode(),
    "columns.csv": lambda t: t[sorted(t)].to_csv(index=False).encode(),
    "crlf.csv": lambda t: t.to_csv(index=False, lineterminator="\r\n").encode(),
    "bom.csv": lambda t: t.to_csv(index=False).encode("utf-8-sig"),
    "quoted.csv": lambda t: t.to_csv(index=False, quoting=1).encode(),
    "packed.csv.gz": lambda t: gzip.compress(t.to_csv(index=False).encode()),
    "table.parquet": lambda t: t.to_parquet(index=False),
    "more.csv": lambda t: (
        t.assign(remark="x", surveyed_at="2024-12-31").to_csv(index=False).encode()
    ),
    "fewer.csv": lambda t: t.head(60).to_csv(index=False).encode(),
    "blanks.csv": lambda t: (
        t.assign(district_id=" " + t["district_id"]).to_csv(index=False).encode()
    ),
}


@pytest.mark.parametrize("name", DRESSES)
def test_known_rows_in_any_file_format_make_no_version(
    store: Store, small: Settings, tmp_path: Path, table: pd.DataFrame, name: str
) -> None:
    table.to_csv(tmp_path / "a.csv", index=False)
    assert take(store, tmp_path / "a.csv").status == "accepted"
    freeze_and_split(store)
    (tmp_path / name).write_bytes(DRESSES[name](table))
    found = take(store, tmp_path / name)
    assert (found.status, found.unchanged, found.changed) == ("unchanged", found.accepted, 0)
    assert found.accepted + found.rejected == found.read > 0
    assert "every accepted row is in the dataset as it is" in found.message
    assert freeze_and_split(store) is None
    assert take(store, tmp_path / name).message == f"{name} holds the same as b2; nothing to do."


def test_only_changed_rows_are_corrections(
    store: Store, small: Settings, tmp_path: Path, table: pd.DataFrame
) -> None:
    table.to_csv(tmp_path / "a.csv", index=False)
    take(store, tmp_path / "a.csv")
    freeze_and_split(store)
    fresh = landing_rows(1, 5).assign(district_id=[f"n{i}" for i in range(5)])
    mixed = pd.concat([table, fresh], ignore_index=True)
    mixed.loc[7, "median_house_value"] += 1_000
    mixed.to_csv(tmp_path / "b.csv", index=False)
    found = take(store, tmp_path / "b.csv")
    assert (found.status, found.accepted, found.changed, found.unchanged) == (
        "accepted", 125, 1, 119,
    )  # fmt: skip
    assert "5 new, 1 correction, 119 known unchanged" in found.message
    freeze_and_split(store)
    with store.read() as connection:
        newest = queries.list_batches(connection)[0]
        shown = queries.show_batch(connection, 2)
    assert newest["corrections"] == 1
    assert (shown["new_rows"], shown["known_unchanged"]) == (5, 119)


@pytest.mark.parametrize("change", [str.upper, lambda i: f"0{i}", lambda i: i.replace("d", "d ")])
def test_ids_that_differ_in_case_zeros_or_inner_blanks_are_other_districts(
    store: Store, small: Settings, tmp_path: Path, table: pd.DataFrame, change: Any
) -> None:
    table.to_csv(tmp_path / "a.csv", index=False)
    take(store, tmp_path / "a.csv")
    table.assign(district_id=[change(i) for i in IDS]).to_csv(tmp_path / "b.csv", index=False)
    found = take(store, tmp_path / "b.csv")
    assert (found.accepted, found.changed, found.unchanged) == (120, 0, 0)


# --- there and back --------------------------------------------------------------------------


def test_a_changed_source_table_is_followed_in_both_directions(
    store: Store, small: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    monkeypatch.setenv("HOUSING_SOURCES__NAMES", "sql")
    monkeypatch.setenv("HOUSING_SOURCES__SQL_URL", url)
    monkeypatch.setenv("HOUSING_SOURCES__SQL_TABLE", "t")
    monkeypatch.setenv("HOUSING_SOURCES__SQL_WATERMARK", "written")
    other = sa.create_engine(url)
    table = landing_rows(0, 80).assign(district_id=[2**60 + i for i in range(80)], written=1)
    table.to_sql("t", other, index=False)
    seen = []
    for mark, value in enumerate((None, 11, 22, 11, 22, 22), start=1):
        if value is not None:
            with other.begin() as connection:
                change = "UPDATE t SET population = :value, written = :mark WHERE rowid = 1"
                connection.execute(sa.text(change), {"value": value, "mark": mark})
        (found,) = ingest.ingest(store, load_settings(), run=None).batches
        made = freeze_and_split(store)
        seen.append((found.status, found.changed, made is not None, population(store)[0]))
    other.dispose()
    lowest = min(11.0, *table["population"][1:])
    assert [one[:3] for one in seen] == [
        ("accepted", 0, True),
        *[("accepted", 1, True)] * 4,
        ("unchanged", 0, False),
    ]
    assert seen[1][3] == seen[3][3] == lowest
    assert seen[2][3] == seen[4][3] == min(22.0, *table["population"][1:])


def test_a_file_that_lies_there_is_left_alone_and_a_copy_of_outdated_rows_is_named(
    store: Store, land: Land, table: pd.DataFrame
) -> None:
    folder = land("a.csv", frame=table).parent
    land("b.csv", frame=table.head(5).assign(population=77))
    settings = load_settings()
    ingest.ingest(store, settings, run=None)
    freeze_and_split(store)
    again = ingest.ingest(store, settings, run=None).batches
    assert [b.status for b in again] == ["unchanged", "unchanged"]
    assert [b.message for b in again] == [
        f"{name} holds the same as b{i}; nothing to do."
        for i, name in enumerate(("a.csv", "b.csv"), 1)
    ]
    (folder / "c.csv").write_bytes((folder / "a.csv").read_bytes())
    found = ingest.ingest(store, settings, run=None)
    assert (found.batches[2].status, found.batches[2].message) == (
        "superseded",
        "c.csv holds the same as b1; 5 of its rows have been corrected or withdrawn since. "
        f"`housing ingest --again {folder / 'c.csv'}` takes it as a new delivery.",
    )
    assert found.skipped_files.batches == found.batches[2:]
    assert 77.0 in population(store)
    taken = take(store, folder / "c.csv", again=True)
    assert (taken.status, taken.changed, taken.unchanged) == ("accepted", 5, 115)
    freeze_and_split(store)
    assert 77.0 not in population(store)
    last = ingest.ingest(store, settings, run=None).batches
    assert [b.status for b in last] == ["unchanged"] * 3
    land("d.csv", frame=table.head(9).assign(population=88))
    ingest.ingest(store, settings, run=None)
    freeze_and_split(store)
    last = ingest.ingest(store, settings, run=None).batches
    assert [b.status for b in last] == ["unchanged"] * 4, "all of them lie there"


def test_files_named_again_and_again_do_not_take_turns(
    store: Store, small: Settings, tmp_path: Path, table: pd.DataFrame
) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    table.to_csv(paths[0], index=False)
    table.assign(population=77).to_csv(paths[1], index=False)
    for path in paths:
        take(store, path)
        freeze_and_split(store)
    for _ in range(2):
        assert [take(store, path).status for path in paths] == ["superseded", "unchanged"]
        assert freeze_and_split(store) is None
    assert take(store, paths[1], again=True).status == "unchanged"
    for turn in (paths[0], paths[1], paths[0]):
        assert take(store, turn, again=True).changed == 120
        freeze_and_split(store)
    assert population(store) == sorted(table["population"])


def test_a_withdrawn_batch_that_is_delivered_again_names_the_command(
    store: Store, land: Land, table: pd.DataFrame
) -> None:
    path = land("a.csv", frame=table)
    land("b.csv", frame=landing_rows(1, 60))
    settings = load_settings()
    ingest.ingest(store, settings, run=None)
    freeze_and_split(store)
    before = population(store)
    dataset_operations.withdraw(store, 1, reason="wrong")
    (lies, _) = ingest.ingest(store, settings, run=None).batches
    named = take(store, path)
    how = "which was withdrawn; `housing dataset restore b1 --reason TEXT` brings it back."
    assert (lies.status, named.status) == ("unchanged", "superseded")
    assert lies.message == named.message == f"a.csv holds the same as b1, {how}"
    datasets.restore(store, 1, reason="it was right")
    assert population(store) == before
    assert take(store, path).message == "a.csv holds the same as b1; nothing to do."


# --- another unit ----------------------------------------------------------------------------


def test_a_file_in_another_unit_waits_for_a_person(
    store: Store, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    land("a.csv", 600)
    settings = load_settings()
    ingest.ingest(store, settings, run=None)
    freeze_and_split(store)
    wrong = landing_rows(1, 301)
    wrong["median_house_value"] = (wrong["median_house_value"] / 1_000).round(1)
    land("b.csv", frame=wrong)
    summary = ingest.ingest(store, settings, run=None)
    found = summary.batches[1]
    assert (found.status, found.read, found.accepted, found.rejected) == ("rejected", 301, 0, 301)
    assert "as if it were in thousands of US dollars" in found.message
    assert freeze_and_split(store) is None
    (need,) = status(store)
    assert need.startswith("b2 (b.csv) is rejected: 301 rows read, 0 accepted, 301 rejected")
    assert "unit: median_house_value" in need
    assert commands(store) == ["housing dataset discard b2"]
    message = batches.alert_of(found, 1)
    assert message is not None
    assert (message.subject, message.event) == ("b2", "quarantined")
    assert message.text.startswith("b.csv is rejected: ")
    assert "thousands of US dollars" in message.text
    with store.read() as connection:
        row = batches.get(connection, 2)
        assert queries.list_batches(connection)[0]["status"] == "rejected"
    kept = get_table(store, row.rejected).to_pandas()
    assert (len(kept), set(kept["code"])) == (301, {"range"})
    assert json.loads(kept["raw"][0])["median_house_value"]
    assert ingest.ingest(store, settings, run=None).batches[1].status == "unchanged"
    batches.discard(store, 2)
    assert status(store) == []
    again = ingest.ingest(store, settings, run=None).batches[1]
    assert "which was discarded; `housing ingest --again" in again.message


def test_a_file_mostly_in_another_unit_is_quarantined_and_the_column_named(
    store: Store, land: Land
) -> None:
    land("a.csv", 600)
    ingest.ingest(store, load_settings(), run=None)
    freeze_and_split(store)
    wrong = landing_rows(1, 301)
    wrong.loc[5:, "median_house_value"] /= 1_000
    land("b.csv", frame=wrong)
    found = ingest.ingest(store, load_settings(), run=None).batches[1]
    assert (found.status, found.rejected) == ("quarantined", 296)
    assert "thousands of US dollars" in found.message
    assert commands(store) == ["housing dataset accept b2", "housing dataset discard b2"]


# --- small batches ---------------------------------------------------------------------------


def test_five_corrections_after_batches_of_300_rows_come_in(store: Store, land: Land) -> None:
    table = landing_rows(0, 300)
    land("a0.csv", frame=table)
    for i in range(1, 6):
        land(f"a{i}.csv", 300, seed=i)
    land("b.csv", frame=table.head(5).assign(median_house_value=123_456))
    found = ingest.ingest(store, load_settings(), run=None).batches
    assert [b.status for b in found] == ["accepted"] * 7
    assert found[-1].changed == 5


def test_five_rows_after_files_of_a_header_come_in(store: Store, land: Land) -> None:
    for i in range(6):
        land(f"a{i}.csv", frame=landing_rows(0, 5).head(0).assign(**{f"remark{i}": 0}))
    land("b.csv", 5)
    land("c.csv", 300, seed=1)
    found = ingest.ingest(store, load_settings(), run=None).batches
    assert [b.status for b in found] == ["empty"] * 6 + ["accepted"] * 2
    assert [need.partition(" is ")[0] for need in status(store)] == [
        f"b{i + 1} (a{i}.csv)" for i in range(6)
    ]


def test_files_of_known_rows_do_not_change_the_usual_size(store: Store, land: Land) -> None:
    rows = landing_rows(1, 2_000)
    land("a.csv", frame=rows.head(1_500))
    for i in range(7):
        land(f"known{i}.csv", frame=rows[i * 60 : (i + 1) * 60])
    land("b.csv", frame=rows.tail(1_500))
    found = ingest.ingest(store, load_settings(), run=None).batches
    assert [b.status for b in found] == ["accepted", "accepted", *["unchanged"] * 7]
    land("c.csv", frame=landing_rows(2, 1_500))
    found = ingest.ingest(store, load_settings(), run=None).batches
    (last,) = [b for b in found if b.name == "c.csv"]
    assert last.status == "accepted", last.message


# --- a junk file decides nothing -------------------------------------------------------------


def _junk(folder: Path, known: pd.DataFrame) -> None:
    """Files of which nothing enters the dataset."""
    wrong = landing_rows(8, 430)
    wrong["median_house_value"] /= 1_000
    wrong.to_csv(folder / "j1.csv", index=False)
    (folder / "j2.xlsx").write_bytes(b"PK\x03\x04")
    (folder / "j3.csv").write_text(known.head(0).to_csv(index=False))
    few = pd.concat([known.head(8), wrong.head(40)])
    few.to_csv(folder / "j4.csv", index=False)
    (folder / "j5.csv").write_text(known.to_csv(index=False, lineterminator="\r\n"))
    held = landing_rows(9, 300)
    held.loc[:200, "population"] = -1
    held.to_csv(folder / "j6.csv", index=False)
    (folder / "j7.csv").write_text("no,table\n1,2\n")


def _verdicts(home: Path, monkeypatch: pytest.MonkeyPatch, junk_on: int | None) -> list[Any]:
    """Outcome of four runs and all that was judged in them."""
    monkeypatch.setenv("HOUSING_HOME", str(home))
    folder = home / "landing"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOUSING_SOURCES__LANDING_DIR", str(folder))
    first = landing_rows(0, 1200)
    outcomes = []
    for day in range(4):
        if day < 3:
            table = first if day == 0 else landing_rows(day, 250)
            table.to_csv(folder / f"a{day}.csv", index=False)
        if day == junk_on:
            _junk(folder, first)
        outcomes.append(str(plain_run().outcome))
    with open_store(load_settings()) as store, store.read() as connection:
        judged = connection.execute(sa.select(evaluations).order_by(evaluations.c.id)).all()
    return [outcomes, *((_without_clock(e.evidence), _without_clock(e.verdict)) for e in judged)]


@pytest.mark.system
def test_a_junk_file_changes_no_verdict_then_nor_later(
    small: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = _verdicts(tmp_path / "without", monkeypatch, None)
    assert without[0][0] == "promoted", "the later runs are judged against a champion"
    assert len(without) == 4, "three runs are judged, and the fourth has nothing new"
    for day in (1, 3):
        assert _verdicts(tmp_path / f"junk{day}", monkeypatch, day) == without


# --- two processes, and one that dies --------------------------------------------------------


def _begun(path: Path) -> Paused:
    """Ingests a file and stops once the rows are stored, before SQL knows of them."""
    stored = Point("housing.store.data.segments:put_frame", after=True)
    return Paused("ingest_file", stored, str(path)).arrive()


@pytest.mark.parametrize("same_bytes", [True, False])
def test_of_two_processes_with_the_same_rows_only_one_stores_them(
    store: Store, small: Settings, tmp_path: Path, table: pd.DataFrame, same_bytes: bool
) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    table.to_csv(paths[0], index=False)
    table.to_csv(paths[1], index=False, lineterminator="\n" if same_bytes else "\r\n")
    begun = [_begun(path) for path in paths]  # both compared before either was recorded
    assert begun[1].finish().startswith("accepted")
    assert begun[0].finish() == ("unchanged 0" if same_bytes else "unchanged 120")
    assert len(datasets_of(store)) == (1 if same_bytes else 2)
    freeze_and_split(store)
    assert population(store) == sorted(table["population"])


def datasets_of(store: Store) -> list[int]:
    with store.read() as connection:
        return list(connection.execute(sa.select(batches_table.c.id)).scalars())


def test_an_interrupted_delivery_is_ingested_by_the_next_run(
    store: Store, small: Settings, tmp_path: Path, table: pd.DataFrame
) -> None:
    path = tmp_path / "a.csv"
    table.to_csv(path, index=False)
    _begun(path).kill()
    assert datasets_of(store) == []
    assert take(store, path).accepted == 120
    freeze_and_split(store)
    assert population(store) == sorted(table["population"])


def test_a_batch_is_compared_with_the_newest_facts_there_are(store: Store, land: Land) -> None:
    """A version that has not been read yet does not switch the rules off."""
    land("a.csv", 600)
    ingest.ingest(store, load_settings(), run=None)
    freeze_and_split(store)
    land("b.csv", 60, seed=1)
    ingest.ingest(store, load_settings(), run=None)
    datasets.append_waiting(store, reason="a run that dies here", run=None)
    shifted = landing_rows(2, 300)
    shifted[schema.TARGET] += 3_000_000
    land("c.csv", frame=shifted)
    assert ingest.ingest(store, load_settings(), run=None).batches[2].status == "quarantined"


# --- real rows and simulated ones --------------------------------------------------------------

UNREACHABLE = ("http://127.0.0.1:9/housing.csv",)


def census(settings: Settings, named: Path | None = None) -> Census:
    """The reference table: named, or unreachable, so that simulated districts take its place."""
    own = CensusOptions(table="" if named is None else str(named))
    options = {"census": own, "simulated": SimulatedOptions(rows=120)}
    chosen = ingest.options(settings).model_copy(update={"options": options})
    return Census(chosen, homes=UNREACHABLE)


def test_a_real_table_after_simulated_rows_is_refused_with_the_way_to_start_over(
    store: Store, small: Settings, tmp_path: Path, table: pd.DataFrame
) -> None:
    ingest.ingest_sources(store, small, [census(small)], run=None)
    freeze_and_split(store)
    table.to_csv(tmp_path / "real.csv", index=False)
    tries: list[Callable[[], Any]] = [
        lambda: take(store, tmp_path / "real.csv"),
        lambda: ingest.ingest_sources(
            store, small, [census(small, tmp_path / "real.csv")], run=None
        ),
    ]
    for attempt in tries:
        with pytest.raises(NotPossible, match=r"real\.csv .* not mixed.* HOUSING_HOME to an empty"):
            attempt()
    with store.read() as connection:
        (only,) = queries.list_batches(connection)
        (notice,) = queries.simulated(connection)
    assert only["simulated"]
    assert notice.startswith("SIMULATED DISTRICTS: the rows of b1 are")


def test_simulated_rows_are_left_out_beside_real_ones(
    store: Store, small: Settings, home: Path, table: pd.DataFrame
) -> None:
    (home / "landing").mkdir(exist_ok=True)
    table.to_csv(home / "landing" / "real.csv", index=False)
    for _ in range(2):
        sources = [census(small), Landing(ingest.options(small))]
        found = ingest.ingest_sources(store, small, sources, run=None).batches
        left = next(batch for batch in found if batch.source == "census")
        assert (left.status, left.id) == ("waiting", None)
        assert "are left out: the dataset has real districts" in left.message
    with store.read() as connection:
        assert [row["simulated"] for row in queries.list_batches(connection)] == [False]
