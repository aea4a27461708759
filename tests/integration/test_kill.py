"""kill -9 and Ctrl-C in the middle of each task, then the night again: the same end state."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from housing.store import runs as run_rows
from housing.store.engine import Store
from housing.store.tables import runs, trials
from tests.integration.conftest import Night
from tests.integration.victim import Blow
from tests.nights import contents, landing_rows

pytestmark = pytest.mark.prefect

STEPS = (
    "ingest", "freeze", "split", "readiness", "look for work", "tune", "fit", "evaluate", "back up",
    "promote", "report", "notify", "conclude",
)  # fmt: skip

MakeHome = Callable[[str], Path]
OpenHome = Callable[[Path], Store]


@pytest.fixture(scope="module")
def undisturbed(fork_night: Night, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a store holds after a night that nothing hit."""
    from housing.settings import load_settings
    from housing.store.opening import open_store

    home = tmp_path_factory.mktemp("undisturbed")
    (home / "landing").mkdir()
    landing_rows().to_csv(home / "landing" / "a.csv", index=False)
    assert fork_night(home, None) == 0
    with open_store(load_settings(home=home)) as store:
        return contents(store)


def _statuses(store: Store) -> list[tuple[str, str | None]]:
    with store.read() as connection:
        rows = connection.execute(sa.select(runs.c.status, runs.c.outcome).order_by(runs.c.id))
        return [(row.status, row.outcome) for row in rows]


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_night_goes_on_where_it_was(
    step: str,
    fork_night: Night,
    new_home: MakeHome,
    open_home: OpenHome,
    undisturbed: dict[str, Any],
) -> None:
    home = new_home("killed")
    # Before the sixth commit of the search one trial is in, and a score of the other comes next.
    commit = 6 if step == "tune" else 1
    assert fork_night(home, Blow(signal.SIGKILL, step, commit)) == -signal.SIGKILL
    with open_home(home) as store, store.read() as connection:
        finished = dict(
            connection.execute(sa.select(trials.c.draw, trials.c.recorded_at)).all()  # type: ignore[arg-type]
        )
    assert fork_night(home, None) == 0
    with open_home(home) as store:
        assert contents(store) == undisturbed
        assert _statuses(store) == [("crashed", None), ("completed", "promoted")]
        with store.read() as connection:
            kept = dict(
                connection.execute(sa.select(trials.c.draw, trials.c.recorded_at)).all()  # type: ignore[arg-type]
            )
    assert {draw: kept[draw] for draw in finished} == finished, "a finished trial was done again"
    assert len(finished) == (1 if step == "tune" else 0 if STEPS.index(step) < 5 else 2)
    assert (home / "reports" / "night-r2.html").is_file()


@pytest.mark.parametrize("step", STEPS[:-1])
def test_an_interrupted_night_goes_on_where_it_was(
    step: str,
    fork_night: Night,
    new_home: MakeHome,
    open_home: OpenHome,
    undisturbed: dict[str, Any],
) -> None:
    home = new_home("interrupted")
    assert fork_night(home, Blow(signal.SIGINT, step, 0)) == 3
    with open_home(home) as store, store.read() as connection:
        row = run_rows.get(connection, 1)
        assert row.status == "cancelled"
        assert row.error.startswith("interrupted (KeyboardInterrupt)")
    assert fork_night(home, None) == 0
    with open_home(home) as store:
        assert contents(store) == undisturbed


@pytest.mark.slow
def test_a_night_killed_at_each_of_its_commits(
    fork_night: Night,
    new_home: MakeHome,
    open_home: OpenHome,
    undisturbed: dict[str, Any],
) -> None:
    for commit in range(1, 200):
        home = new_home(f"killed-{commit}")
        code = fork_night(home, Blow(signal.SIGKILL, None, commit))
        if code == 0:
            assert commit > 20, "the night had fewer commits than a night has"
            return
        assert fork_night(home, None) == 0
        with open_home(home) as store:
            assert contents(store) == undisturbed, f"commit {commit}"
    pytest.fail("the night never came to its end")
