"""A short form of the campaign: each kind of fault, a few of the operations that can fail.

`python -m tests.faults` tries them all, or each N-th.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa

from benchmarks.results import save_if_asked
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.database.tables import metadata
from tests.faults import disk
from tests.faults.campaign import Campaign
from tests.faults.operations import OPERATIONS
from tests.faults.order import files_named, out_of_order
from tests.faults.power import lose_power, losses
from tests.faults.servers import CAMPAIGNS
from tests.faults.shim import FILE_FAULTS, KILL, NETWORK_FAULTS, SERVER_FAULTS, WRITES, Fault, build

pytestmark = pytest.mark.system

LONG = ("night", "prune")
"""The operations that take longest."""


@pytest.fixture(scope="module")
def library() -> Iterator[Path]:
    with TemporaryDirectory(prefix="housing-faults-") as folder:
        Path(folder).chmod(0o755)  # the database server, which has a user of its own, loads it too
        built = build(Path(folder))
        if built is None:
            pytest.skip("there is no C compiler to build the fault library with")
        yield built


def _campaign(kind: str, library: Path) -> Iterator[Campaign]:
    with (
        TemporaryDirectory(prefix="housing-faults-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in [n for n in os.environ if n.startswith("HOUSING_")]:
            patch.delenv(name)
        patch.chdir(folder)  # no .env of the developer's
        with CAMPAIGNS[kind](Path(folder), library) as campaign:
            yield campaign
        for name in [n for n in os.environ if n.startswith("HOUSING_")]:
            del os.environ[name]


@pytest.fixture(scope="module")
def on_sqlite(library: Path) -> Iterator[Campaign]:
    yield from _campaign("sqlite", library)


@pytest.fixture(scope="module")
def on_postgresql(library: Path) -> Iterator[Campaign]:
    yield from _campaign("postgresql", library)


def _places(total: int, fault: Fault, number: int) -> list[int]:
    """Operations spread over all of them, others for each kind of fault."""
    shift = sum(map(ord, fault.name)) % 97 / 97
    return sorted({1 + int((i + shift) * total / number) % total for i in range(number)})


def _cases(faults: Sequence[Fault], *often: str) -> pytest.MarkDecorator:
    """Each fault in each operation; in the long operations those not named are left to the soak."""
    cases = [
        pytest.param(
            fault, operation, id=f"{fault.name}-{operation}",
            marks=[pytest.mark.slow] if operation in LONG and fault.name not in often else [],
        )
        for operation in OPERATIONS
        for fault in faults
    ]  # fmt: skip
    return pytest.mark.parametrize(("fault", "operation"), cases)


def _try(campaign: Campaign, operation: str, fault: Fault, number: int) -> None:
    total = campaign.operations_of(operation, fault)
    fired = 0
    for at in _places(total, fault, number):
        trial = campaign.attempt(operation, fault, at)
        assert not trial.problems, trial
        fired += trial.fired
    if fault not in SERVER_FAULTS:  # whose processes write when they like
        assert fired >= number, "no fault was made"


@pytest.mark.twin
def test_numbers_never_given_make_no_other_history(on_postgresql: Campaign) -> None:
    """A sequence keeps what an insert took that was rolled back: no row is missing for that."""
    with on_postgresql.home("night"):
        with open_store(load_settings()) as store, store.write() as connection:
            for table in (t for t in metadata.sorted_tables if "id" in t.columns):
                sequence = sa.func.pg_get_serial_sequence(table.name, "id")
                connection.execute(sa.select(sa.func.nextval(sequence)))
        assert on_postgresql.differs_after_doing("night") == []


@_cases(FILE_FAULTS, "kill")
def test_a_failing_file_operation_leaves_a_legal_state(
    on_sqlite: Campaign, operation: str, fault: Fault
) -> None:
    _try(on_sqlite, operation, fault, 1)


@pytest.mark.twin
@_cases([*NETWORK_FAULTS, *SERVER_FAULTS], "connection lost", "kill a server process")
def test_a_database_server_that_fails(
    on_postgresql: Campaign, operation: str, fault: Fault
) -> None:
    _try(on_postgresql, operation, fault, 1)


def test_the_campaign_sees_what_is_illegal(on_sqlite: Campaign) -> None:
    """Half of a rollback, made by hand: the checks must not pass it."""
    with on_sqlite.home("night"):
        with open_store(load_settings()) as store, store.write() as connection:
            row = connection.execute(sa.select(metadata.tables["batches"])).first()
            assert row is not None
            connection.execute(
                metadata.tables["batches"]
                .insert()
                .values({**row._mapping, "id": 99, "digest": "0"})
            )
        problems = on_sqlite._examine("night", finished=False)
    assert problems == ["batches has rows of neither before nor after"]


def test_a_fault_that_comes_too_late_does_nothing(on_sqlite: Campaign) -> None:
    fault = Fault("kill", KILL, WRITES)
    trial = on_sqlite.attempt("rollback", fault, 10_000)
    assert (trial.fired, trial.end, trial.problems) == (0, "done", ())


# --- a loss of power --------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
def test_bytes_are_durable_before_their_names_and_before_sql(
    on_sqlite: Campaign, operation: str
) -> None:
    record = on_sqlite.record(operation)
    assert out_of_order(record) == []
    if operation in ("night", "backup"):
        assert files_named(record) > 5, "nothing was looked at"


@pytest.mark.twin
def test_bytes_are_durable_before_their_row_is_in_postgresql(on_postgresql: Campaign) -> None:
    record = on_postgresql.record("night")
    assert out_of_order(record) == []
    assert any(event.what == "S" and b"INSERT INTO blobs" in event.data for event in record.events)


@pytest.mark.parametrize(
    "operation",
    ["rollback", *(pytest.param(o, marks=pytest.mark.slow) for o in ("night", "backup", "prune"))],
)
def test_power_is_lost(on_sqlite: Campaign, operation: str) -> None:
    record = on_sqlite.record(operation)
    todo = losses(record, every=len(record.events) // 4)
    assert len(todo) >= 15
    assert [bad for found in lose_power(on_sqlite, record, todo, go_on=9) for bad in found] == []


def test_a_store_that_does_not_sync_is_seen(on_sqlite: Campaign) -> None:
    """The order is broken, and the loss of power that follows is seen to spoil the store."""
    record = on_sqlite.record("night", "careless night")
    said = "\n".join(out_of_order(record))
    assert "got its name before it was synced" in said
    assert "SQL was told of" in said
    assert "is not durable" in said
    end = len(record.events)
    (problem,) = on_sqlite.lose_power(record, end, disk.names_only(), go_on=False)
    assert "its file store-id is damaged" in problem, "the first file that is read"


def test_a_database_that_does_not_wait_for_the_disk_is_seen(on_sqlite: Campaign) -> None:
    record = on_sqlite.record("night", "hasty night")
    end = len(record.events)
    problems = on_sqlite.lose_power(record, end, disk.nothing(), go_on=False)
    assert "it said done and was not" in problems


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_power_is_lost_at_every_operation(on_sqlite: Campaign, operation: str) -> None:
    record = on_sqlite.record(operation)
    problems: list[str] = []
    for tried, found in enumerate(lose_power(on_sqlite, record, losses(record), 20), start=1):
        problems += found
        figures = {"operation": operation, "events": len(record.events), "losses": tried}
        save_if_asked(f"power-{operation}", {**figures, "illegal": len(problems)})
    print(figures)
    assert problems == []
