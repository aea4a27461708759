"""A whole night on a Dask cluster that loses a worker, beside the same night without one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from housing.settings import Settings
from housing.store.opening import open_store
from housing.store.tables import models, scores
from tests.clusters import a_scheduler, two_workers, worker
from tests.nights import SMALL, contents, landing_rows

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of distributed's own

NIGHT = {
    **SMALL,
    "HOUSING_SEARCH__FAMILIES": "tree",
    "HOUSING_SEARCH__N_ITER": "12",
    "HOUSING_SEARCH__BAG": "2",
    "HOUSING_GATE__LATENCY_BUDGET_MS": "60000",  # what a stopwatch says is no part of the result
}
DRAWS_BEFORE_DEATH = 3
PATIENCE = 200  # seconds


def begin(folder: Path, **more: str) -> "subprocess.Popen[str]":
    """`housing retrain` in an empty home with one landed file."""
    home = folder / "home"
    (home / "landing").mkdir(parents=True)
    landing_rows(rows=800).to_csv(home / "landing" / "a.csv", index=False)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOUSING_", "PREFECT_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "deployments.cli.entry", "retrain", "--json"],
        env={**kept, **NIGHT, "HOUSING_HOME": str(home), **more},
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def answer(process: "subprocess.Popen[str]") -> dict:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 3, 4), err
    return json.loads(out)


def scored(folder: Path) -> int:
    database = folder / "home" / "housing.db"
    if not database.exists():
        return 0
    engine = sa.create_engine(f"sqlite:///{database}")
    try:
        with engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(scores)).scalar_one()
    except sa.exc.OperationalError:  # its tables are being made
        return 0
    finally:
        engine.dispose()


@pytest.mark.timeout(600)
def test_a_night_on_a_cluster_that_loses_a_worker_is_the_night_without_one(tmp_path, home):
    there, here = tmp_path / "there", tmp_path / "here"
    with a_scheduler() as address, worker(address) as victim, worker(address):
        two_workers(address)
        night = begin(there, HOUSING_DASK_ADDRESS=address)
        until = time.monotonic() + PATIENCE
        while scored(there) < DRAWS_BEFORE_DEATH:
            assert night.poll() is None, night.communicate()
            assert time.monotonic() < until, "nothing was scored"
            time.sleep(0.01)
        victim.send_signal(signal.SIGKILL)
        at_death = scored(there)
        far = answer(night)
        assert victim.wait(10) == -signal.SIGKILL
    assert at_death < 24, "it was killed when all was done"
    near = answer(begin(here))
    assert (far["outcome"], far["sentence"]) == (near["outcome"], near["sentence"])
    both = [told(folder) for folder in (there, here)]
    assert both[0].keys() == both[1].keys()
    for table in both[0]:
        assert both[0][table] == both[1][table], table


def told(folder: Path) -> dict[str, list[str]]:
    """What a store says, its models by their numbers in place of the digests of their files.

    What came through a cluster shares fewer objects within a file than what one process made, and
    so has other bytes; that it predicts the same to the bit is what the blobs of golden rows, of
    unseen folds and of the test set say, which are compared.
    """
    with open_store(Settings(home=folder / "home")) as store:
        found = contents(store)
        with store.read() as connection:
            query = sa.select(models.c.id, models.c.artifact).order_by(models.c.id)
            artifacts = {row.artifact: f"m{row.id}" for row in connection.execute(query)}
    shown = {table: [repr(row) for row in rows] for table, rows in found.items()}
    shown["blobs"] = [row for row in shown["blobs"] if not any(a in row for a in artifacts)]
    for kind in ("golden", "oof", "predictions"):
        assert any(kind in row for row in shown["blobs"]), kind
    for digest, name in artifacts.items():
        shown = {t: [row.replace(digest, name) for row in rows] for t, rows in shown.items()}
    return {table: sorted(rows) for table, rows in shown.items()}
