"""How a delivery stands to the dataset: new, changed or the same, and what that makes of it."""

import hashlib
from dataclasses import dataclass, field

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from housing import schema
from housing.errors import NotPossible
from housing.keys import KEY_COLUMN
from housing.store.data import batches, datasets, row_status, split
from housing.store.data.batches import NewBatch
from housing.store.data.row_status import CurrentRows
from housing.training.split import SplitRule
from tests.fixtures import dataset_operations

RULE = SplitRule(test_share=0.25, seed=1)
COLUMNS = [KEY_COLUMN, *schema.CATALOGUE]


def deliver(store, frame: pd.DataFrame, digest: str, status: str | None = None, present=None):
    """Store a delivery as intake does, without batch rules."""
    found = (present or CurrentRows(store)).compare(frame)
    status = status or ("unchanged" if found.changes_nothing else "accepted")
    new = NewBatch(
        source="landing", name="a.csv", digest=hashlib.sha256(digest.encode()).hexdigest(), size=1,
        simulated=True, watermark=None, read=len(frame), accepted=frame,
        rejected=pd.DataFrame(), rejections=(), status=status, message="", row_status=found,
    )  # fmt: skip
    return batches.add(store, new, run=None)


def freeze(store):
    made = datasets.append_waiting(store, reason="new batches", run=None)
    with store.read() as connection:
        todo = split.unsplit(connection)
    for batch in todo:
        split.split_batch(store, batch, RULE)
    return made


def rows_of(store) -> pd.DataFrame:
    with store.read() as connection:
        version = datasets.active(connection)
    return datasets.read(store, version.id)[COLUMNS]


def counted(found) -> tuple[int, int, int]:
    return found.new, found.changed, found.unchanged


def test_new_changed_and_unchanged_rows_are_told_apart(store, districts):
    assert counted(CurrentRows(store).compare(districts(range(50)))) == (50, 0, 0)
    deliver(store, districts(range(50)), "1")
    mixed = pd.concat([districts(range(10)), districts(range(10, 13), 1), districts([50, 51])])
    expected = (2, 3, 10)
    assert counted(CurrentRows(store).compare(mixed)) == expected, "while the first one waits"
    datasets.append_waiting(store, reason="r", run=None)
    assert counted(CurrentRows(store).compare(mixed)) == expected, "before the split"
    freeze(store)
    assert counted(CurrentRows(store).compare(mixed.sample(frac=1, random_state=1))) == expected
    summary = deliver(store, mixed, "2")
    assert (summary.accepted, summary.changed, summary.unchanged) == (15, 3, 10)


@pytest.mark.either_database
@pytest.mark.parametrize("column", list(schema.CATALOGUE))
def test_a_correction_of_any_one_column_counts(store, districts, column):
    frame = districts(range(20))
    deliver(store, frame, "1")
    other = districts(range(20), 1)
    corrected = frame.assign(**{column: other[column]})
    a, b = frame[column].astype(object), corrected[column].astype(object)
    differ = int((~((a == b) | (a.isna() & b.isna()))).sum())
    assert differ > 0
    assert counted(CurrentRows(store).compare(corrected)) == (0, differ, 20 - differ)


def test_a_delivery_of_known_rows_makes_no_version_and_is_remembered(store, districts):
    deliver(store, districts(range(30)), "1")
    assert freeze(store).batches == (1,)
    assert deliver(store, districts(range(5, 20)), "2").status == "unchanged"
    assert freeze(store) is None
    assert batches.BatchLookup(store).batch_with(
        hashlib.sha256(b"2").hexdigest()
    ).status == "unchanged"  # fmt: skip
    deliver(store, districts([99]), "3")
    assert freeze(store).batches == (1, 2, 3), "it enters with the next batch that changes a row"


def test_rows_that_a_later_delivery_repeats_stay_when_the_first_is_withdrawn(store, districts):
    deliver(store, districts(range(30)), "1")
    freeze(store)
    deliver(store, districts(range(20)), "2")
    deliver(store, districts(range(5), 1), "3")
    freeze(store)
    before = rows_of(store)
    dataset_operations.withdraw(store, 1, reason="wrong file")
    freeze(store)
    pd.testing.assert_frame_equal(rows_of(store), before[before[KEY_COLUMN] < 20])


def test_waiting_known_rows_enter_once_the_rows_that_they_repeat_are_withdrawn(store, districts):
    deliver(store, districts(range(30)), "1")
    freeze(store)
    deliver(store, districts(range(20)), "2")
    dataset_operations.withdraw(store, 1, reason="wrong file")
    assert freeze(store).batches == (2,)
    assert rows_of(store)[KEY_COLUMN].tolist() == list(range(20))


def test_a_withdrawn_batch_is_restored_at_its_position(store, districts):
    deliver(store, districts(range(10)), "1")
    freeze(store)
    deliver(store, districts(range(3), 1), "2")
    freeze(store)
    before = rows_of(store)
    dataset_operations.withdraw(store, 1, reason="wrong")
    with pytest.raises(NotPossible, match="never been in the dataset"):
        datasets.restore(store, 3, reason="r")
    assert datasets.restore(store, 1, reason="it was right").operation == "restore"
    pd.testing.assert_frame_equal(rows_of(store), before)
    with pytest.raises(NotPossible, match="in the active dataset"):
        datasets.restore(store, 1, reason="r")


def test_one_intake_reads_the_keys_of_a_segment_once(store, districts, monkeypatch):
    present = CurrentRows(store)
    read = []
    loaded = row_status.read
    monkeypatch.setattr(row_status, "read", lambda *a: read.append(a[2]) or loaded(*a))
    for number in range(6):
        deliver(store, districts(range(10 * number, 10 * number + 10)), str(number), None, present)
    assert read == [(KEY_COLUMN,)] * 5, "each waiting batch once, and no row of it"
    freeze(store)
    fresh = CurrentRows(store)
    assert counted(fresh.compare(districts(range(100, 110)))) == (10, 0, 0)
    assert len(read) == 5, "of new rows the split ledger knows enough"
    assert counted(fresh.compare(districts([59, 200]))) == (1, 0, 1)
    assert [columns == (KEY_COLUMN,) for columns in read[5:]] == [True, False]


def test_a_dataset_that_changed_since_the_comparison_is_compared_again(store, districts):
    frame = districts(range(10))
    found = CurrentRows(store).compare(frame)
    deliver(store, frame, "first")
    late = NewBatch(
        source="landing", name="b.csv", digest="b" * 64, size=1, simulated=True, watermark=None,
        read=10, accepted=frame, rejected=pd.DataFrame(), rejections=(), status="accepted",
        message="", row_status=found,
    )  # fmt: skip
    assert batches.add(store, late, run=None) is None
    assert deliver(store, frame, "second").status == "unchanged"


def test_only_what_waits_for_a_person_is_discarded(store, districts):
    deliver(store, districts([1]), "1", status="quarantined")
    deliver(store, districts([2]), "2")
    batches.discard(store, 1)
    for batch, why in ((1, "it is discarded"), (2, "it is accepted")):
        with pytest.raises(NotPossible, match=why):
            batches.discard(store, batch)
    with pytest.raises(NotPossible, match="discarded, not quarantined"):
        batches.release_quarantined(store, 1)
    assert freeze(store).batches == (2,)


# --- any order of deliveries and withdrawals ----------------------------------------------------

keys = st.lists(st.integers(0, 11), min_size=1, max_size=8, unique=True)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), keys, st.integers(0, 2)),
        st.tuples(st.just("freeze")),
        st.tuples(st.sampled_from(["withdraw", "restore"]), st.integers(1, 6)),
    ),
    min_size=1,
    max_size=14,
)


@dataclass
class Fold:
    """What the dataset must hold: the newest row of each key over batches not withdrawn."""

    delivered: dict[int, pd.DataFrame] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)

    def rows(self) -> pd.DataFrame:
        there = [f for batch, f in self.delivered.items() if batch not in self.withdrawn]
        frame = pd.concat(there).drop_duplicates(KEY_COLUMN, keep="last")
        return frame.sort_values(KEY_COLUMN, ignore_index=True)[COLUMNS]


@settings(suppress_health_check=list(HealthCheck))
@given(steps)
def test_the_dataset_is_the_fold_of_what_was_delivered_and_not_withdrawn(
    blank_sqlite, districts, steps
):
    fold = Fold()
    with blank_sqlite() as store:
        for number, (step, *arguments) in enumerate(steps):
            if step == "deliver":
                frame = districts(*arguments)
                fold.delivered[deliver(store, frame, str(number)).id] = frame
            elif step == "freeze":
                freeze(store)
            else:
                change = dataset_operations.withdraw if step == "withdraw" else datasets.restore
                try:
                    change(store, arguments[0], reason="r")
                except NotPossible:
                    continue
                (fold.withdrawn.add if step == "withdraw" else fold.withdrawn.discard)(arguments[0])
        freeze(store)
        if set(fold.delivered) - fold.withdrawn:
            pd.testing.assert_frame_equal(rows_of(store), fold.rows())
