"""Processes that promote, roll back, block, unblock, prune and back up against one another."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from benchmarks.results import save_if_asked
from housing.errors import (
    ChampionChanged,
    ModelBlocked,
    NoRollbackTarget,
    NotPossible,
    RunInProgress,
)
from housing.operations import backup, prune
from housing.pipeline import promote
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.integrity import unsound
from housing.store.database.open import open_store
from housing.store.database.tables import blobs, models
from housing.store.models import blocks, promotion_log, registry
from housing.store.models.promotion_log import Authorship

ROOT = Path(__file__).parents[2]
REFUSALS = (RunInProgress, ChampionChanged, NoRollbackTarget, NotPossible, ModelBlocked)
"""What a writer may be told; anything else, a locked database above all, is a failure."""

BY_HAND = "blocked by hand"


@pytest.fixture
def shared(
    populated_home: Path, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """A store with eight models, on either database: restored from a cut of one run's home."""
    for name in [n for n in os.environ if n.startswith("HOUSING_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(populated_home, tmp_path / "seen")
    source = load_settings(home=tmp_path / "seen", backup_url=str(tmp_path / "backup"))
    with open_store(source) as store:
        backup.create(store, source)
    shutil.copytree(source.home / "keys", tmp_path / "home" / "keys")
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOUSING_DATABASE_URL", database_url)
    monkeypatch.setenv("HOUSING_BACKUP_URL", str(tmp_path / "backup"))
    settings = load_settings()
    backup.restore(settings)
    with open_store(settings) as store, store.write() as connection:
        row = dict(registry.model(connection, 2)._mapping)
        for ensemble_size in range(10, 16):
            connection.execute(
                models.insert().values({**row, "id": ensemble_size, "ensemble_size": ensemble_size})
            )
    return settings


def _write(times: int, seed: int) -> None:
    """A writer: so many decisions at random; prints what came of them as JSON."""
    chance, done = random.Random(seed), Counter[str]()
    often = [weight for weight, _ in DECISIONS.values()]
    settings = load_settings()
    with open_store(settings) as store:
        for _ in range(times):
            kind = chance.choices(list(DECISIONS), often)[0]
            try:
                DECISIONS[kind][1](store, settings, chance)
                done[kind] += 1
            except REFUSALS as error:
                done[type(error).__name__] += 1
    sys.stdout.write(json.dumps(done))


def _promote(store: Store, settings: Settings, chance: random.Random) -> None:
    with store.read() as connection:
        champion = promotion_log.champion(connection)
        ids = connection.execute(sa.select(models.c.id)).scalars().all()
    new = chance.choice([id_ for id_ in ids if id_ != champion])
    registry.change_champion(store, registry.Change("promote", new, champion, "writer", "test"))


def _roll_back(store: Store, settings: Settings, chance: random.Random) -> None:
    promote.roll_back(store, None, "test")


def _block(store: Store, settings: Settings, chance: random.Random) -> None:
    blocks.block(store, "m", chance.randrange(10, 16), Authorship("writer", BY_HAND))


def _unblock(store: Store, settings: Settings, chance: random.Random) -> None:
    with store.read() as connection:
        blocked = list(blocks.current(connection).models)
    if not blocked:
        raise NotPossible(what="Releasing", why="nothing is blocked.")
    blocks.unblock(store, "m", chance.choice(blocked), Authorship("writer", "unblock"))


def _prune(store: Store, settings: Settings, chance: random.Random) -> None:
    prune.prune(store, settings)


def _back_up(store: Store, settings: Settings, chance: random.Random) -> None:
    backup.create(store, settings)


Decision = Callable[[Store, Settings, random.Random], None]

DECISIONS: dict[str, tuple[int, Decision]] = {
    "promote": (60, _promote),
    "rollback": (25, _roll_back),
    "block": (20, _block),
    "unblock": (20, _unblock),
    "prune": (3, _prune),
    "backup": (2, _back_up),
}
"""What writers do, and how often."""


def _race(settings: Settings, writers: int, times: int) -> Counter[str]:
    """Let them write; returns what was done, after all that must hold was checked."""
    with open_store(settings) as store, store.read() as connection:
        before = promotion_log.history(connection)
    code = f"from tests.integration.test_many_writers import _write; _write({times}, {{}})"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code.format(seed)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(writers)
    ]
    answers = []
    for process in running:
        out, err = process.communicate(timeout=3600)
        assert process.returncode == 0, err[-2000:]
        answers.append(Counter(json.loads(out)))
    done = sum(answers, Counter[str]())
    assert sum(done.values()) == writers * times
    with open_store(settings) as store:
        assert unsound(store) == []
        with store.read() as connection:
            lines = promotion_log.history(connection)
            live = connection.execute(sa.select(blobs).where(blobs.c.pruned_at.is_(None))).all()
        written = Counter(line.operation for line in lines[: len(lines) - len(before)])
        by_hand = sum(line.operation == "block" and line.reason == BY_HAND for line in lines)
        for kind in ("promote", "rollback", "unblock"):
            assert written[kind] == done[kind], f"a {kind} is lost"
        assert by_hand == done["block"], "a block is lost"
        assert lines[len(lines) - len(before) :] == before, "history was rewritten"
        for row in live:
            store.blobs.get(row.digest, row.suffix)
        backup.create(store, settings)
        assert backup.verify(store).good
    return done


@pytest.mark.system
def test_a_few_writers_leave_one_linear_ledger(shared: Settings) -> None:
    done = _race(shared, 4, 12)
    assert done["promote"]


@pytest.mark.slow
def test_eight_writers_of_two_hundred_decisions(shared: Settings) -> None:
    done = _race(shared, 8, 200)
    kind = make_url(shared.database_url.get_secret_value()).get_backend_name()
    print(kind, dict(done))
    assert all(done[kind] for kind in DECISIONS)
    lost = done["ChampionChanged"]
    save_if_asked(f"writers-{kind}", {"processes": 8, "decisions": 200, "lost_races": lost})
