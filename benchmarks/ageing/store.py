"""A store of so many nights, made in minutes: the first night is run, the others are written.

Each later night is what a run leaves behind: a batch that is ingested, frozen and split by the
functions of a run; a search, model, evaluation, calibration and run whose rows are those of the
first night under new numbers and whose objects are real ones with bytes of their own; the monitor's
windows of a day. Of nights past their age there are the rows alone, as after a prune, and their
versions have made-up digests. The clock is set back for each, so that ages are true: prunes are
run weekly (of old nights every tenth week), and the last backups daily. `housing doctor` finds no
damage.
"""

import hashlib
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from benchmarks.homes import promoted
from housing.inference.loaded_model import VALUE
from housing.operations import backup, monitor, prune
from housing.pipeline import ingest, report, train
from housing.pipeline.run_context import NightlyParameters, finish_run, start_run
from housing.problems.california.simulated.scenarios import simulate
from housing.quality.rows import validate
from housing.schema import CHALLENGER
from housing.settings import Settings, load_settings
from housing.sources.table_file import read_table
from housing.store.data import batches, datasets, profiles, split
from housing.store.data.batches import NewBatch
from housing.store.data.segments import get_table, put_table
from housing.store.database import tables
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import artifacts, promotion_log
from housing.store.models.promotion_log import Authorship
from housing.store.objects.recording import record_blob
from housing.store.runs import runs
from housing.store.runs.predictions import PREDICTED
from housing.training.split import SplitRule

FIRST_ROWS, NIGHTLY_ROWS = 20_640, 20
PROMOTED_EVERY = 3.6
"""Nights between two promotions: within the 90 days of retention there are 25 champions."""
WINDOWS = 24
"""Runs of the monitor a day."""
BACKUPS = 3
"""Days before the end with a backup."""
ALL_PROMOTED = 10
"""First nights that are promoted each: a young store has champions to check too."""
WEEK = 7

SETTINGS = {
    "HOUSING_SOURCES__NAMES": "landing",
    "HOUSING_SOURCES__SETTLE_SECONDS": "0",
    "HOUSING_SEARCH__FAMILIES": "tree",
    "HOUSING_SEARCH__N_TRIALS": "2",
    "HOUSING_SEARCH__FOLDS": "2",
    "HOUSING_SEARCH__ENSEMBLE_SIZE": "1",
    "HOUSING_SEARCH__PRUNE_MARGIN": "0",
}
"""A search that is small beside the rest of a run: the rest is what may grow with age."""


class Clock:
    """`utc_now` of all modules that are loaded, `behind` the real one."""

    def __init__(self) -> None:
        self.behind = timedelta()
        for module in [m for name, m in sys.modules.items() if name.startswith("housing.")]:
            if getattr(module, "utc_now", None) is tables.utc_now and module is not tables:
                module.utc_now = self.now  # type: ignore[attr-defined]
        tables.utc_now = self.now

    def now(self) -> datetime:
        """The instant that the store is written at."""
        return datetime.now(UTC) - self.behind


def make(home: Path, nights: int) -> None:
    """A home after so many nights; one that is there already is left alone."""
    os.environ.update({**SETTINGS, "HOUSING_HOME": str(home)})
    done = home / "nights"
    if done.exists():
        return
    clock = Clock()
    clock.behind = timedelta(days=nights)
    deliver(home, 0, FIRST_ROWS)
    _first_night()
    settings = load_settings()
    with open_store(settings) as store:
        written = _Nights(store, settings)
        written.delivered = _validated(home, settings, nights)
        for night in range(1, nights):
            clock.behind = timedelta(days=nights - night)
            old = nights - night > settings.retention.days + WEEK
            written.write(night, old=old)
            if night % (10 * WEEK if old else WEEK) == 0:
                prune.prune(store, settings)
            if nights - night <= BACKUPS:
                backup.create(store, settings)
            if night % 100 == 0:
                print(f"  {night} nights", file=sys.stderr, flush=True)
        backup.verify(store)
    done.write_text(str(nights))


def deliver(home: Path, night: int, rows: int = NIGHTLY_ROWS) -> Path:
    """The rows of a night in the landing directory."""
    folder = home / "landing"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"night-{night:05d}.csv"
    simulate(rows, 0, day=night).to_csv(path, index=False)
    return path


def _first_night() -> None:
    settings = load_settings()
    with start_run("nightly", NightlyParameters()) as run, open_store(settings) as store:
        result = promoted(store, settings, run)
        finish_run(store, run, report.write_report(store, settings, run, result).result)
    with open_store(settings) as store:
        monitor.monitor(store, settings)


def _validated(home: Path, settings: Settings, nights: int) -> pd.DataFrame:
    """The rows of all later nights, as the ingestion validates them."""
    file = deliver(home, 1, nights * NIGHTLY_ROWS)
    rows = validate(read_table(file, ingest.options(settings).limits), file.name).accepted
    file.unlink()
    return rows


class _Nights:
    """Writes nights after the first one, whose rows and objects are their pattern."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store, self.settings = store, settings
        with store.read() as connection:
            self.rows = {
                table: connection.execute(sa.select(table)).mappings().all()
                for table in (
                    tables.searches, tables.fold_scores, tables.trials, tables.models,
                    tables.evaluations, tables.calibrations, tables.runs, tables.run_steps,
                    tables.dataset_profiles,
                    tables.monitor_windows, tables.readiness_checks,
                )
            }  # fmt: skip
        (self.model,) = self.rows[tables.models]
        self.fitted = artifacts.get_model(store, self.model["artifact"])
        self.patterns = (
            (self.model["golden"], "golden", artifacts.PREDICTION),
            (self.model["out_of_fold"], "out_of_fold", PREDICTED),
            (self.rows[tables.evaluations][0]["predictions"], "predictions", CHALLENGER),
            (self.rows[tables.calibrations][0]["training_index"], "training_index", VALUE),
        )
        self.tables = {digest: get_table(store, digest) for digest, _, _ in self.patterns}
        self.promoted = 1.0
        self.delivered = pd.DataFrame()
        self.rule = SplitRule(settings.split.test_share, settings.split.seed)

    def write(self, night: int, *, old: bool) -> None:
        """One night; of an `old` one only rows are left."""
        store = self.store
        with store.write() as connection:
            run = runs.start(connection, "nightly", {})
        version = self._brought_in(night, run)
        if old:
            keys, train_rows = secrets.token_hex(32), version
            blobs = {}
        else:
            frame = datasets.read(store, version)
            profiles.record_or_verify(store, version, frame)
            keys = train.keys_digest(datasets.training_keys(frame))
            train_rows = len(datasets.training_rows(frame))
            blobs = self._objects(night)
        ids = self._recorded(run, version, blobs, {"train_keys": keys, "train_rows": train_rows})
        if self._promotes(night):
            self.promoted = night + PROMOTED_EVERY
            self._promote(ids)
        facts = {name: ids[name] for name in ("search", "challenger", "evaluation")}
        pattern = self.rows[tables.runs][0]
        facts |= {name: pattern[name] for name in ("outcome", "message", "report")}
        runs.finish(store, run, "completed", version=version, **facts)

    def _brought_in(self, night: int, run: int) -> int:
        """A version with a batch of some rows that were validated together."""
        rows = self.delivered[(night - 1) * NIGHTLY_ROWS : night * NIGHTLY_ROWS]
        name = f"night-{night:05d}.csv"
        new = NewBatch(
            source="landing", name=name, digest=hashlib.sha256(name.encode()).hexdigest(),
            size=2_000, simulated=False, watermark=None, read=len(rows),
            accepted=rows.reset_index(drop=True), rejected=rows[:0], rejections=(),
            status="accepted", message=f"{len(rows)} new",
        )  # fmt: skip
        batch = batches.add(self.store, new, run)
        version = datasets.append_waiting(self.store, reason="new batches", run=run)
        split.split_batch(self.store, batch.id, self.rule)
        return version.id

    def _promotes(self, night: int) -> bool:
        return night < ALL_PROMOTED or night >= self.promoted

    def _objects(self, night: int) -> dict[str, Any]:
        """Objects of a night that are not yet past their age, each with bytes of its own."""
        self.fitted.set_params(**_marked(self.fitted, night))
        found = {"artifact": (artifacts.put_model(self.store, self.fitted), "model")}
        for digest, name, column in self.patterns:
            by = 0.0 if name == "golden" else night * 1e-6  # they must be reproduced
            found[name] = (self._changed(digest, column, by), name)
        return found

    def _changed(self, digest: str, column: str, by: float) -> Any:
        """A stored table with other values in a column."""
        table = self.tables[digest]
        at = table.column_names.index(column)
        values = table[column].to_numpy() * (1.0 + by * (1 + np.arange(table.num_rows) % 7))
        table = table.set_column(at, column, pa.array(values))
        return put_table(self.store, table)

    def _recorded(
        self,
        run: int,
        version: int,
        blobs: dict[str, Any],
        facts: dict[str, Any],
    ) -> dict[str, int]:
        with self.store.write() as connection:
            digests = {n: record_blob(connection, blob, kind) for n, (blob, kind) in blobs.items()}
            new = _Rows(connection, self.rows, tables.utc_now())
            gone = {n: new.pruned(n) for n in OBJECTS if n not in digests}
            digests |= gone
            fold = {"out_of_fold": digests["out_of_fold"]}
            its = {"version": version, "run": run}
            search = new.copy(tables.searches, key=secrets.token_hex(32), **its, **fold)
            for table in (tables.fold_scores, tables.trials):
                new.copy(table, search=search)
            model = new.copy(
                tables.models, search=search, **its, **fold, **facts,
                artifact=digests["artifact"], golden=digests["golden"],
            )  # fmt: skip
            new.copy(tables.calibrations, model=model, training_index=digests["training_index"])
            champion = promotion_log.champion(connection)
            evaluation = new.copy(
                tables.evaluations, key=secrets.token_hex(32), challenger=model,
                champion=champion, predictions=digests["predictions"], **its,
            )  # fmt: skip
            new.copy(tables.run_steps, run=run)
            head = promotion_log.head(connection)
            if not blobs:
                new.copy(
                    tables.dataset_profiles, version=version, digest=secrets.token_hex(32),
                    sides=secrets.token_hex(32), content=secrets.token_hex(32),
                )  # fmt: skip
            for _ in range(WINDOWS if blobs else 0):
                new.copy(tables.monitor_windows, promotion=head.seq if head else 1, model=champion)
        return {"search": search, "challenger": model, "evaluation": evaluation}

    def _promote(self, ids: dict[str, int]) -> None:
        why = Authorship("benchmark", "benchmark")
        with self.store.write() as connection:
            its = {"evaluation": ids["evaluation"]}
            head = promotion_log.head(connection)
            promotion_log.append(connection, head, "promote", ids["challenger"], why, **its)


OBJECTS = ("artifact", "golden", "out_of_fold", "predictions", "training_index")


class _Rows:
    """Copies of the first night's rows under new numbers and times."""

    def __init__(self, connection: sa.Connection, rows: dict[Any, Any], now: datetime) -> None:
        self.connection, self.rows, self.now = connection, rows, now

    def copy(self, table: sa.Table, **changed: Any) -> int:
        """The rows of a table with other values; the number of the last one."""
        found = 0
        for row in self.rows[table]:
            times = {n: self.now for n, v in row.items() if isinstance(v, datetime)}
            facts = {k: v for k, v in {**row, **times, **changed}.items() if k != "id"}
            nulls = {k: sa.null() for k, v in facts.items() if v is None}
            new = table.insert().values(**{**facts, **nulls})
            if "id" in table.c:
                found = self.connection.execute(new.returning(table.c.id)).scalar_one()
            else:
                self.connection.execute(new)
        return int(found)

    def pruned(self, kind: str) -> str:
        """The row of an object that retention has deleted long since."""
        gone = {"pruned_at": self.now, "deleted_at": self.now}
        facts = {"digest": secrets.token_hex(32), "suffix": "parquet", "size": 1, "kind": kind}
        self.connection.execute(tables.blobs.insert().values(**facts, created_at=self.now, **gone))
        return facts["digest"]


def _marked(model: Any, night: int) -> dict[str, int]:
    """A seed that nothing draws from any more: other bytes, the same predictions."""
    seeds = [name for name in model.get_params() if name.endswith("random_state")]
    return {seeds[-1]: night + 1}


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute(), int(sys.argv[2]))
