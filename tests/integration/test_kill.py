"""kill -9 and Ctrl-C in the middle of each step, then the run again: the same end state.

Every step without the orchestrator, which repeats nothing by itself; some under it, whose task
runs and engine are one more thing that may die or catch an interrupt.
"""

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from housing.store.database.engine import Store
from housing.store.database.tables import alerts, runs, trials
from housing.store.runs import runs as run_rows
from tests.fixtures.killable_run import Blow
from tests.fixtures.small_settings import contents, landing_rows
from tests.integration.conftest import StartRun

STEPS = (
    "ingest", "freeze", "split", "check readiness", "check for work", "preprocess", "search", "fit",
    "evaluate", "back up", "promote", "report", "finish",
)  # fmt: skip

QUICK_KILLED = ("ingest", "search", "promote", "finish")
QUICK_INTERRUPTED = ("search", "promote")
"""Steps that hold the most: `make test` tries these, `make test-system` all."""

UNDER_PREFECT = ("search", "promote")

MakeHome = Callable[[str], Path]
OpenHome = Callable[[Path], Store]


def _both(
    steps: Sequence[str], quick: Sequence[str], longest: pytest.MarkDecorator
) -> pytest.MarkDecorator:
    """These steps on the plain run, some under Prefect; `longest` marks what is not quick."""
    chosen = [
        pytest.param("fork_run", step, id=step, marks=() if step in quick else longest)
        for step in steps
    ]
    flow = (longest, pytest.mark.prefect)
    chosen += [
        pytest.param("fork_flow", step, id=f"flow-{step}", marks=flow) for step in UNDER_PREFECT
    ]
    return pytest.mark.parametrize(("how", "step"), chosen)


@pytest.fixture(scope="module")
def undisturbed(fork_run: StartRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a store holds after a run that nothing hit, whatever ran it."""
    from housing.settings import load_settings
    from housing.store.database.open import open_store

    home = tmp_path_factory.mktemp("undisturbed")
    (home / "landing").mkdir()
    landing_rows().to_csv(home / "landing" / "a.csv", index=False)
    assert fork_run(home, None) == 0
    with open_store(load_settings(home=home)) as store:
        return contents(store)


def _statuses(store: Store) -> list[tuple[str, str | None]]:
    with store.read() as connection:
        rows = connection.execute(sa.select(runs.c.status, runs.c.outcome).order_by(runs.c.id))
        return [(row.status, row.outcome) for row in rows]


def _alerts(store: Store) -> list[str]:
    """Events of the delivered messages."""
    with store.read() as connection:
        query = sa.select(alerts.c.event).where(alerts.c.channel == "log")
        delivered = query.where(alerts.c.ended_at.is_not(None), alerts.c.error == "")
        return sorted(connection.execute(delivered).scalars())


@_both(STEPS, QUICK_KILLED, longest=pytest.mark.system)
def test_the_run_after_a_killed_one_resumes_it(
    how: str,
    step: str,
    request: pytest.FixtureRequest,
    new_home: MakeHome,
    open_home: OpenHome,
    undisturbed: dict[str, Any],
) -> None:
    run: StartRun = request.getfixturevalue(how)
    home = new_home("killed")
    # Before the sixth commit of the search one trial is in, and a score of the other comes next.
    commit = 6 if step == "search" else 1
    assert run(home, Blow(signal.SIGKILL, step, commit)) == -signal.SIGKILL
    with open_home(home) as store, store.read() as connection:
        finished = dict(
            connection.execute(sa.select(trials.c.candidate, trials.c.recorded_at)).all()  # type: ignore[arg-type]
        )
    assert run(home, None) == 0
    with open_home(home) as store:
        assert contents(store) == undisturbed
        assert _statuses(store) == [("crashed", None), ("completed", "promoted")]
        assert _alerts(store) == ["failed", "promoted"]
        with store.read() as connection:
            kept = dict(
                connection.execute(sa.select(trials.c.candidate, trials.c.recorded_at)).all()  # type: ignore[arg-type]
            )
    assert {candidate: kept[candidate] for candidate in finished} == finished, (
        "a finished trial was done again"
    )
    assert len(finished) == {"search": 1}.get(step, 2 * (STEPS.index(step) > STEPS.index("search")))
    assert (home / "reports" / "report-r2.html").is_file()


@pytest.mark.system
def test_a_promotion_is_reported_once_if_its_run_is_killed_after_it(
    fork_run: StartRun, new_home: MakeHome, open_home: OpenHome
) -> None:
    """Also where the next run has other rows, and so another verdict."""
    home = new_home("killed")
    assert fork_run(home, Blow(signal.SIGKILL, "promote", 2)) == -signal.SIGKILL
    landing_rows(1, 300).to_csv(home / "landing" / "b.csv", index=False)
    assert fork_run(home, None) == 0
    with open_home(home) as store, store.read() as connection:
        query = sa.select(alerts.c.subject, alerts.c.event).where(alerts.c.channel == "log")
        found = connection.execute(query.where(alerts.c.ended_at.is_not(None))).all()
    assert [event for subject, event in found if subject == "r1"] == ["promoted", "failed"]
    assert len([event for subject, event in found if subject == "r2"]) == 1


@_both(STEPS[:-1], QUICK_INTERRUPTED, longest=pytest.mark.slow)
def test_the_run_after_an_interrupted_one_resumes_it(
    how: str,
    step: str,
    request: pytest.FixtureRequest,
    new_home: MakeHome,
    open_home: OpenHome,
    undisturbed: dict[str, Any],
) -> None:
    run: StartRun = request.getfixturevalue(how)
    home = new_home("interrupted")
    assert run(home, Blow(signal.SIGINT, step, 0)) == 3
    with open_home(home) as store, store.read() as connection:
        row = run_rows.get(connection, 1)
        assert row.status == "cancelled"
        assert row.error.startswith("interrupted with Ctrl-C;")
    assert run(home, None) == 0
    with open_home(home) as store:
        assert contents(store) == undisturbed


@pytest.mark.slow
@pytest.mark.prefect
def test_a_run_killed_at_each_of_its_commits(
    fork_flow: StartRun,
    new_home: MakeHome,
    open_home: OpenHome,
    undisturbed: dict[str, Any],
) -> None:
    for commit in range(1, 200):
        home = new_home(f"killed-{commit}")
        code = fork_flow(home, Blow(signal.SIGKILL, None, commit))
        if code == 0:
            assert commit > 20, "the run had fewer commits than a run has"
            return
        assert fork_flow(home, None) == 0
        with open_home(home) as store:
            assert contents(store) == undisturbed, f"commit {commit}"
    pytest.fail("the run never came to its end")
