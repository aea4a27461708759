"""A short form of the campaign: each kind of fault, a few of the operations that can fail.

`python -m tests.faults` tries them all, or each N-th.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy as sa

from housing.settings import load_settings
from housing.store.opening import open_store
from housing.store.tables import metadata
from tests.faults.campaign import Campaign
from tests.faults.operations import OPERATIONS
from tests.faults.servers import CAMPAIGNS
from tests.faults.shim import FILE_FAULTS, KILL, NETWORK_FAULTS, SERVER_FAULTS, WRITES, Fault, build


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


def _try(campaign: Campaign, operation: str, fault: Fault, number: int) -> None:
    total = campaign.operations_of(operation, fault)
    fired = 0
    for at in _places(total, fault, number):
        trial = campaign.attempt(operation, fault, at)
        assert not trial.problems, trial
        fired += trial.fired
    if fault not in SERVER_FAULTS:  # whose processes write when they like
        assert fired >= number, "no fault was made"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", FILE_FAULTS, ids=lambda fault: fault.name)
def test_files_that_fail(on_sqlite: Campaign, operation: str, fault: Fault) -> None:
    _try(on_sqlite, operation, fault, 2)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", [*NETWORK_FAULTS, *SERVER_FAULTS], ids=lambda fault: fault.name)
def test_a_database_server_that_fails(
    on_postgresql: Campaign, operation: str, fault: Fault
) -> None:
    _try(on_postgresql, operation, fault, 1)


def test_the_campaign_sees_what_is_illegal(on_sqlite: Campaign) -> None:
    """Half of a rollback, made by hand: the checks must not pass it."""
    with on_sqlite._copy("night"):
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
