"""Districts made from the catalogue, batches of them, and empty stores by the dozen."""

import contextlib
import itertools
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from sqlalchemy import make_url

from housing import problem, schema
from housing.keys import KEY_COLUMN, mix
from housing.settings import Settings
from housing.store.data.segments import put_frame
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import batches, evaluations, models, searches, utc_now
from housing.store.objects.recording import record_blob

MISSING_SHARE = 0.05


def _uniform(keys: np.ndarray, salt: int) -> np.ndarray:
    bits = mix(keys.astype(np.int64).view(np.uint64) + np.uint64(salt * 7919 + 1))
    return bits.astype(np.float64) / 2.0**64


@pytest.fixture(scope="session")
def districts() -> Callable[..., pd.DataFrame]:
    """Makes a valid table; a row's cells follow from its key and `revision` alone.

    `stratum` (one code a row, as `training.split.strata` counts) puts rows where a test wants them.
    """

    def make(keys: Iterable[int], revision: int = 0, stratum: Any = None) -> pd.DataFrame:
        ids = np.asarray(list(keys), dtype=np.int64)
        frame = pd.DataFrame({KEY_COLUMN: ids})
        for i, column in enumerate(schema.COLUMNS):
            share = _uniform(ids, 100 * revision + i)
            if column.kind == "category":
                levels = np.minimum((share * len(column.categories)).astype(int), 4)
                frame[column.name] = np.asarray(column.categories, dtype=object)[levels]
            else:
                span = min(column.maximum - column.minimum, 5_000)
                frame[column.name] = np.round(column.minimum + share * span, 4)
            if column.nullable:
                frame.loc[_uniform(ids, 100 * revision + 50 + i) < MISSING_SHARE, column.name] = (
                    None
                )
        _place(
            frame,
            _strata_of(ids, revision) if stratum is None else np.asarray(stratum, dtype=np.int64),
        )
        return frame.astype(dict(schema.dtypes()))

    return make


def _strata_of(ids: np.ndarray, revision: int) -> np.ndarray:
    count = np.prod([len(grouping.names()) for grouping in schema.TABLE.strata])
    return np.minimum((_uniform(ids, 100 * revision + 99) * count).astype(int), count - 1)


def _place(frame: pd.DataFrame, code: np.ndarray) -> None:
    for grouping in reversed(schema.TABLE.strata):
        code, level = np.divmod(code, len(grouping.names()))
        if isinstance(grouping, problem.Bins):
            edges = (*grouping.edges, grouping.edges[-1] + 1)
            frame[grouping.column] = np.asarray(edges)[level]  # a group holds its upper edge
        else:
            frame[grouping.column] = np.asarray(grouping.names(), dtype=object)[level]


@pytest.fixture(scope="session")
def add_batch() -> Callable[..., int]:
    """Stores a frame as an accepted batch and returns its id: the segment, then its row."""
    serial = itertools.count(1)

    def add(store: Store, frame: pd.DataFrame, *, status: str = "accepted") -> int:
        blob = put_frame(store, frame)
        values = {
            "digest": f"{next(serial):064x}",
            "source": "test",
            "name": "test.csv",
            "status": status,
            "message": "",
            "simulated": True,
            "size": blob.size,
            "read_rows": len(frame),
            "accepted_rows": len(frame),
            "rejected_rows": 0,
            "rejections": [],
            "recorded_at": utc_now(),
        }
        with store.write() as connection:
            segment = record_blob(connection, blob, "segment")
            new = batches.insert().values(segment=segment, **values).returning(batches.c.id)
            return int(connection.execute(new).scalar_one())

    return add


@pytest.fixture(scope="session")
def add_model() -> Callable[..., int]:
    """Registers a model of a version without fitting one; returns its id."""
    serial = itertools.count(1)

    def add(store: Store, version: int, exclude_features: Sequence[str] = ()) -> int:
        n, plan = next(serial), {"exclude_features": exclude_features}
        blob = store.blobs.put(f"model {n}".encode(), "joblib.zst")
        now = utc_now()
        with store.write() as connection:
            search = searches.insert().values(
                key=f"{n:064x}", version=version, plan=plan, started_at=now
            )
            digest = record_blob(connection, blob, "model")
            new = models.insert().values(
                search=connection.execute(search.returning(searches.c.id)).scalar_one(),
                ensemble_size=1,
                version=version,
                candidate=0,
                family="test",
                parameters={},
                members=[{"candidate": {"family": "test", "parameters": {}}, "seed": n}],
                seed=n,
                cv_error=1.0,
                train_rows=1,
                train_keys=f"{n:064x}",
                artifact=digest,
                golden=digest,
                out_of_fold=digest,
                importances={},
                groups={},
                unseen={},
                libraries={},
                fit_seconds=0.0,
                created_at=now,
            )
            return int(connection.execute(new.returning(models.c.id)).scalar_one())

    return add


@pytest.fixture(scope="session")
def add_evaluation() -> Callable[..., int]:
    """Records that a challenger was judged, with no figures; returns the evaluation's id."""
    serial = itertools.count(1)

    def add(store: Store, version: int, challenger: int) -> int:
        blob = store.blobs.put(b"predictions", "parquet")
        with store.write() as connection:
            new = evaluations.insert().values(
                key=f"{next(serial):064x}",
                version=version,
                challenger=challenger,
                predictions=record_blob(connection, blob, "predictions"),
                policy={},
                evidence={},
                verdict={},
                outcome="promote",
                created_at=utc_now(),
            )
            return int(connection.execute(new.returning(evaluations.c.id)).scalar_one())

    return add


# --- empty stores ---------------------------------------------------------------------------

BlankStore = Callable[[], AbstractContextManager[Store]]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def blank_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> BlankStore:
    """Opens a new, empty store each time it is called: for properties, which need many."""
    return _blank(request.param, request, tmp_path_factory)


@pytest.fixture(scope="session")
def blank_sqlite(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> BlankStore:
    """As `blank_store`, always SQLite: the other side of a comparison of two databases."""
    return _blank("sqlite", request, tmp_path_factory)


def _blank(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> BlankStore:
    root = tmp_path_factory.mktemp(f"blank-{kind}")
    serial = itertools.count(1)
    server = request.getfixturevalue("postgres_server") if kind == "postgresql" else None
    tables = "" if server is None else request.getfixturevalue("with_tables")

    @contextlib.contextmanager
    def opened() -> Iterator[Store]:
        home = root / str(next(serial))
        with _database(server, tables) as url, open_store(Settings(home=home, **url)) as store:
            yield store

    return opened


@contextlib.contextmanager
def _database(server: str | None, tables: str) -> Iterator[dict[str, Any]]:
    if server is None:
        yield {}
        return
    name = f"blank_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {tables}")
        try:
            url = make_url(server).set(database=name)
            yield {"database_url": url.render_as_string(hide_password=False)}
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


# --- other processes ------------------------------------------------------------------------


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python process with piped input and output that does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
