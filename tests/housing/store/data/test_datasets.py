"""Dataset versions: each operation makes one, none changes or erases another."""

from contextlib import ExitStack

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from housing import schema
from housing.errors import BlobMissing, NothingToTrainOn, NotPossible, UnknownId
from housing.keys import KEY_COLUMN
from housing.store.data import batches as stored
from housing.store.data import datasets, profiles, split
from housing.store.database.tables import dataset_versions, version_batches
from housing.training.split import SplitRule
from tests.fixtures import dataset_operations

RULE = SplitRule(test_share=0.2, seed=42)
CELLS = [KEY_COLUMN, *schema.CATALOGUE]


def expected(frames):
    """Last value per key of frames in reading order, by the plainest means."""
    rows = pd.concat(frames).drop_duplicates(KEY_COLUMN, keep="last").sort_values(KEY_COLUMN)
    return rows[CELLS].reset_index(drop=True)


def append(store, reason="test"):
    version = datasets.append_waiting(store, reason=reason, run=None)
    with store.read() as connection:
        todo = split.unsplit(connection)
    for batch in todo:
        split.split_batch(store, batch, RULE)
    return version


def get(store, version):
    with store.read() as connection:
        return datasets.get(connection, version)


def active(store):
    with store.read() as connection:
        return datasets.active(connection)


@pytest.fixture
def delivered(store, districts, add_batch):
    """Three runs, overlapping: (frames by batch id, batch ids)."""
    frames = {}
    for revision, keys in enumerate(([1, 2, 3], [2, 3, 4], [3, 5])):
        frame = districts(keys, revision)
        frames[add_batch(store, frame)] = frame
        append(store)
    return frames, tuple(frames)


def test_the_last_value_of_a_key_counts(store, delivered):
    frames, ids = delivered
    for version in (1, 2, 3):
        frame = datasets.read(store, version)
        pd.testing.assert_frame_equal(
            frame[CELLS], expected([frames[b] for b in ids[:version]]), check_exact=True
        )
        assert frame["#test"].dtype == np.bool_


def test_each_operation_is_a_version_with_parent_and_reason(store, delivered):
    _, ids = delivered
    withdrawn = dataset_operations.withdraw(store, ids[1], reason="polluted")
    assert (withdrawn.id, withdrawn.parent, withdrawn.operation) == (4, 3, "withdraw")
    assert withdrawn.batches == (ids[0], ids[2])
    assert withdrawn.reason == "polluted"
    back = dataset_operations.roll_back(store, 2, reason="worse since")
    assert (back.id, back.parent, back.operation) == (5, 4, "rollback")
    assert back.batches == ids[:2]
    assert active(store) == back == get(store, 5)
    assert [get(store, v).batches for v in (1, 2, 3)] == [ids[:1], ids[:2], ids]


def test_withdrawing_lets_an_overwritten_value_reappear(store, delivered):
    frames, ids = delivered
    version = dataset_operations.withdraw(store, ids[1], reason="polluted").id
    frame = datasets.read(store, version)
    pd.testing.assert_frame_equal(frame[CELLS], expected([frames[ids[0]], frames[ids[2]]]))
    assert frame[KEY_COLUMN].tolist() == [1, 2, 3, 5]


def test_old_versions_are_read_unchanged(store, delivered):
    _, ids = delivered
    before = [datasets.read(store, v) for v in (1, 2, 3)]
    dataset_operations.withdraw(store, ids[0], reason="test")
    dataset_operations.roll_back(store, 1, reason="test")
    for version, frame in enumerate(before, start=1):
        pd.testing.assert_frame_equal(datasets.read(store, version), frame, check_exact=True)


def test_batches_after_a_rollback_are_added_to_the_restored_version(
    store, delivered, districts, add_batch
):
    frames, ids = delivered
    dataset_operations.roll_back(store, 1, reason="test")
    late = districts([1, 9], revision=9)
    batch = add_batch(store, late)
    version = append(store)
    assert version.batches == (ids[0], batch)
    pd.testing.assert_frame_equal(
        datasets.read(store, version.id)[CELLS], expected([frames[ids[0]], late])
    )


def test_a_rollback_can_be_rolled_back(store, delivered):
    _, ids = delivered
    dataset_operations.roll_back(store, 1, reason="test")
    assert dataset_operations.roll_back(store, 3, reason="it was better").batches == ids
    assert dataset_operations.roll_back(store, 4, reason="no").batches == ids[:1]
    assert dataset_operations.roll_back(store, 2, reason="a bit").batches == ids[:2]
    pd.testing.assert_frame_equal(datasets.read(store, 5), datasets.read(store, 3))


def test_a_restored_batch_has_its_former_position_in_the_reading_order(store, delivered):
    _, ids = delivered
    dataset_operations.withdraw(store, ids[0], reason="test")
    assert dataset_operations.roll_back(store, 3, reason="it was good").batches == ids
    pd.testing.assert_frame_equal(datasets.read(store, 5), datasets.read(store, 3))


def test_a_batch_can_be_withdrawn_and_restored_twice(store, delivered):
    _, ids = delivered
    for _ in range(2):
        dataset_operations.withdraw(store, ids[1], reason="test")
        dataset_operations.roll_back(store, 3, reason="test")
    without = (ids[0], ids[2])
    expected = [ids[:1], ids[:2], ids, without, ids, without, ids]
    assert [get(store, version).batches for version in range(1, 8)] == expected


def test_a_withdrawn_batch_does_not_come_back_by_itself(store, delivered):
    dataset_operations.withdraw(store, delivered[1][2], reason="polluted")
    assert append(store) is None
    assert active(store).id == 4


def test_a_version_without_rows_is_named(store, delivered):
    for batch in delivered[1]:
        dataset_operations.withdraw(store, batch, reason="test")
    assert active(store).batches == ()
    with pytest.raises(NothingToTrainOn, match="v6 is empty"):
        datasets.read(store, 6)
    assert dataset_operations.roll_back(store, 3, reason="back").batches == delivered[1]


def test_a_version_of_an_empty_batch_has_no_rows(store, districts, add_batch):
    add_batch(store, districts([]))
    frame = datasets.read(store, append(store).id)
    assert len(frame) == 0
    assert dict(frame[list(schema.CATALOGUE)].dtypes) == schema.dtypes()


def test_waiting_batches_enter_in_order_of_arrival(store, districts, add_batch):
    ids = tuple(add_batch(store, districts([i], revision=i)) for i in range(3))
    held = add_batch(store, districts([0], revision=9), status="quarantined")
    assert append(store).batches == ids
    assert append(store) is None
    stored.release_quarantined(store, held)
    later = add_batch(store, districts([7]))
    assert append(store).batches == (*ids, held, later)


def test_impossible_requests_name_the_reason(store, delivered):
    _, ids = delivered
    with pytest.raises(UnknownId, match="v99"):
        get(store, 99)
    with pytest.raises(UnknownId, match="v99"):
        dataset_operations.roll_back(store, 99, reason="test")
    with pytest.raises(NotPossible, match="same batches"):
        dataset_operations.roll_back(store, 3, reason="test")
    with pytest.raises(NotPossible, match="b99"):
        dataset_operations.withdraw(store, 99, reason="test")
    dataset_operations.withdraw(store, ids[0], reason="test")
    with pytest.raises(NotPossible, match="not in the active dataset"):
        dataset_operations.withdraw(store, ids[0], reason="twice")
    assert active(store).id == 4


def test_an_empty_store_has_no_version(store):
    assert active(store) is None
    assert append(store) is None
    with pytest.raises(NotPossible):
        dataset_operations.withdraw(store, 1, reason="test")
    with pytest.raises(UnknownId):
        dataset_operations.roll_back(store, 1, reason="test")


def test_a_batch_without_sides_cannot_be_read(store, districts, add_batch):
    batch = add_batch(store, districts([1]))
    version = datasets.append_waiting(store, reason="test", run=None)
    with pytest.raises(NotPossible, match=f"b{batch}"):
        datasets.read(store, version.id)


def test_columns_can_be_chosen(store, delivered):
    frame = datasets.read(store, 3, columns=("population",))
    assert list(frame) == [KEY_COLUMN, "population", "#test"]
    whole = datasets.read(store, 3)
    pd.testing.assert_frame_equal(frame, whole[list(frame)])
    assert list(datasets.read(store, 3, columns=())) == [KEY_COLUMN, "#test"]


def test_a_segment_that_lacks_an_optional_column_reads_as_missing(store, districts, add_batch):
    with_id = districts([1, 2]).assign(district_id=["a", "b"])
    add_batch(store, with_id)
    add_batch(store, districts([3]))
    version = append(store).id
    frame = datasets.read(store, version, columns=("district_id",))
    assert frame["district_id"].tolist()[:2] == ["a", "b"]
    assert frame["district_id"].isna().tolist() == [False, False, True]


def test_a_version_costs_what_changed_and_not_what_is_there(store, delivered, districts, add_batch):
    add_batch(store, districts([8]))
    append(store)
    with store.read() as connection:
        spans = sa.select(sa.func.count()).select_from(version_batches)
        assert connection.execute(spans).scalar() == 4
    dataset_operations.roll_back(store, 3, reason="test")
    with store.read() as connection:
        assert connection.execute(spans).scalar() == 4


def test_a_missing_segment_is_named(store, delivered):
    with store.read() as connection:
        segment = stored.get(connection, delivered[1][0]).segment
    store.blobs._fs.rm(store.blobs.path(segment, "parquet"))
    with pytest.raises(BlobMissing, match=segment[:12]):
        datasets.read(store, 1)


def test_one_read_sees_one_state(store, delivered, districts, add_batch):
    """Two questions in one read transaction agree, although a run ends between them."""
    with store.read() as connection:
        first = datasets.active(connection)
        add_batch(store, districts([8]))
        append(store)
        assert datasets.active(connection) == first
    assert active(store).id == first.id + 1


def test_a_version_number_is_used_once(store, delivered):
    values = {"id": 3, "operation": "append", "reason": "", "created_at": active(store).created_at}
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        connection.execute(dataset_versions.insert().values(**values))


class Versions(RuleBasedStateMachine):
    """Random operations, against lists of frames in memory."""

    def __init__(self, blank_store, districts, add_batch):
        super().__init__()
        self.stack = ExitStack()
        self.store = self.stack.enter_context(blank_store())
        self.districts, self.add_batch = districts, add_batch
        self.frames, self.waiting, self.order = {}, [], []
        self.versions = []  # of each: the set of its batches
        self.sides = {}

    def members(self, version):
        return [b for b in self.order if b in self.versions[version - 1]]

    @rule(keys=st.sets(st.integers(0, 12), min_size=1, max_size=8))
    def deliver(self, keys):
        frame = self.districts(sorted(keys), revision=len(self.frames))
        batch = self.add_batch(self.store, frame)
        self.frames[batch] = frame
        self.waiting.append(batch)

    @rule()
    def append(self):
        version = append(self.store)
        assert (version is None) == (not self.waiting)
        if self.waiting:
            before = self.versions[-1] if self.versions else set()
            self.versions.append(before | set(self.waiting))
            self.order += self.waiting
            self.waiting = []

    @precondition(lambda self: self.versions and self.versions[-1])
    @rule(data=st.data())
    def withdraw(self, data):
        batch = data.draw(st.sampled_from(sorted(self.versions[-1])))
        dataset_operations.withdraw(self.store, batch, reason="test")
        self.versions.append(self.versions[-1] - {batch})

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def roll_back(self, data):
        target = data.draw(st.integers(1, len(self.versions)))
        if self.versions[target - 1] == self.versions[-1]:
            with pytest.raises(NotPossible):
                dataset_operations.roll_back(self.store, target, reason="test")
        else:
            dataset_operations.roll_back(self.store, target, reason="test")
            self.versions.append(self.versions[target - 1])

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def read(self, data):
        self.check(data.draw(st.integers(1, len(self.versions))))

    @invariant()
    def the_newest_is_active(self):
        version = active(self.store)
        if not self.versions:
            assert version is None
        else:
            assert version.id == len(self.versions)
            assert list(version.batches) == self.members(version.id)

    def check(self, version):
        assert list(get(self.store, version).batches) == self.members(version)
        if not self.members(version):
            with pytest.raises(NothingToTrainOn):
                datasets.read(self.store, version)
            return
        frame = datasets.read(self.store, version)
        profiles.record_or_verify(self.store, version, frame)
        naive = expected([self.frames[batch] for batch in self.members(version)])
        pd.testing.assert_frame_equal(frame[CELLS], naive, check_exact=True)
        for key, side in zip(frame[KEY_COLUMN], frame["#test"], strict=True):
            assert self.sides.setdefault(key, side) == side

    def teardown(self):
        for version in range(1, len(self.versions) + 1):
            self.check(version)
        self.stack.close()


@pytest.mark.either_database
def test_any_sequence_of_operations_reads_as_lists_in_memory_would(
    blank_store, districts, add_batch, request
):
    slow = request.node.callspec.params["blank_store"] == "postgresql"
    run_state_machine_as_test(
        lambda: Versions(blank_store, districts, add_batch),
        settings=settings(
            max_examples=8 if slow else 15,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
