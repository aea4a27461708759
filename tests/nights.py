"""Nights that take seconds: small settings, a small forest, and what two stores have in common."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sklearn.pipeline import Pipeline

from housing.sources.simulated.scenarios import Noise, simulate
from housing.store.engine import Store
from housing.store.tables import metadata
from housing.training.candidates import CANDIDATES, Candidate

SMALL: Mapping[str, str] = {
    "HOUSING_SOURCE": "landing",
    "HOUSING_SETTLE_SECONDS": "0",
    "HOUSING_SEARCH__FAMILIES": "forest",
    "HOUSING_SEARCH__N_ITER": "2",
    "HOUSING_SEARCH__FOLDS": "2",
    "HOUSING_SEARCH__N_JOBS": "1",
    "HOUSING_RETENTION__TRY_CHAMPIONS": "false",  # a process of its own takes seconds to start
    "HOUSING_SEARCH__BAG": "1",
    "HOUSING_SEARCH__RACE": "0",
    "HOUSING_SEARCH__WARM": "0",
    "HOUSING_GATE__MIN_TEST_ROWS": "50",
    "HOUSING_GATE__BASELINE_MARGIN": "0",
    "HOUSING_GATE__CONFIDENCE": "0.5",
    "HOUSING_GATE__PREFLIGHT": "false",  # a process a night; tests of its own ask for it
    "HOUSING_GATE__LATENCY_BUDGET_MS": "60000",  # a busy machine is not what is tested
}
"""Settings of a night that takes a second."""


def small_forest() -> Candidate:
    """The reference forest with 12 trees instead of 100."""
    full = CANDIDATES["forest"]
    return replace(full, build=partial(_twelve_trees, full.build))


def _twelve_trees(build: Callable[[int], Pipeline], seed: int) -> Pipeline:
    return build(seed).set_params(model__n_estimators=12)


def landing_rows(night: int = 0, rows: int = 1200) -> pd.DataFrame:
    """Districts with little noise, of which even a small forest learns more than a line does."""
    return simulate(rows, 0, night=night, noise=Noise(single=0.05, shared=0.02))


NOT_COMPARED = {
    # when and by which process, not what
    "runs", "run_steps", "leases", "backup_copies", "backups", "readiness", "alerts",
    "alembic_version",
}  # fmt: skip
TIMED_CHECKS = {"latency", "preflight"}
VOLATILE = {"run", "seconds", "fit_seconds", "message", "signature"}
"""A signature is one of the digest, which is compared, and of the home's own key."""
OF_NUMBERS = {("evaluations", "key")}
"""The key of an evaluation is of the numbers of the models that were compared."""


def compared(table: sa.Table) -> list[sa.Column[Any]]:
    """The columns that are equal for equal histories."""
    return [
        c
        for c in table.columns
        if not (c.name in VOLATILE or c.name.endswith("at") or (table.name, c.name) in OF_NUMBERS)
    ]


Orders = Mapping[str, Mapping[int, int]]


def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All that a store says, but for times and who wrote it: equal for equal histories.

    Rows count by their order, not by their number: PostgreSQL's sequences never take back the
    number of an insert that was rolled back, so a history with a fault in it has gaps.
    """
    found = {}
    with store.read() as connection:
        orders = {t.name: _order(connection, t) for t in metadata.sorted_tables if "id" in t.c}
        for table in metadata.sorted_tables:
            if table.name in NOT_COMPARED:
                continue
            columns = compared(table)
            rows = connection.execute(sa.select(*columns)).all()
            found[table.name] = sorted(
                tuple(
                    _told(value, column, orders) for value, column in zip(row, columns, strict=True)
                )
                for row in rows
            )
    return found


def _order(connection: sa.Connection, table: sa.Table) -> dict[int, int]:
    """The place of each row of a table by its number."""
    ids = connection.execute(sa.select(table.c.id).order_by(table.c.id)).scalars()
    return {number: place for place, number in enumerate(ids, start=1)}


def _told(value: Any, column: sa.Column[Any], orders: Orders) -> str:
    order = orders.get(_numbers_of(column))
    if order and isinstance(value, int):
        return repr(order[value])
    if isinstance(value, dict):
        value = _without_clock(value)
    return re.sub(MODEL_NUMBER, lambda found: str(orders["models"][int(found[0])]), repr(value))


MODEL_NUMBER = r"(?<=\bm)\d+\b|(?<='id': )\d+\b"
"""In sentences, m7; in evidence, the id of challenger and champion."""


def _numbers_of(column: sa.Column[Any]) -> str:
    """The table whose rows a column numbers; empty if it numbers none."""
    if column.name == "id":
        return str(column.table.name)
    if (column.table.name, column.name) == ("split_agreements", "batch"):
        return "batches"  # of tens of millions of rows, each is not held against its table
    named = (str(k.column.table.name) for k in column.foreign_keys if k.column.name == "id")
    return next(named, "")


def _without_clock(value: Any) -> Any:
    """Evidence and verdicts without what a stopwatch has said."""
    if isinstance(value, dict):
        return {
            name: _without_clock(part)
            for name, part in value.items()
            if "latency" not in name and name != "seconds"
        }
    if isinstance(value, list):
        timed = [isinstance(part, dict) and part.get("name") in TIMED_CHECKS for part in value]
        return [_without_clock(p) for p, is_timed in zip(value, timed, strict=True) if not is_timed]
    return value
