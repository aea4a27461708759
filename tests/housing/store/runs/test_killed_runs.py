"""Commands that need no lease are killed: their run does not stay marked as running."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from sklearn.linear_model import LinearRegression

from housing.pipeline.run_context import NightlyParameters, start_run
from housing.problems.california.simulated.scenarios import simulate
from housing.settings import Settings
from housing.store import queries
from housing.store.database.engine import Store
from housing.store.database.tables import leases
from housing.store.database.tables import runs as runs_table
from housing.store.models import artifacts
from housing.store.objects.recording import record_blob
from housing.store.runs import runs

COMMANDS = {
    "ingest": ("ingest", "rows.csv"),
    "labels": ("ingest", "--labels", "rows.csv"),
    "audit": ("ingest", "--audit", "rows.csv"),
    "sign": ("sign", "--reason", "a lost key"),
}

KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from deployments.cli.main import app
from housing.store.runs import runs

def finish(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL if sys.argv[1] == "killed" else signal.SIGSTOP)
    return ended(*_, **__)

ended, runs.finish = runs.finish, finish
app(sys.argv[2:])
"""
"""A command whose process is hit when all its work is done and its run is to be ended."""


@pytest.fixture(
    params=[
        pytest.param(name, marks=() if name == "ingest" else pytest.mark.either_database)
        for name in COMMANDS
    ]
)
def command(request: pytest.FixtureRequest, settings: Settings, store: Store) -> list[str]:
    """The words of a command that has something to do."""
    if request.param == "sign":
        model = LinearRegression().fit(np.zeros((2, 1)), np.zeros(2))
        blob = replace(artifacts.put_model(store, model), signature=None)
        with store.write() as connection:
            record_blob(connection, blob, "model")
    path = settings.home / "rows.csv"
    simulate(20, 4).to_csv(path, index=False)
    return [str(path) if word == "rows.csv" else word for word in COMMANDS[request.param]]


def _shown(store: Store) -> list[str]:
    with store.read() as connection:
        return [row["status"] for row in queries.list_runs(connection)]


def _recorded(store: Store) -> list[str]:
    with store.read() as connection:
        query = sa.select(runs_table.c.status).order_by(runs_table.c.id.desc())
        return list(connection.execute(query).scalars())


def test_the_run_of_a_killed_command_is_listed_and_recorded_as_crashed(
    store: Store, command: list[str]
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, "killed", *command])
    assert done.returncode == -signal.SIGKILL
    assert _shown(store) == ["crashed"]
    with start_run("nightly", NightlyParameters()):
        assert _recorded(store) == ["running", "crashed"]
    with store.read() as connection:
        assert connection.execute(sa.select(leases.c.name)).scalars().all() == ["run"]


def test_the_run_of_a_command_that_is_slow_is_left_alone(store: Store, command: list[str]) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, "stopped", *command])
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    try:
        assert os.WIFSTOPPED(status)
        assert runs.mark_dead(store) == []
        assert _shown(store) == ["running"]
    finally:
        process.send_signal(signal.SIGCONT)
    assert process.wait() == 0
    assert _shown(store) == ["completed"]
    with store.read() as connection:
        assert connection.execute(sa.select(leases.c.name)).scalars().all() == []
