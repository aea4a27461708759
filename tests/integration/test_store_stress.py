"""Processes that store, record, drop, prune, back up and heal the same bytes, some of them killed.

Which interleavings come about is chance; `test_races` forces those that are known. The seed is in
the output of a failure.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
import pytest

from housing.errors import RunInProgress
from housing.operations import backup, heal, prune
from housing.problem import MARK
from housing.settings import Settings, load_settings
from housing.store.backups import snapshots
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import blobs, utc_now
from housing.store.models import retention
from housing.store.objects.recording import record_blob
from housing.store.runs import predictions
from tests.fixtures.pausing import LATER, TIMEOUT
from tests.housing.operations.test_backup import s3 as s3
from tests.housing.operations.test_backup import s3_server as s3_server
from tests.integration.test_races import kind as kind
from tests.integration.test_races import on

CONTENTS = 4
"""Of so few, that processes nearly always store what another one has, or drops."""


def _store(store: Store, settings: Settings, chance: random.Random) -> None:
    """What `reproduce --keep` does: bytes and a row that retention drops at once."""
    blob = store.blobs.put(b"model %d" % chance.randrange(CONTENTS), "bin")
    with store.write() as connection:
        record_blob(connection, blob, "model")


def _leave(store: Store, settings: Settings, chance: random.Random) -> None:
    """What one does that dies before it records."""
    store.blobs.put(b"model %d" % chance.randrange(CONTENTS), "bin")


def _log(store: Store, settings: Settings, chance: random.Random) -> None:
    at = pd.Timestamp("2026-01-01T00:00:00Z").as_unit("us")
    frame = pd.DataFrame({"at": [at], "model": 1, "key": chance.randrange(CONTENTS)})
    frame = frame.add_prefix(MARK)
    predictions.add(store, frame, has_inputs=False)


def _expire(store: Store, settings: Settings, chance: random.Random) -> None:
    predictions.expire(store, utc_now())


def _prune(store: Store, settings: Settings, chance: random.Random) -> None:
    prune.prune(store, settings, dry_run=chance.random() < 0.1)


def _back_up(store: Store, settings: Settings, chance: random.Random) -> None:
    backup.create(store, settings)


def _heal(store: Store, settings: Settings, chance: random.Random) -> None:
    assert heal.heal(store) == heal.Healed((), ()), "something was damaged or missing"


OPERATIONS: Mapping[Callable[[Store, Settings, random.Random], None], int] = {
    _store: 30, _leave: 10, _log: 20, _expire: 8, _prune: 8, _back_up: 4, _heal: 4,
}  # fmt: skip
"""What is done, and how often."""


AT_LEAST = 10
"""Operations of a process on a machine that is too busy for more."""


def _work(environment: dict[str, str], seed: int, seconds: float, said: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)

    def then() -> object:
        return utc_now() + LATER

    retention.utc_now = prune.utc_now = then  # type: ignore[assignment]
    chance, settings, tried = random.Random(seed), load_settings(), 0
    with open_store(settings) as store, said.open("a", buffering=1) as lines:
        until = time.monotonic() + seconds
        while time.monotonic() < until or tried < AT_LEAST:
            tried += 1
            (operation,) = chance.choices(list(OPERATIONS), list(OPERATIONS.values()))
            try:
                operation(store, settings, chance)
                lines.write(f"{operation.__name__}\n")
            except RunInProgress:
                lines.write("refused\n")


def _stress(folder: Path, processes: int, seconds: float, kills: int) -> Counter[str]:
    """Have them work against one another; returns what was done how often."""
    seed = random.randrange(2**31)
    print("seed", seed)
    chance, context = random.Random(seed), get_context("forkserver")
    context.set_forkserver_preload(["tests.integration.test_store_stress"])

    def begin(number: int) -> BaseProcess:
        said = folder / f"said-{number}"
        arguments = (dict(os.environ), seed + number, seconds, said)
        process = context.Process(target=_work, args=arguments)
        process.start()
        return process

    working = [begin(number) for number in range(processes)]
    for number in range(kills):
        one = chance.randrange(processes)
        working[one].join(2 * chance.random() * seconds / kills)  # it is killed at any moment
        working[one].kill()
        working[one].join(TIMEOUT)
        working[one] = begin(processes + number)
    for process in working:
        process.join(TIMEOUT + 2 * seconds)
        assert process.exitcode == 0, "an operation failed, or it hangs"
    said = [line for path in folder.glob("said-*") for line in path.read_text().split()]
    return Counter(said)


@pytest.fixture
def shared(
    database_url: str,
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """An empty store."""
    url = str(tmp_path) if kind == "folder" else request.getfixturevalue("s3")
    for name in [n for n in os.environ if n.startswith("HOUSING_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "DATABASE_URL": database_url,
        "BLOB_URL": f"{url}/blobs",
        "BACKUP_URL": f"{url}/backup",
        "RETENTION__BACKUPS": "3",
    }.items():
        monkeypatch.setenv(f"HOUSING_{name}", value)
    return load_settings()


def _all_is_there(settings: Settings) -> None:
    with open_store(settings) as store:
        with store.read() as connection:
            rows = connection.execute(blobs.select()).all()
        for row in rows:
            if row.pruned_at is None:
                store.blobs.get(row.digest, row.suffix)
        for id_ in snapshots.ids(store.backup)[-3:]:
            assert backup.verify(store, id_).problems == ()


@pytest.mark.system
@on(2)
@pytest.mark.xdist_group("races")
@pytest.mark.timeout(300)
def test_random_operations_keep_the_store_consistent_for_some_seconds(
    shared: Settings, tmp_path: Path
) -> None:
    done = _stress(tmp_path, processes=3, seconds=5, kills=1)
    print(done)
    assert done["_store"]
    _all_is_there(shared)


@on(0)
@pytest.mark.timeout(900)
def test_random_operations_keep_the_store_consistent_for_some_minutes(
    shared: Settings, tmp_path: Path
) -> None:
    done = _stress(tmp_path, processes=4, seconds=90, kills=20)
    print(done)
    assert all(done[operation.__name__] for operation in OPERATIONS)
    _all_is_there(shared)
