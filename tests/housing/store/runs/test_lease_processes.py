"""Who counts as alive whatever the clocks: set clocks, stopped processes, reused pids, reboots."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from housing.errors import RunInProgress
from housing.store.database import engine
from housing.store.database.tables import leases
from housing.store.runs import lease, runs

PROCESS = """
import json, sys
from datetime import timedelta
from housing.store.database import tables

url, folder, ahead, watched = sys.argv[1:]
clock = tables.utc_now
tables.utc_now = lambda: clock() + timedelta(seconds=float(ahead))  # before others import it

from housing.errors import HousingError
from housing.store.runs import lease, runs
from housing.store import queries
from housing.store.objects.blobs import BlobStore
from housing.store.database.engine import Store, create_engine

lease.WATCHED, lease._POLL_SECONDS = timedelta(seconds=float(watched)), 0.05
store = Store(create_engine(url), BlobStore(folder), BlobStore(folder), signer=None)
fenced = store

def acquire(owner):
    global fenced
    token = lease.acquire(store, owner=owner)
    fenced = store.fenced(token)
    with fenced.write() as connection:
        lease.set_run(connection, runs.start(connection, "nightly", {}))
    return token

def write():
    lease.renew(fenced, fenced.token)

def mark_dead():
    return [row.id for row in runs.mark_dead(store)]

def running():
    with store.read() as connection:
        return queries.status(connection)["running"]

for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        answer = globals()[name](*arguments)
    except HousingError as error:
        answer = type(error).__name__
    print(json.dumps(answer), flush=True)
"""

REUSED_PID = """
import json, subprocess, sys
command = [sys.executable, "-c", *sys.argv[1:]]

def start():
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

def acquire(process, owner):
    print(json.dumps(["acquire", owner]), file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())

other, owner = start(), start()
taken = acquire(owner, "ann")
owner.kill()
owner.wait()
with open("/proc/sys/kernel/ns_last_pid", "w") as last:
    last.write(str(owner.pid - 1))
stranger = subprocess.Popen(["sleep", "600"])
print(json.dumps([taken, stranger.pid == owner.pid, acquire(other, "bob")]))
"""


@pytest.fixture
def process(store, child, database_url, tmp_path):
    """Starts processes of this host, each with a clock so many seconds ahead; ask by `answer`."""

    def start(ahead=0.0, watched=30.0):
        return child(PROCESS, database_url, tmp_path / "blobs", ahead, watched)

    return start


def answer(process, *what):
    """Have a process do something; what it answers, or the name of its error."""
    print(json.dumps(what), file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def holder(store):
    with store.read() as connection:
        return lease.holder(connection)


def alter(store, **values):
    with store.write() as connection:
        connection.execute(leases.update().values(**values))


def set_clock(store, hours):
    """As if the database's clock had been set: from it, the last heartbeat is in the past."""
    alter(store, heartbeat_at=holder(store).heartbeat_at - timedelta(hours=hours))


# --- on the owner's host --------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [61, -86_400])
def test_a_clock_that_was_set_takes_nothing_from_a_living_process(store, process, ahead):
    owner, other = process(), process(ahead)
    token = answer(owner, "acquire", "ann")
    assert answer(other, "acquire", "bob") == "RunInProgress"
    assert answer(other, "mark_dead") == []
    assert answer(other, "running") == "ann"
    assert answer(owner, "write") is None
    owner.kill()
    owner.wait()
    assert answer(other, "acquire", "bob") == token + 1, "and keeps nothing for a dead one"


@pytest.mark.system
@pytest.mark.parametrize("hours", [2, -2])
def test_a_process_that_was_stopped_for_long_keeps_its_lease_on_its_host(store, process, hours):
    owner, other = process(), process()
    answer(owner, "acquire", "ann")
    owner.send_signal(signal.SIGSTOP)
    set_clock(store, hours)
    assert answer(other, "acquire", "bob") == "RunInProgress"
    assert answer(other, "mark_dead") == []
    owner.send_signal(signal.SIGCONT)
    assert answer(owner, "write") is None


def namespaces(*kinds):
    """A command that gives a process namespaces of its own; skips where that is not permitted."""
    command = ["unshare", *kinds]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare (util-linux)")
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("namespaces of one's own are not permitted here")
    return command


@pytest.mark.system
def test_a_stranger_with_the_pid_of_a_dead_owner_is_not_the_owner(store, database_url, tmp_path):
    enter = namespaces("--pid", "--fork", "--mount-proc", "--kill-child")
    arguments = [PROCESS, database_url, str(tmp_path / "blobs"), "0", "30"]
    found = subprocess.check_output([*enter, sys.executable, "-c", REUSED_PID, *arguments])
    assert json.loads(found) == [1, True, 2]


@pytest.mark.system
def test_after_a_reboot_a_pid_says_nothing(store, database_url, tmp_path, child):
    """This process holds the lease, and lives; to a later boot its pid is somebody else's."""
    enter = namespaces("--mount")
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("00000000-0000-4000-8000-000000000000\n")
    script = 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"'
    arguments = [database_url, str(tmp_path / "blobs"), "0", "0.2"]
    rebooted = subprocess.Popen(
        [*enter, "sh", "-c", script, "sh", str(boot_id), sys.executable, "-c", PROCESS, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        token = lease.acquire(store, owner="ann")
        assert answer(rebooted, "acquire", "bob") == "RunInProgress", "the heartbeat is young"
        set_clock(store, 2)
        with pytest.raises(RunInProgress):
            lease.acquire(store, owner="carl")
        assert answer(rebooted, "acquire", "bob") == token + 1
    finally:
        rebooted.kill()
        rebooted.communicate()


# --- of another host, where only the heartbeat is known -------------------------------------


@pytest.fixture
def elsewhere(store, monkeypatch):
    """A run of this process, whose lease looks as if it were of another host."""
    for module in (lease, engine):
        monkeypatch.setattr(module, "HEARTBEAT", timedelta(milliseconds=50))
    token = lease.acquire(store, owner="ann")
    with store.fenced(token).write() as connection:
        run = runs.start(connection, "nightly", {})
        lease.set_run(connection, run)
    alter(store, host="elsewhere", pid=os.getpid())
    return token, run


@pytest.mark.system
@pytest.mark.parametrize("hours", [2, -2])
def test_a_database_whose_clock_was_set_takes_nothing_from_a_living_host(
    store, process, elsewhere, hours
):
    token, _ = elsewhere
    other = process(watched=60)
    for what in (["acquire", "bob"], ["mark_dead"]):
        set_clock(store, hours)
        with lease.heartbeat(store, token):
            assert answer(other, *what) in ("RunInProgress", [])
    lease.renew(store, token)


@pytest.mark.parametrize("hours", [2, -2])
def test_a_host_that_disappeared_keeps_no_lease_whatever_its_clock(
    store, process, elsewhere, hours
):
    token, run = elsewhere
    set_clock(store, hours)
    other = process(watched=0.2)
    assert answer(other, "mark_dead") == [run]
    assert answer(process(watched=3600), "mark_dead") == [], (
        "it waits for nothing where none is left"
    )
    assert answer(other, "acquire", "bob") == token + 1


def test_a_holder_that_renews_during_the_expiry_check_keeps_the_lease(
    store, elsewhere, monkeypatch
):
    token, _ = elsewhere
    set_clock(store, 2)
    overdue = holder(store).beat
    lease.renew(store, token)
    set_clock(store, 2)
    monkeypatch.setattr(lease, "dead_owner", lambda *_: overdue)
    with pytest.raises(RunInProgress, match="ann"):
        lease.acquire(store, owner="bob")
    assert runs.mark_dead(store) == []
    lease.renew(store, token)


@pytest.mark.system
@pytest.mark.parametrize("ahead", [7200, -7200])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("elsewhere")
def test_on_postgresql_one_clock_is_for_all_hosts(store, process, ahead):
    """Who looks waits for nothing: `watched` would outlast the test."""
    other = process(ahead, watched=3600)
    assert answer(other, "running") == "ann"
    assert answer(other, "acquire", "bob") == "RunInProgress"
    assert answer(other, "mark_dead") == []
    owner = process(ahead)
    alter(store, held=False)
    answer(owner, "acquire", "dora")
    age = abs(holder(store).heartbeat_age)
    assert age < timedelta(minutes=10), "the heartbeat is by the database's clock as well"


def test_the_longest_wait_is_longer_than_a_heartbeat():
    assert lease.WATCHED > 2 * engine.HEARTBEAT
