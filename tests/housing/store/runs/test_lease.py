"""One run at a time: who has the lease, when it passes on, and what a former owner may do."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from housing.errors import LeaseLost, RunInProgress
from housing.store import queries
from housing.store.database import engine
from housing.store.database.engine import MAINTENANCE
from housing.store.database.open import open_store
from housing.store.database.tables import leases
from housing.store.database.tables import runs as runs_table
from housing.store.runs import lease, runs

HOLDER = """
import sys, time
from housing.store.runs import lease, runs
from housing.store.objects.blobs import BlobStore
from housing.store.database.engine import Store, create_engine

url, folder = sys.argv[1:]
store = Store(create_engine(url), BlobStore(folder), BlobStore(folder), signer=None)
token = lease.acquire(store, owner="the child")
with store.fenced(token).write() as connection:
    run = runs.start(connection, "nightly", {})
    lease.set_run(connection, run)
print(token, run, flush=True)
time.sleep(600)
"""


@pytest.fixture
def holding_child(store, child, database_url, tmp_path):
    """A process that has the lease and a run: (process, token, run)."""
    process = child(HOLDER, database_url, tmp_path / "blobs")
    token, run = map(int, process.stdout.readline().split())
    return process, token, run


def holder(store):
    with store.read() as connection:
        return lease.holder(connection)


def alter(store, **values):
    with store.write() as connection:
        connection.execute(leases.update().values(**values))


def write(store, message="written"):
    with store.write() as connection:
        connection.execute(runs_table.update().values(message=message))


def status(store, run):
    with store.read() as connection:
        return runs.get(connection, run).status


def start(store, kind="nightly"):
    with store.write() as connection:
        return runs.start(connection, kind, {})


# --- taking it ------------------------------------------------------------------------------


def test_a_new_store_has_no_lease_holder(store):
    assert holder(store) is None


def test_a_second_owner_is_refused_with_the_name_of_the_first(store):
    assert lease.acquire(store, owner="the nightly run of ann@host") == 1
    with pytest.raises(RunInProgress, match="the nightly run of ann@host has been running"):
        lease.acquire(store, owner="bob")
    assert (holder(store).token, holder(store).pid) == (1, os.getpid())


def test_a_released_lease_is_free_and_its_token_never_used_again(store):
    lease.release(store, lease.acquire(store, owner="ann"))
    assert not holder(store).held
    assert lease.acquire(store, owner="bob") == 2
    assert holder(store).owner == "bob"


def test_only_one_of_many_simultaneous_owners_acquires_the_lease(settings, store):
    barrier = threading.Barrier(4)

    def race(name):
        with open_store(settings) as own:
            barrier.wait()
            try:
                return lease.acquire(own, owner=name)
            except RunInProgress:
                return None

    for turn in (1, 2, 3):
        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(race, "abcd"))
        assert sorted(won, key=str) == [turn, None, None, None]
        lease.release(store, turn)


# --- when it passes on ----------------------------------------------------------------------


def test_a_living_process_keeps_the_lease(store, holding_child):
    with pytest.raises(RunInProgress, match="the child"):
        lease.acquire(store, owner="test")


@pytest.mark.parametrize("reaped", [True, False], ids=["reaped", "zombie"])
def test_a_killed_process_loses_the_lease_at_once(store, holding_child, reaped):
    process, token, run = holding_child
    process.send_signal(signal.SIGKILL)
    if reaped:
        process.wait()
    else:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert lease.acquire(store, owner="test") == token + 1
    mine = start(store)
    with store.fenced(token + 1).write() as connection:
        lease.set_run(connection, mine)
    assert [row.id for row in runs.mark_dead(store)] == [run]
    assert (status(store, run), status(store, mine)) == ("crashed", "running")


def test_a_process_id_that_was_given_to_another_process_is_no_owner(store):
    lease.acquire(store, owner="ann")
    alter(store, process_started=holder(store).process_started - 1)
    assert lease.acquire(store, owner="bob") == 2


def test_a_process_on_another_host_is_believed_until_it_expires(store, monkeypatch):
    monkeypatch.setattr(lease, "WATCHED", timedelta(0))
    lease.acquire(store, owner="ann")
    alter(store, host="elsewhere", pid=2**22 + 1)
    with pytest.raises(RunInProgress):
        lease.acquire(store, owner="bob")
    alter(store, heartbeat_at=holder(store).heartbeat_at - engine.EXPIRES_AFTER)
    assert lease.acquire(store, owner="bob") == 2


def test_processes_are_distinguished_by_their_start_time():
    assert lease.process_start(os.getpid()) == lease.process_start(os.getpid()) > 0
    assert lease.process_start(os.getpid()) != lease.process_start(1)
    assert lease.process_start(2**22 + 1) == -1.0


# --- what a former owner may do -------------------------------------------------------------


def test_a_stale_token_cannot_write(store):
    run = start(store)
    old = lease.acquire(store, owner="ann")
    write(store.fenced(old), "by ann")
    alter(store, process_started=0.5)  # as if ann's process were gone
    new = lease.acquire(store, owner="bob")
    with pytest.raises(LeaseLost, match="bob holds it now"):
        write(store.fenced(old), "by ann, late")
    with store.read() as connection:
        assert runs.get(connection, run).message == "by ann"
    write(store.fenced(new), "by bob")


def test_a_released_token_cannot_write(store):
    token = lease.acquire(store, owner="ann")
    lease.release(store, token)
    with pytest.raises(LeaseLost, match="released"):
        write(store.fenced(token))


def test_a_token_from_before_the_lease_existed_cannot_write(store):
    with pytest.raises(LeaseLost):
        write(store.fenced(1))


def test_a_store_is_opened_with_its_token(settings, store):
    lease.release(store, lease.acquire(store, owner="ann"))
    with open_store(settings, token=1) as stale, pytest.raises(LeaseLost):
        write(stale)


def test_a_stale_owner_can_still_read(store):
    with store.fenced(7).read() as connection:
        assert lease.holder(connection) is None


def test_releasing_twice_and_late_does_nothing(store):
    old = lease.acquire(store, owner="ann")
    lease.release(store, old)
    lease.release(store, old)
    new = lease.acquire(store, owner="bob")
    lease.release(store.fenced(old), old)
    assert holder(store).held
    lease.release(store.fenced(new), new)
    assert not holder(store).held


def test_renewing_is_for_the_owner(store, monkeypatch):
    token = lease.acquire(store, owner="ann")
    before = holder(store)
    time.sleep(0.01)
    lease.renew(store, token)
    after = holder(store)
    assert after.heartbeat_at > before.heartbeat_at
    assert after.acquired_at == before.acquired_at
    lease.release(store, token)
    with pytest.raises(LeaseLost):
        lease.renew(store, token)


# --- the heartbeat --------------------------------------------------------------------------


@pytest.fixture
def fast_heart(monkeypatch):
    """Leases of which only the heartbeat counts, as of another host, and which beat fast."""
    monkeypatch.setattr(lease, "_PROCESSES_ARE_SHOWN", False)
    monkeypatch.setattr(lease, "EXPIRES_AFTER", timedelta(milliseconds=600))
    monkeypatch.setattr(lease, "WATCHED", timedelta(milliseconds=300))
    monkeypatch.setattr(lease, "_POLL_SECONDS", 0.1)
    for module in (lease, engine):
        monkeypatch.setattr(module, "HEARTBEAT", timedelta(milliseconds=100))


def test_a_heartbeat_keeps_the_lease_alive_and_its_end_lets_it_expire(store, fast_heart):
    token = lease.acquire(store, owner="ann")
    with lease.heartbeat(store, token):
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            with pytest.raises(RunInProgress):
                lease.acquire(store, owner="bob")
            time.sleep(0.05)
    assert not [t for t in threading.enumerate() if t.name == "lease-heartbeat"]
    time.sleep(0.7)
    assert lease.acquire(store, owner="bob") == token + 1


def test_a_write_that_outlasts_the_lease_keeps_it(settings, store, fast_heart):
    """The heartbeat waits for the lock that the write holds, as does whoever wants the lease."""
    token = lease.acquire(store, owner="ann")
    with (
        lease.heartbeat(store, token),
        ThreadPoolExecutor(1) as pool,
        open_store(settings) as other,
    ):
        with store.fenced(token).write() as connection:
            runs.start(connection, "nightly", {})
            wanted = pool.submit(lease.acquire, other, owner="bob")
            time.sleep(1.0)
            assert not wanted.done()
        with pytest.raises(RunInProgress, match="ann"):
            wanted.result()
        assert holder(store).token == token
        lease.renew(store, token)


def test_another_lease_is_held_beside_that_of_the_run(store):
    run_token = lease.acquire(store, owner="ann")
    with lease.held_lease(store, owner="the backup of bob", name=MAINTENANCE) as fenced:
        with pytest.raises(RunInProgress, match="the backup of bob"):
            lease.acquire(store, owner="carl", name=MAINTENANCE)
        with fenced.write() as connection:
            runs.start(connection, "backup", {})
        lease.release(store, fenced.token, MAINTENANCE)
        lost = fenced.write()
        with pytest.raises(LeaseLost), lost:
            pytest.fail("it wrote without its lease")
    assert holder(store).token == run_token
    assert holder(store).held


def test_a_heartbeat_neither_fails_nor_revives_a_lease_that_was_lost(store, fast_heart):
    token = lease.acquire(store, owner="ann")
    with lease.heartbeat(store, token):
        lease.release(store, token)
        new = lease.acquire(store, owner="bob")
        before = holder(store).beat
        time.sleep(0.35)
        assert holder(store).beat == before
        assert before[0] == new


def test_a_heartbeat_goes_on_after_the_database_was_busy(store, fast_heart, monkeypatch):
    token = lease.acquire(store, owner="ann")
    calls = []
    renew = lease.renew

    def sometimes(*arguments):
        calls.append(time.monotonic())
        if len(calls) == 1:
            raise sa.exc.TimeoutError("the pool is empty")
        renew(*arguments)

    monkeypatch.setattr(lease, "renew", sometimes)
    before = holder(store)
    with lease.heartbeat(store, token):
        time.sleep(0.5)
    assert len(calls) >= 2
    assert holder(store).heartbeat_at > before.heartbeat_at


# --- runs that died -------------------------------------------------------------------------


def test_a_run_without_a_living_owner_is_marked_crashed(store):
    run, other = start(store), start(store, "ingest")
    assert {row.id for row in runs.mark_dead(store)} == {run, other}
    assert status(store, run) == status(store, other) == "crashed"
    with store.read() as connection:
        row = runs.get(connection, run)
    assert row.finished_at is not None
    assert row.error == "the process is gone"
    assert runs.mark_dead(store) == []


def test_listings_show_a_run_whose_process_is_gone_as_the_next_run_will_record_it(store):
    token = lease.acquire(store, owner="ann")
    run = start(store)
    with store.fenced(token).write() as connection:
        lease.set_run(connection, run)

    def listed():
        with store.read() as connection:
            found = queries.status(connection)
            rows = queries.list_runs(connection)
            shown = queries.show_run(connection, run)
        assert rows[0]["status"] == shown["status"] == found["last_nightly_run"]["status"]
        return found["last_nightly_run"]["status"], found["needs_a_person"]

    assert listed() == ("running", [])
    lease.release(store, token)
    status, (need,) = listed()
    assert status == "crashed"
    assert need["message"].startswith(f"r{run}, the last nightly run, was interrupted")
    assert need["commands"] == [f"housing show r{run}", "housing retrain"]
    runs.mark_dead(store)
    assert listed() == (status, [need])


def test_a_refused_run_is_not_the_last_run_and_takes_no_time(store):
    run = start(store)
    runs.finish(store, run, "completed", outcome="kept")
    with store.write() as connection:
        refused = runs.record_not_begun(connection, "nightly", {}, "refused", "r1 runs")
    with store.read() as connection:
        assert queries.status(connection)["last_nightly_run"]["run"] == f"r{run}"
        newest, before = queries.list_runs(connection)
    assert (newest["run"], newest["result"], newest["seconds"]) == (f"r{refused}", "refused", None)
    assert (before["result"], before["message"]) == ("kept", None)
    with store.write() as connection:  # the host's clock was set back
        runs.note_in(connection, run, finished_at=datetime(2020, 1, 1, tzinfo=UTC))
    with store.read() as connection:
        assert queries.show_run(connection, run)["seconds"] == 0


def test_a_file_that_the_last_run_could_not_read_needs_a_person(store):
    def needs():
        with store.read() as connection:
            return [need["message"] for need in queries.status(connection)["needs_a_person"]]

    run, batch = start(store), {"name": "b.csv", "message": "b.csv: is empty (0 bytes)"}
    left = [{**batch, "status": "unreadable"}, {**batch, "status": "waiting"}]
    runs.finish(store, run, "completed", outcome="nothing new", skipped_files=left)
    assert needs() == [f"r{run} could not read a file. b.csv: is empty (0 bytes)."]
    runs.finish(store, start(store), "completed", outcome="nothing new", skipped_files=[])
    assert needs() == []


def test_the_run_of_the_living_owner_is_left_alone(store):
    dead = start(store, "backfill")
    token = lease.acquire(store, owner="ann")
    run = start(store)
    assert runs.mark_dead(store) == []  # it may be that run: the lease does not say yet
    with store.fenced(token).write() as connection:
        lease.set_run(connection, run)
    assert [row.id for row in runs.mark_dead(store)] == [dead]
    assert status(store, run) == "running"
    lease.release(store, token)
    assert [row.id for row in runs.mark_dead(store)] == [run]


def test_a_finished_run_is_never_marked(store):
    run = start(store)
    runs.finish(store, run, "completed", outcome="kept")
    assert runs.mark_dead(store) == []
    assert status(store, run) == "completed"
