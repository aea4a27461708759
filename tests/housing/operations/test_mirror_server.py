"""The mirror against a real MLflow server: what it holds after faults is what it holds without."""

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from housing import schema
from housing.errors import RunInProgress
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import load
from housing.operations.mirror import check, model_files, objects
from housing.operations.mirror.drain import MirrorResult, mirror
from housing.pipeline import promote
from housing.settings import load_settings
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import registry
from housing.store.runs import mirrored
from tests.fixtures.mlflow_server import MlflowServer, mlflow_server
from tests.fixtures.small_settings import SMALL

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture
def store(
    server: MlflowServer, populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """A copy of the home with two runs, mirrored under a name of this test's own."""
    home = tmp_path / "copy"
    shutil.copytree(populated_home, home)
    for name in [n for n in os.environ if n.startswith("HOUSING_")]:
        monkeypatch.delenv(name)
    given = {**SMALL, "HOUSING_HOME": str(home), "HOUSING_MIRROR__URL": server.url}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    named(monkeypatch, tmp_path.name)
    with open_store(load_settings()) as opened:
        yield opened


def named(monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    """Have the problem another name: an experiment and a registered model of its own."""
    for module in (objects, check):
        monkeypatch.setattr(module, "PROBLEM", replace(schema.PROBLEM, name=name))
    return name


def send(store: Store, **options: Any) -> MirrorResult:
    return mirror(store, load_settings(), **options)


def without_second_run(store: Store) -> None:
    """A night is enough where it is sent a hundred times."""
    with closing(sqlite3.connect(str(store.engine.url.database))) as database:
        database.execute("DROP TRIGGER promotion_log_refuses_DELETE")
        for table, key in (("promotion_log", "seq"), ("runs", "id")):
            database.execute(f"DELETE FROM {table} WHERE {key} = 2")
        database.commit()


class Cut(httpx.HTTPTransport):
    """Loses the k-th request before it is sent, or its response after."""

    def __init__(self, k: int, *, sent: bool) -> None:
        super().__init__()
        self.k, self.sent, self.count = k, sent, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        if self.count != self.k:
            return super().handle_request(request)
        if self.sent:
            super().handle_request(request).read()
        raise httpx.ReadTimeout("cut", request=request)


@pytest.mark.parametrize("sent", [False, True], ids=["request lost", "response lost"])
def test_a_cut_at_any_request_leaves_what_no_cut_leaves(
    store: Store, server: MlflowServer, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    without_second_run(store)
    made = cache(lambda id_: list(model_files.model_files(store, row_of(store, id_))))
    monkeypatch.setattr(objects, "model_files", lambda _, row: iter(made(row.id)))
    counted = Cut(0, sent=sent)
    assert send(store, transport=counted).errors == []
    expected = server.state(objects.PROBLEM.name)
    kinds = [one[2:].split("'")[0] for one in expected["objects"]]
    assert sorted(set(kinds)) == ["alias", "model", "run", "version", "version tag"]
    assert kinds.count("run") == 3  # and two trials
    assert counted.count > 20
    for k in range(1, counted.count + 1):
        name = named(monkeypatch, f"{store.engine.url.database} {k} {sent}".replace("/", " "))
        with store.write() as connection:
            mirrored.forget(connection, *mirrored.OBJECTS, "failures")
        first = send(store, transport=Cut(k, sent=sent))
        assert "ReadTimeout" in first.errors[-1], k
        again = send(store)
        assert (again.errors, again.waiting, again.failures) == ([], 0, 0), k
        assert server.state(name) == expected, k


def row_of(store: Store, model: int) -> Any:
    with store.read() as connection:
        return registry.model(connection, model)


def test_it_is_harmless_when_repeated_and_after_the_table_was_lost(
    store: Store, server: MlflowServer
) -> None:
    done = send(store)
    assert (done.sent, done.waiting, done.errors) == (5, 0, [])
    before = server.state(objects.PROBLEM.name)
    idle = Cut(0, sent=False)
    assert send(store, transport=idle).sent == 0
    assert idle.count == 0  # SQL alone tells that there is nothing to send
    assert send(store, again=True).errors == []  # all that was recorded is forgotten first
    assert server.state(objects.PROBLEM.name) == before


def test_the_champion_is_loaded_there_and_follows_a_rollback(
    store: Store, server: MlflowServer
) -> None:
    send(store)
    assert _there(server, store) == pytest.approx(_here(store, 2), rel=1e-9)
    promote.roll_back(store, None, "worse in the field")
    done = send(store)
    assert done.errors == []
    assert _there(server, store) == pytest.approx(_here(store, 1), rel=1e-9)
    state = " ".join(server.state(objects.PROBLEM.name)["objects"])
    assert "('alias', 'champion', 1)" in state
    assert "by " in _tag(state, 2, "housing.rolled_back")
    assert "worse in the field" in _tag(state, 2, "housing.blocked")
    assert _tag(state, 2, "housing.is_blocked") == "yes"


def _tag(state: str, version: int, name: str) -> str:
    return state.split(f"('version tag', {version}, '{name}', ")[1].split(")")[0].strip("'\"")


LOADED = """
import json, sys, mlflow, pandas
model = mlflow.pyfunc.load_model(f"models:/{sys.argv[1]}@champion")
rows = pandas.read_json(sys.argv[2], orient="split", dtype=False)
for column in model.metadata.get_input_schema():
    if column.type.name == "double":
        rows[column.name] = rows[column.name].astype(float)
print(json.dumps(model.predict(rows)["prediction"].tolist()))
"""


def _golden(store: Store) -> Any:
    return to_frame(get_table(store, row_of(store, 2).golden))[list(schema.FEATURES)]


def _there(server: MlflowServer, store: Store) -> list[float]:
    rows = server.database.parent / "rows.json"
    rows.write_text(_golden(store).to_json(orient="split", double_precision=15))
    printed = server.python(LOADED, objects.PROBLEM.name, str(rows))
    found: list[float] = json.loads(printed.splitlines()[-1])
    return found


def _here(store: Store, model: int) -> list[float]:
    found: list[float] = (
        load(store, model).predictions(columns_of_frame(_golden(store))).predicted.tolist()
    )
    return found


def test_what_was_changed_or_deleted_there_is_counted_and_sent_again(
    store: Store, server: MlflowServer
) -> None:
    send(store)
    settings = load_settings()
    found = check.check(store, settings)
    assert (found.differences, found.runs, found.versions) == ((), 6, 2)
    server.python(CHANGED, objects.PROBLEM.name)
    texts = check.check(store, settings).differences
    assert {text.split(" differs")[0] for text in texts if "differs" in text} == {
        "r1", "The version of m2",
    }  # fmt: skip
    assert "s2c1 is there 0 times." in texts
    assert any(text.startswith("The alias champion names version 1") for text in texts)
    assert send(store).sent == 0  # a person's changes there stay until --again
    assert send(store, again=True).errors == []
    assert check.check(store, settings).differences == ()


CHANGED = """
import sys, mlflow
client, name = mlflow.MlflowClient(), sys.argv[1]
runs = client.search_runs([client.get_experiment_by_name(name).experiment_id])
by_id = {run.data.tags["housing.id"]: run.info.run_id for run in runs}
client.set_tag(by_id["r1"], "housing.verdict", "kept")
client.delete_run(by_id["s2c1"])
client.delete_model_version_tag(name, "2", "housing.is_blocked")
client.set_registered_model_alias(name, "champion", "1")
"""


def test_three_at_once_leave_what_one_leaves(store: Store, server: MlflowServer) -> None:
    name = objects.PROBLEM.name
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        ended = pool.map(_send_as, [(dict(os.environ), name)] * 3, chunksize=1)
    assert set(ended) <= {"sent", "RunInProgress"}
    assert "sent" in ended
    assert check.check(store, load_settings()).differences == ()
    assert send(store).sent == 0
    runs = [one for one in server.state(name)["objects"] if one.startswith("('run'")]
    assert len(runs) == 6


def _send_as(
    given: tuple[dict[str, str], str], transport: httpx.BaseTransport | None = None
) -> str:
    environment, name = given
    os.environ.update(environment)
    objects.PROBLEM = replace(schema.PROBLEM, name=name)  # type: ignore[misc]
    settings = load_settings()
    with open_store(settings) as store:
        try:
            done = mirror(store, settings, transport=transport)
        except RunInProgress as error:
            return type(error).__name__
    return " ".join(done.errors) or "sent"


class Killed(Cut):
    """`kill -9` in place of the response."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return super().handle_request(request)
        except httpx.ReadTimeout:
            os.kill(os.getpid(), signal.SIGKILL)
            raise


def test_a_killed_attempt_is_continued(store: Store, server: MlflowServer) -> None:
    name = objects.PROBLEM.name
    context = multiprocessing.get_context("spawn")
    for k in (4, 3, 12):  # each goes on where the last one was killed
        process = context.Process(target=_killed, args=(dict(os.environ), name, k))
        process.start()
        process.join(300)
        assert process.exitcode == -signal.SIGKILL, k
    assert send(store).errors == []
    assert check.check(store, load_settings()).differences == ()
    runs = [one for one in server.state(name)["objects"] if one.startswith("('run'")]
    assert len(runs) == 6


def _killed(environment: dict[str, str], name: str, k: int) -> None:
    _send_as((environment, name), Killed(k, sent=True))


def test_a_registered_model_of_another_database_is_refused(
    store: Store, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(store)
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE store_identity SET id = ?", ("f" * 32,))
        mirrored.forget(connection, *mirrored.OBJECTS)
    done = send(store)
    assert "it shows the models of another database" in done.errors[0]
    assert done.waiting == 2  # entries of the promotion log; the runs are sent
