"""True prices that come later, and districts that a person has checked."""

import itertools
import multiprocessing
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from housing import schema
from housing.errors import NotPossible
from housing.keys import KEY_COLUMN, row_keys
from housing.operations import labels
from housing.operations.labelling_sample import REASON, sample, write_sample
from housing.operations.labels import ingest_audit, ingest_labels
from housing.pipeline import datasets as dataset_steps
from housing.pipeline.ingest import ingest_files
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import Settings
from housing.store import queries
from housing.store.data import batches, datasets
from housing.store.data.datasets import SIDE_COLUMN
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.runs import predictions
from tests.housing.serving.conftest import only_settings

KEY_AND_PRICE = [*schema.KEY, schema.TARGET]


@pytest.fixture
def seen(populated_home: Path, tmp_path: Path) -> Iterator[Settings]:
    home = tmp_path / "home"
    shutil.copytree(populated_home, home)
    with only_settings(home) as settings:
        yield settings


@pytest.fixture
def opened(seen: Settings) -> Iterator[Store]:
    with open_store(seen) as store:
        yield store


def _labels(store: Store) -> pd.DataFrame:
    with store.read() as connection:
        found = predictions.label_batches_all(connection)
    return pd.concat([get_table(store, row.segment).to_pandas() for row in found])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_prices_alone_are_kept_by_the_districts_key(
    seen: Settings, opened: Store, kind: str
) -> None:
    frame = simulate(20, 4)
    path = seen.home / f"prices.{kind}"
    prices = frame[KEY_AND_PRICE]
    prices.to_csv(path, index=False) if kind == "csv" else prices.to_parquet(path)
    batch = ingest_labels(opened, seen, [path]).batches[0]
    assert (batch.status, batch.read, batch.accepted, batch.rejected) == ("accepted", 20, 20, 0)
    found = _labels(opened)
    assert found["#key"].tolist() == row_keys(frame).tolist()
    assert found["#label"].tolist() == frame[schema.TARGET].tolist()


def test_the_same_file_twice_is_a_no_op(seen: Settings, opened: Store) -> None:
    path = seen.home / "prices.csv"
    simulate(20, 4)[KEY_AND_PRICE].to_csv(path, index=False)
    ingest_labels(opened, seen, [path])
    assert ingest_labels(opened, seen, [path]).batches[0].status == "unchanged"
    with opened.read() as connection:
        again, first = queries.list_runs(connection, 2)
    assert re.fullmatch(r"files: 1 accepted; \d+ rows accepted, \d+ rejected", first["message"])
    assert again["message"] == "files: 1 unchanged; 0 rows accepted, 0 rejected"
    assert len(_labels(opened)) == 20


def test_whole_number_ids_of_a_file_with_a_missing_one_stay_whole(
    seen: Settings, opened: Store
) -> None:
    path = seen.home / "prices.parquet"
    ids = pd.array([2**60 + 1, None, 2**60 + 2], dtype="Int64")
    pd.DataFrame({schema.ID_COLUMN: ids, schema.TARGET: 2e5}).to_parquet(path)
    ingest_labels(opened, seen, [path])
    frame = pd.DataFrame({schema.ID_COLUMN: [str(2**60 + 1), str(2**60 + 2)]})
    frame = frame.assign(**dict.fromkeys(schema.KEY, 0.0))
    assert set(_labels(opened)["#key"]) == set(row_keys(frame))


def test_an_id_is_enough(seen: Settings, opened: Store) -> None:
    path = seen.home / "prices.csv"
    path.write_text(f"{schema.ID_COLUMN},{schema.TARGET}\na,100000\n,100000\nb,200000\n")
    batch = ingest_labels(opened, seen, [path]).batches[0]
    assert (batch.accepted, batch.rejected) == (2, 1)
    frame = pd.DataFrame({schema.ID_COLUMN: ["a", "b"]}).assign(**dict.fromkeys(schema.KEY, 0.0))
    assert _labels(opened)["#key"].tolist() == row_keys(frame).tolist()


def test_rows_that_are_no_label_are_counted(seen: Settings, opened: Store) -> None:
    frame = simulate(4, 4)[KEY_AND_PRICE].astype(object)
    frame.loc[0, schema.TARGET] = "dear"
    frame.loc[1, schema.TARGET] = -5
    frame.loc[2, schema.KEY[0]] = ""
    path = seen.home / "prices.csv"
    frame.to_csv(path, index=False)
    batch = ingest_labels(opened, seen, [path]).batches[0]
    assert (batch.read, batch.accepted, batch.rejected) == (4, 1, 3)
    place = f"prices.csv, line 2, {schema.TARGET}"
    said = [rejection.example for rejection in batch.rejections]
    assert any(one.startswith(f"{place}: 'dear' is not a number; a number from") for one in said)
    assert "3 rejected; most often" in batch.message


@pytest.mark.parametrize("ids", [True, False])
def test_conflicting_labels_of_a_key_are_all_rejected(
    seen: Settings, opened: Store, ids: bool
) -> None:
    frame = simulate(4, 4)[KEY_AND_PRICE]
    if ids:
        frame = frame[[schema.TARGET]].assign(**{schema.ID_COLUMN: list("abcd")})
    other = frame.iloc[[1]].assign(**{schema.TARGET: 12_345.0})
    path = seen.home / "prices.csv"
    pd.concat([frame, other, frame.iloc[[2]]]).to_csv(path, index=False)
    batch = ingest_labels(opened, seen, [path]).batches[0]
    assert (batch.read, batch.accepted, batch.rejected) == (6, 4, 2)
    assert "6 rows read, 3 labels, 2 rejected, 1 the same as another row" in batch.message
    assert "prices.csv, lines 3 and 6: the same district twice" in batch.message
    assert _labels(opened)["#label"].tolist() == frame[schema.TARGET].iloc[[0, 2, 3]].tolist()


def test_a_broken_line_of_prices_costs_itself_only(seen: Settings, opened: Store) -> None:
    path = seen.home / "prices.csv"
    header = f"{schema.ID_COLUMN},{schema.TARGET},note"
    path.write_text(f'{header}\na,100000,x\nb,200000\n\n"c,300000,x\n"d",400000,"a, b"\n')
    batch = ingest_labels(opened, seen, [path]).batches[0]
    assert (batch.read, batch.accepted, batch.rejected) == (4, 2, 2)
    assert sorted((r.code, r.rows) for r in batch.rejections) == [("fields", 1), ("quote", 1)]
    assert _labels(opened)["#label"].tolist() == [100_000.0, 400_000.0]


def test_an_identifying_value_matters_only_without_an_id(seen: Settings, opened: Store) -> None:
    frame = simulate(4, 4)[KEY_AND_PRICE].astype(object)
    frame[schema.ID_COLUMN] = ["a", "", "b\x07", "d"]
    frame.loc[[0, 1], schema.KEY[0]] = "x"
    path = seen.home / "prices.csv"
    frame.to_csv(path, index=False)
    batch = ingest_labels(opened, seen, [path]).batches[0]
    assert (batch.accepted, batch.rejected) == (2, 2)
    assert _labels(opened)["#label"].tolist() == frame.loc[[0, 3], schema.TARGET].tolist()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", "a,b\n1,2\n", f"It must name the columns: {schema.TARGET}"),
        ("x.csv", f"{schema.ID_COLUMN}\n1\n", f"the column is missing: {schema.TARGET}"),
        ("x.csv", f"{schema.TARGET}\n1\n", "does not name the districts"),
        ("x.csv", "", "is empty"),
        ("x.csv", f"{schema.TARGET};{schema.ID_COLUMN}\n1;2\n", "separated by ';'"),
        ("x.txt", "", "is not a table; these are read"),
        ("x.parquet", "hello", "called Parquet and is not"),
        ("gone.csv", None, "does not exist"),
    ],
)
def test_a_file_that_is_no_table_of_prices_is_named(
    seen: Settings, opened: Store, name: str, content: str | None, words: str
) -> None:
    good = seen.home / "good.csv"
    simulate(5, 4)[KEY_AND_PRICE].to_csv(good, index=False)
    if content is not None:
        (seen.home / name).write_text(content)
    bad, other = ingest_labels(opened, seen, [seen.home / name, good]).batches
    assert bad.status == "unreadable"
    assert words in bad.message
    assert other.status == "accepted"


def test_a_labelling_sample_gives_the_reason_for_each_row(opened: Store) -> None:
    found = sample(opened, 20, seed=1)
    assert len(found) == 20
    assert found[schema.TARGET].isna().all()
    counts = found[REASON].value_counts()
    assert counts["models disagree"] == 8
    assert counts["random"] >= 4
    gap = (found["other"] - found["predicted"]).abs() / found["predicted"]
    picked = found[REASON] == "models disagree"
    assert gap[picked].min() >= gap[found[REASON] == "random"].max()


def test_the_random_part_depends_on_the_seed_alone(opened: Store) -> None:
    pd.testing.assert_frame_equal(sample(opened, 20, seed=1), sample(opened, 20, seed=1))
    assert not sample(opened, 20, seed=1).index.equals(sample(opened, 20, seed=2).index)


def test_a_sample_larger_than_all_there_is_is_all_there_is(opened: Store) -> None:
    everything = sample(opened, 10_000, seed=1)
    assert not everything.duplicated(list(schema.KEY)).any()


def test_a_file_that_is_there_is_not_overwritten(opened: Store, tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    write_sample(opened, path, 5, seed=0, other=None)
    filled = path.read_bytes()
    with pytest.raises(NotPossible, match="may have labels already"):
        write_sample(opened, path, 5, seed=0, other=None)
    assert path.read_bytes() == filled


def test_checked_districts_come_back_with_their_origin(
    seen: Settings, opened: Store, tmp_path: Path
) -> None:
    path = tmp_path / "audit.csv"
    write_sample(opened, path, 10, seed=0, other=None)
    frame = pd.read_csv(path)
    frame[schema.TARGET] = frame[schema.TARGET].astype(float)
    frame.loc[:5, schema.TARGET] = np.linspace(100_000, 300_000, 6)  # four are left empty
    frame.to_csv(path, index=False)
    batch = ingest_audit(opened, seen, [path]).batches[0]
    assert (batch.status, batch.read, batch.accepted) == ("accepted", 6, 6)
    with opened.read() as connection:
        row = batches.get(connection, batch.id or 0)
    assert row.source == "audit"
    kept = get_table(opened, row.segment).to_pandas()
    assert sorted(kept["#key"]) == sorted(row_keys(frame[:6]))  # by the ids in the file


@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "without"])
def test_an_audited_district_comes_back_as_the_same_district(
    seen: Settings, opened: Store, tmp_path: Path, ids: bool
) -> None:
    if ids:
        delivered = simulate(400, 9)
        delivered[schema.ID_COLUMN] = [f"id-{i}" for i in range(len(delivered))]
        delivered.to_csv(tmp_path / "ids.csv", index=False)
        ingest_files(opened, seen, [tmp_path / "ids.csv"])
    before = _split(opened, seen)
    path = tmp_path / "audit.csv"
    write_sample(opened, path, 300, seed=0, other=None)
    frame = pd.read_csv(path)
    assert frame[schema.ID_COLUMN].str.startswith("id-").any() == ids
    values = [*schema.KEY]
    priced = frame.drop(columns=schema.TARGET).merge(before[[*values, schema.TARGET]], on=values)
    priced.loc[::2, schema.TARGET] += 1_000  # half of the prices are found to be others
    priced.to_csv(path, index=False)
    assert ingest_audit(opened, seen, [path]).batches[0].accepted == 300
    after = _split(opened, seen)
    assert set(after[KEY_COLUMN]) == set(before[KEY_COLUMN])
    assert (after.groupby(values)[SIDE_COLUMN].nunique() == 1).all()


def _split(store: Store, settings: Settings) -> pd.DataFrame:
    datasets.append_waiting(store, reason="test", run=None)
    dataset_steps.split(store, settings)
    with store.read() as connection:
        version = datasets.active(connection)
    assert version is not None
    return datasets.read(store, version.id)


def test_without_a_champion_there_is_nothing_to_audit(store: Store) -> None:
    with pytest.raises(NotPossible, match="no champion yet"):
        sample(store, 5, seed=0)


# --- processes that die, and several at once ------------------------------------------------


def _ingest_and_die(settings: Settings, file: Path, moment: int) -> None:
    """kill -9 just before the end of a transaction (even moments), or just after it (odd)."""
    left = itertools.count(moment // 2, -1)

    def strike(*_: object) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with open_store(settings) as store:
        event.listen(*((Pool, "checkin") if moment % 2 else (store.engine, "commit")), strike)
        ingest_labels(store, settings, [file])
    os._exit(0)  # no buffers and fixtures of the parent's


def test_labels_count_once_whenever_their_ingest_is_killed(seen: Settings, tmp_path: Path) -> None:
    fork, table = multiprocessing.get_context("fork"), simulate(12, 5)[KEY_AND_PRICE]
    codes, delivered = [], []
    while len(codes) < 2 or {0, *codes[-2:]} != {0}:
        frame = table.assign(**{schema.TARGET: table[schema.TARGET] + len(codes) + 1})
        delivered.append(frame)
        file = tmp_path / f"labels{len(codes)}.csv"
        frame.to_csv(file, index=False)
        victim = fork.Process(target=_ingest_and_die, args=(seen, file, len(codes)))
        victim.start()
        victim.join(120)
        codes.append(victim.exitcode)
        with open_store(seen) as store:
            (again,) = ingest_labels(store, seen, [file]).batches
            assert again.status in ("accepted", "unchanged"), again
            found, every = _labels(store), pd.concat(delivered)
            assert sorted(found["#label"]) == sorted(every[schema.TARGET]), len(codes)
    assert set(codes) == {0, -signal.SIGKILL}
    assert codes.count(-signal.SIGKILL) > 10


def test_one_file_of_labels_that_two_processes_ingest_counts_once(
    opened: Store, seen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one looks the file up before the first one has stored it."""
    file = tmp_path / "labels.csv"
    simulate(12, 5)[KEY_AND_PRICE].to_csv(file, index=False)
    read = labels.labels_of

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(labels, "labels_of", read)
        assert ingest_labels(opened, seen, [file]).batches[0].status == "accepted"
        return read(*arguments)

    monkeypatch.setattr(labels, "labels_of", overtaken)
    (second,) = ingest_labels(opened, seen, [file]).batches
    assert (second.status, len(_labels(opened))) == ("unchanged", 12)
