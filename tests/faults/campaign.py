"""Fail the k-th operation of a night, for k = 1, 2, 3, ... until a night ends without a fault.

After each fault the store is examined as it lies, then the operation is done again without one.
`python -m tests.faults.campaign --help` runs it by hand; the tests run a short form of it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from housing.errors import HousingError
from housing.settings import load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import blobs, promotion_log, runs, searches
from housing.store.models import promotion_log as promotions
from tests.faults import disk as disks
from tests.faults import trace
from tests.faults.databases import Databases
from tests.faults.disk import NOT_KEPT, Disk, Survival
from tests.faults.operations import OPERATIONS
from tests.faults.shim import SERVER_FAULTS, Fault, Plan
from tests.faults.trace import Event
from tests.fixtures.small_settings import SMALL, compared, contents, landing_rows

Contents = dict[str, list[tuple[object, ...]]]


@dataclass(frozen=True)
class Trial:
    """One fault and what came of it; no problem means that the state was legal throughout."""

    operation: str
    fault: str
    at: int
    fired: int
    end: str  # done, expected, unexpected, killed
    said: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """What an operation did to the files of a home that was, at first, all on the disk."""

    operation: str
    home: Path
    start: dict[str, bytes | None]
    events: list[Event]

    def disk(self, after: int) -> Disk:
        """The disk and its cache after so many of the events."""
        disk = Disk(self.start)
        for event in self.events[:after]:
            disk.do(event)
        return disk


@dataclass
class Campaign:
    """Faults tried on copies of one prepared home; `library` is preloaded into the children."""

    folder: Path
    library: Path
    databases: Databases
    server: Plan | None = None  # orders to the database server's own processes
    trials: list[Trial] = field(default_factory=list)
    _totals: dict[tuple[str, int, bool], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = Plan(self.folder / "plan")
        self._host = self._start_host()
        self._prepare()

    # --- one fault ------------------------------------------------------------------------

    def attempt(self, operation: str, fault: Fault, at: int) -> Trial:
        """Try one fault on a fresh copy of the prepared home."""
        with self.home(operation):
            plan = self._plan_of(fault)
            plan.order(fault, at)
            answer = self._ask(operation)
            _, fired = plan.lift()
            self.databases.wait()
            end, said = str(answer["end"]), str(answer["said"])
            problems = [] if end in ("done", "expected", "killed") else [f"it said: {said}"]
            if not fired and end != "done":
                problems.append(f"it ended as {end} without a fault: {said}")
            problems += self._examine(operation, finished=end == "done")
            problems += self._go_on(operation)
        trial = Trial(operation, fault.name, at, fired, end, said, tuple(problems))
        self.trials.append(trial)
        return trial

    def operations_of(self, operation: str, fault: Fault) -> int:
        """How many operations there are to fail: counted once for faults of the same classes."""
        plan = self._plan_of(fault)
        counted = operation, fault.classes, plan is self.server
        if counted not in self._totals:
            with self.home(operation):
                plan.order(fault, 0)
                answer = self._ask(operation)
                assert answer["end"] == "done", answer
                self._totals[counted] = plan.lift()[0]
        return self._totals[counted]

    # --- a loss of power ------------------------------------------------------------------

    def record(self, operation: str, doing: str = "") -> Record:
        """Do it (or `doing` in its place), recorded; the record must explain all that it left."""
        with self.home(operation) as home:
            start = _everything(home)
            with self.plan.recording() as path:
                answer = self._ask(doing or operation)
            assert answer["end"] == "done", answer
            events, left = trace.read(path), _everything(home)
        record = Record(operation, home, start, events)
        assert record.disk(len(events)).after_loss(disks.everything()) == left, "not all recorded"
        return record

    def lose_power(
        self, record: Record, after: int, survival: Survival, *, go_on: bool = True
    ) -> list[str]:
        """What is wrong after a loss of power that followed so many events.

        After the last one the operation has said that it is done, so it must be.
        """
        found = record.disk(after).after_loss(survival)
        with self.home(record.operation) as home:
            for path in home.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for name, data in found.items():
                if data is None:
                    Path(name).mkdir(mode=0o700, exist_ok=True)
                else:
                    Path(name).write_bytes(data)
            done = after == len(record.events)
            try:
                problems = self._examine(record.operation, finished=done)
            except (HousingError, SQLAlchemyError) as error:
                return [f"it cannot be opened or read: {error}"]
            return problems + (self._go_on(record.operation) if go_on else [])

    def _plan_of(self, fault: Fault) -> Plan:
        if fault not in SERVER_FAULTS:
            return self.plan
        assert self.server is not None, "no server listens to orders"
        return self.server

    def _examine(self, operation: str, *, finished: bool) -> list[str]:
        """What is wrong with the store as the fault left it."""
        before, after = self._before[operation], self._after[operation]
        problems = []
        with open_store(load_settings()) as store:
            problems += _broken(store)
            now = contents(store)
        for table, rows in now.items():
            found, old, new = Counter(rows), Counter(before[table]), Counter(after[table])
            begun = _begun(after[table]) if table == searches.name else Counter()
            if found - (old | new | begun):
                problems.append(f"{table} has rows of neither before nor after")
            if (old & new) - found:
                problems.append(f"{table} has lost rows")
        if operation == "backup":
            answer = self._ask("verify")
            problems += [] if answer["end"] == "done" else [f"a bad backup: {answer['said']}"]
        if now["promotion_log"] not in (before["promotion_log"], after["promotion_log"]):
            problems.append("the ledger is between before and after")
        if finished and now != after and not (now == before and _told_of_a_file_unread()):
            problems.append("it said done and was not")
        return problems

    def _go_on(self, operation: str) -> list[str]:
        """Do it again without a fault, then one night more."""
        with open_store(load_settings()) as store:
            done = contents(store)["promotion_log"] == self._after[operation]["promotion_log"]
        if operation != "rollback" or not done:
            answer = self._ask(operation)
            if answer["end"] != "done":
                return [f"the next {operation} ended as {answer['end']}: {answer['said']}"]
        differs = self._differs(operation)
        if operation in ("backup", "prune"):
            answer = self._ask("verify")
            differs += [] if answer["end"] == "done" else [str(answer["said"])]
        answer = self._ask("night")
        return [
            *([f"another end than without a fault: {differs}"] if differs else []),
            *([] if answer["end"] == "done" else [f"the next night failed: {answer['said']}"]),
        ]

    def differs_after_doing(self, operation: str) -> list[str]:
        """The tables that are not as they are after the operation in an untouched home."""
        self._must(operation)
        return self._differs(operation)

    def _differs(self, operation: str) -> list[str]:
        now, after = self._contents(), self._after[operation]
        return [table for table, rows in now.items() if rows != after[table]]

    # --- homes ----------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Homes to begin with, and what they hold before and after each operation."""
        first = self.folder / "night"
        (first / "landing").mkdir(parents=True)
        landing_rows(0, 800).to_csv(first / "landing" / "a.csv", index=False)
        self._enter(first)
        self._must("night")
        landing_rows(1).to_csv(first / "landing" / "b.csv", index=False)
        self._leave(first)
        second = self.folder / "rollback"
        self._clone(first, second)
        self._enter(second)
        self._must("night")
        self._leave(second)
        third = self.folder / "backup"
        self._clone(second, third)
        self._leave(third)
        fourth = self.folder / "prune"
        self._clone(third, fourth)
        self._enter(fourth)
        for night, helper in enumerate(("dry night", "dry night", "backup", "backup"), start=2):
            landing_rows(night, 300).to_csv(fourth / "landing" / f"{night}.csv", index=False)
            self._must(helper)  # the challenger of the first is of no use any more
        self._leave(fourth)
        self._before, self._after = {}, {}
        for operation in OPERATIONS:
            with self.home(operation) as home:
                files = _files(home)
                self._before[operation] = self._contents()
                self._must(operation)
                self._after[operation] = self._contents()
                changed = (
                    self._before[operation]["promotion_log"]
                    != self._after[operation]["promotion_log"]
                )
                assert changed == (operation in ("night", "rollback")), operation
                if operation in ("backup", "prune"):
                    assert _files(home) != files, f"the {operation} must do something"

    def _must(self, operation: str) -> None:
        answer = self._ask(operation)
        assert answer["end"] == "done", answer["said"]

    def _contents(self) -> Contents:
        with open_store(load_settings()) as store:
            return contents(store)

    def _enter(self, home: Path) -> None:
        self.plan.watch(home, home / "prefect")
        self._environment = {
            **SMALL,
            "HOUSING_GATE__PREFLIGHT": "false",  # a process of its own, which takes seconds
            "HOUSING_HOME": str(home),
            "HOUSING_DATABASE_URL": self.databases.url(home),
        }
        os.environ.update(self._environment)

    def _leave(self, home: Path) -> None:
        self.databases.close(home)

    def _clone(self, home: Path, copy: Path) -> None:
        shutil.copytree(home, copy)
        self.databases.clone(home, copy)

    @contextmanager
    def home(self, operation: str) -> Iterator[Path]:
        """A copy of the home that was prepared for an operation, thrown away at the end."""
        home = self.folder / "copy"
        self._clone(self.folder / operation, home)
        self._enter(home)
        try:
            yield home
        finally:
            self.databases.drop(home)
            shutil.rmtree(home)

    # --- the children ---------------------------------------------------------------------

    def _start_host(self) -> "subprocess.Popen[str]":
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HOUSING_")}
        host = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.host"],
            env={**kept, "LD_PRELOAD": str(self.library), "FAULT_PLAN": str(self.plan.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
        return host

    def _ask(self, operation: str) -> dict[str, object]:
        assert self._host.stdin is not None
        assert self._host.stdout is not None
        request = {"operation": operation, "environment": self._environment}
        self._host.stdin.write(json.dumps(request) + "\n")
        self._host.stdin.flush()
        answer: dict[str, object] = json.loads(self._host.stdout.readline())
        return answer

    def close(self) -> None:
        """End the host."""
        self._host.communicate(timeout=30)


def _everything(home: Path) -> dict[str, bytes | None]:
    """Path and content of all files of a home; None for a folder."""
    paths = [home, *home.rglob("*")]
    return {
        str(path): None if path.is_dir() else path.read_bytes()
        for path in paths
        if not path.name.endswith(NOT_KEPT) and "prefect" not in path.parts
    }


def _files(home: Path) -> set[Path]:
    return {path for path in home.rglob("*") if path.suffix not in (".db-wal", ".db-shm")}


FILLED_AT_THE_END = {"models", "cv_error", "out_of_fold"}
"""What a search says of its outcome, in one transaction, once its last score is in."""


def _begun(rows: list[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """The rows of finished searches as they stood while their scores were coming in."""
    names = [column.name for column in compared(searches)]
    return Counter(
        tuple(
            repr(None) if name in FILLED_AT_THE_END else value
            for name, value in zip(names, row, strict=True)
        )
        for row in rows
    )


def _told_of_a_file_unread() -> bool:
    """Whether the last night says which file it had to leave for the next one to read."""
    with open_store(load_settings()) as store, store.read() as connection:
        query = sa.select(runs.c.skipped_files).order_by(runs.c.id.desc()).limit(1)
        return bool(connection.execute(query).scalar())


def _broken(store: Store) -> list[str]:
    """Damage that is illegal at any time."""
    problems = []
    with store.read() as connection:
        if connection.dialect.name == "sqlite":
            said = connection.exec_driver_sql("PRAGMA integrity_check").scalar()
            problems += [] if said == "ok" else [f"integrity_check: {said}"]
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            problems += [f"dangling row: {row}" for row in broken]
        seqs = (
            connection.execute(sa.select(promotion_log.c.seq).order_by(promotion_log.c.seq))
            .scalars()
            .all()
        )
        if list(seqs) != list(range(1, len(seqs) + 1)):
            problems.append(f"the ledger has the numbers {seqs}")
        promotions.champion(connection)
        live = sa.select(blobs.c.digest, blobs.c.suffix).where(blobs.c.pruned_at.is_(None))
        rows = connection.execute(live).all()
    for digest, suffix in rows:
        store.blobs.get(digest, suffix)  # raises unless the bytes are right
    return problems
