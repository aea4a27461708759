"""Rows that are kept out of the dataset stay out, whatever brings them again."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pandas as pd
import pytest
import sqlalchemy as sa

from housing.keys import KEY_COLUMN, row_keys
from housing.pipeline import ingest
from housing.settings import load_settings
from housing.store.data import batches, copies, datasets, profiles, split
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import blocks
from housing.training.split import SplitRule
from tests.fixtures import dataset_operations
from tests.fixtures.small_settings import landing_rows
from tests.housing.conftest import Land

pytestmark = pytest.mark.either_database

Frame = pd.DataFrame
BASE, BAD, OTHER = landing_rows(0, 400), landing_rows(1, 120), landing_rows(2, 80)

OTHER_UNIT = BAD.assign(median_income=BAD["median_income"] / 100)


def _ids(frame: Frame) -> Frame:
    return frame.assign(district_id=[f"d{i}" for i in range(len(frame))])


AGAIN: dict[str, Callable[[Frame], list[Frame]]] = {
    "shuffled": lambda frame: [frame.sample(frac=1, random_state=1)],
    "one row less": lambda frame: [frame.iloc[1:]],
    "one row more": lambda frame: [pd.concat([OTHER.iloc[:1], frame])],
    "two files": lambda frame: [frame.iloc[:60], frame.iloc[60:]],
    "ids": lambda frame: [_ids(frame)],
    "merged": lambda frame: [pd.concat([OTHER, frame])],
    "one row": lambda frame: [frame.iloc[[7]]],
}


def _take(store: Store) -> list[str]:
    """Statuses of what is new in the landing folder, once its rows are in a version."""
    found = ingest.ingest(store, load_settings(), run=None)
    _freeze(store)
    return [batch.status for batch in found.batches if batch.id is not None]


def _freeze(store: Store) -> None:
    datasets.append_waiting(store, reason="run", run=None)
    with store.read() as connection:
        todo = split.unsplit(connection)
    for batch in todo:
        split.split_batch(store, batch, SplitRule(0.2, 1))


def _message(store: Store, batch: int) -> str:
    with store.read() as connection:
        return str(batches.get(connection, batch).message)


def _members(store: Store) -> tuple[int, ...]:
    with store.read() as connection:
        active = datasets.active(connection)
    return () if active is None else active.batches


def _keys(store: Store) -> set[int]:
    with store.read() as connection:
        active = datasets.active(connection)
    assert active is not None
    return set(datasets.read(store, active.id, columns=())[KEY_COLUMN])


@pytest.fixture
def excluded(store: Store, land: Land, request: pytest.FixtureRequest) -> str:
    """b1 in the dataset, and the rows of b2 kept out of it in one of the ways; how b2 is named."""
    land("a.csv", frame=BASE)
    _take(store)
    profiles.measured(store, 1)
    land("b.csv", frame=BAD)
    if request.param == "withdrawn":
        assert _take(store) == ["accepted"]
        copies.withdraw(store, 2, reason="wrong")
        return "b2, which was withdrawn (`housing dataset restore b2 --reason TEXT` restores it)"
    land("b.csv", frame=OTHER_UNIT)
    assert _take(store) == ["quarantined"]
    if request.param == "quarantined":
        return "b2, which is quarantined (`housing dataset accept b2` accepts it)"
    batches.discard(store, 2)
    return "b2, which was discarded"


@pytest.mark.parametrize("excluded", ["quarantined", "discarded", "withdrawn"], indirect=True)
@pytest.mark.parametrize("again", AGAIN)
def test_blocked_rows_are_quarantined_whatever_file_delivers_them(
    store: Store, land: Land, excluded: str, again: str
) -> None:
    bad = BAD if "withdrawn" in excluded else OTHER_UNIT
    before = _members(store)
    for number, frame in enumerate(AGAIN[again](bad)):
        land(f"z{number}.csv", frame=frame)
    statuses = _take(store)
    assert set(statuses) == {"quarantined"}
    for batch in range(3, 3 + len(statuses)):
        assert excluded in _message(store, batch)
    assert _members(store) == before
    batches.release_quarantined(store, 3)
    _freeze(store)
    assert _members(store) == (1, 3)


@pytest.mark.parametrize("excluded", ["quarantined", "withdrawn"], indirect=True)
@pytest.mark.parametrize("again", AGAIN)
def test_copies_are_accepted_with_the_batch_that_they_repeat(
    store: Store, land: Land, excluded: str, again: str
) -> None:
    """Whatever brought the rows again: what a person has decided about them counts for all."""
    bad = BAD if "withdrawn" in excluded else OTHER_UNIT
    for copy in range(2):
        for number, frame in enumerate(AGAIN[again](bad)):
            land(f"z{copy}{number}.csv", frame=frame.iloc[:: 1 - 2 * copy])
    statuses = _take(store)
    assert set(statuses) == {"quarantined"}
    assert copies.release(store) == ()
    if "withdrawn" in excluded:
        datasets.restore(store, 2, reason="it was right")
    else:
        batches.release_quarantined(store, 2)
    own_reason = "quarantined" in excluded and again == "one row more"
    expected = () if own_reason else tuple(range(3, 3 + len(statuses)))
    assert copies.release(store) == expected
    assert ingest.ingest(store, load_settings(), run=None).stored == 0
    _freeze(store)
    assert _members(store) == (1, 2, *expected)


def test_the_next_delivery_releases_copies_too(store: Store, land: Land) -> None:
    """The command that accepted the batch may be killed before it has released its copies."""
    land("a.csv", frame=BASE)
    _take(store)
    land("b.csv", frame=BAD)
    _take(store)
    copies.withdraw(store, 2, reason="wrong")
    land("c.csv", frame=_ids(BAD))
    assert _take(store) == ["quarantined"]
    datasets.restore(store, 2, reason="it was right")
    _take(store)
    assert _members(store) == (1, 2, 3)


def test_rows_that_the_dataset_has_anyway_quarantine_nothing(store: Store, land: Land) -> None:
    """A full table every run: what is withdrawn is only what the second one brought."""
    land("a.csv", frame=BASE)
    _take(store)
    land("b.csv", frame=pd.concat([BASE, BAD]))
    _take(store)
    copies.withdraw(store, 2, reason="wrong")
    land("c.csv", frame=pd.concat([BASE, OTHER]))
    land("d.csv", frame=pd.concat([BASE, OTHER, BAD.iloc[:5]]))
    assert _take(store) == ["accepted", "quarantined"]
    assert "5 of 485 accepted rows are rows of b2" in _message(store, 4)


def test_a_blocked_batch_that_is_withdrawn_names_both_commands(
    store: Store, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    land("a.csv", frame=BASE)
    land("b.csv", frame=BAD)
    _take(store)
    monkeypatch.setattr(
        blocks,
        "current",
        lambda _: blocks.Blocks({}, {2: blocks.Block(1, "me", "wrong unit", None)}),
    )
    copies.withdraw(store, 2, reason="wrong")
    land("c.csv", frame=_ids(BAD))
    assert _take(store) == ["quarantined"]
    assert "which is blocked: wrong unit (`housing unblock b2` unblocks it" in _message(store, 3)


# --- withdrawing ------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", ["shuffled", "ids", "part", "waits"])
def test_copies_are_withdrawn_and_restored_with_the_batch_that_they_repeat(
    store: Store, land: Land, copy: str
) -> None:
    land("a.csv", frame=BASE)
    _take(store)
    without = _keys(store)
    land("b.csv", frame=BAD)
    _take(store)
    repeated = {"ids": _ids(BAD), "part": BAD.iloc[5:50]}.get(copy, BAD.iloc[::-1])
    land("c.csv", frame=repeated)
    if copy != "waits":
        land("d.csv", frame=OTHER)
    _take(store)
    rest = {} if copy == "waits" else {4}
    whole = _keys(store)
    done = copies.withdraw(store, 2, reason="wrong")
    if copy == "waits":
        assert (done.copies, done.discarded) == ((), (3,))
    else:
        assert (done.copies, done.discarded) == ((3,), ())
    assert done.staying == ()
    _freeze(store)
    assert set(_members(store)) == {1, *rest}
    assert without <= _keys(store)
    if copy == "waits":
        assert _keys(store) == without
    datasets.restore(store, 2, reason="it was right")
    _freeze(store)
    assert _keys(store) == whole


def test_a_later_batch_with_other_rows_stays_and_is_named(store: Store, land: Land) -> None:
    land("a.csv", frame=BASE)
    _take(store)
    land("b.csv", frame=BAD)
    _take(store)
    land("c.csv", frame=pd.concat([BAD.iloc[:30], OTHER]))
    _take(store)
    done = copies.withdraw(store, 2, reason="wrong")
    assert (done.copies, done.discarded) == ((), ())
    assert done.staying == (copies.Copy(3, 30, whole=False, waits=False),)
    assert _members(store) == (1, 3)


def test_rows_that_a_rollback_takes_out_do_not_return_with_a_copy_that_waits(
    store: Store, land: Land
) -> None:
    land("a.csv", frame=BASE)
    _take(store)
    without = _keys(store)
    land("b.csv", frame=BAD)
    _take(store)
    land("c.csv", frame=BAD.iloc[::-1])
    _take(store)
    _, discarded = copies.roll_back(store, 1, reason="wrong")
    assert discarded == (3,)
    _freeze(store)
    assert _keys(store) == without
    dataset_operations.roll_back(store, 2, reason="it was right")
    assert len(_keys(store)) > len(without)


def test_a_correction_is_no_copy_although_an_earlier_batch_has_its_values(
    store: Store, land: Land
) -> None:
    for name, frame in (
        ("a", BASE), ("b", BASE.iloc[:10].assign(median_income=1.5)), ("c", BASE.iloc[:10]),
    ):  # fmt: skip
        land(f"{name}.csv", frame=frame)
        _take(store)
    with store.read() as connection:
        assert copies.of(store, connection, 2) == ()
        (found,) = copies.of(store, connection, 1)
    assert (found.batch, found.whole) == (3, False)


@pytest.mark.parametrize("decision", ["withdraw", "roll back"])
def test_a_copy_that_arrives_between_lookup_and_decision_counts(
    store: Store, land: Land, decision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, frame in (("a", BASE), ("b", BAD)):
        land(f"{name}.csv", frame=frame)
        _take(store)
    without = set(_keys(store)) - set(_keys_of(BAD))

    def deliver() -> None:
        with open_store(load_settings()) as other:
            land("c.csv", frame=_ids(BAD))
            found = ingest.ingest(other, load_settings(), run=None)
            assert [batch.status for batch in found.batches if batch.id == 3] == ["accepted"]

    arriving, write = [deliver], Store.write

    def write_after_an_arrival(self: Store) -> AbstractContextManager[sa.Connection]:
        while arriving:
            arriving.pop()()
        return write(self)

    monkeypatch.setattr(Store, "write", write_after_an_arrival)
    if decision == "withdraw":
        assert copies.withdraw(store, 2, reason="wrong").discarded == (3,)
    else:
        assert copies.roll_back(store, 1, reason="wrong")[1] == (3,)
    _freeze(store)
    assert _keys(store) == without


def _keys_of(frame: Frame) -> set[int]:
    return set(row_keys(frame).tolist())


@pytest.mark.parametrize("undo", ["restore", "rollback"])
def test_a_discarded_copy_keeps_nothing_out_once_its_rows_are_back(
    store: Store, land: Land, undo: str
) -> None:
    """A withdrawal discards the copy that waits; no person decided about it."""
    land("a.csv", frame=BASE)
    _take(store)
    land("b.csv", frame=BAD)
    _take(store)
    land("c.csv", frame=BAD.iloc[::-1])
    _take(store)
    if undo == "restore":
        assert copies.withdraw(store, 2, reason="wrong").discarded == (3,)
    else:
        assert copies.roll_back(store, 1, reason="wrong")[1] == (3,)
    land("d.csv", frame=BAD.iloc[5:])
    assert _take(store) == ["quarantined"]
    assert "b3" not in _message(store, 4)
    if undo == "restore":
        datasets.restore(store, 2, reason="it was right")
    else:
        dataset_operations.roll_back(store, 2, reason="it was right")
    assert copies.release(store) == (4,)
    land("another.csv", frame=BAD.iloc[::-1])
    same = ingest.ingest(store, load_settings(), run=None).batches
    assert {b.name: b.status for b in same}["another.csv"] == "unchanged"
