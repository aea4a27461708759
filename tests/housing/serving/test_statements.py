"""A store of many batches costs the SQL statements of one of few, and no long scan."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from housing import schema
from housing.inference.loaded_model import load
from housing.keys import KEY_COLUMN
from housing.pipeline import data_page, model_card, report
from housing.pipeline.evaluate import judge_against
from housing.pipeline.notices import notices
from housing.records import RunOutcome, RunResult
from housing.serving.app import _state
from housing.serving.dashboard import overview
from housing.serving.metrics import ServiceMetrics
from housing.settings import load_settings
from housing.store import queries
from housing.store.data import batches, datasets, parts, split
from housing.store.data.batches import NewBatch
from housing.store.data.segments import to_frame
from housing.store.database.engine import Store
from housing.training.split import SplitRule

SHORT = {
    "version_batches", "ours", "theirs", "batches", "dataset_versions", "promotion_log", "leases",
    "value_frequencies", "alembic_version", "store_identity",
}  # fmt: skip
"""Tables that a query may walk: of one short row a batch or decision, or of few rows."""

Statements = list[tuple[str, Any]]


@contextmanager
def executed(on: Store) -> Iterator[Statements]:
    """The statements on a store's database while the block runs, with their parameters."""
    found: Statements = []

    def listen(used: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if used.engine.url == on.engine.url:
            found.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listen)


def grow(store: Store, to: int) -> int:
    """Bring a store to so many batches of its dataset; returns the newest version."""
    with store.read() as connection:
        members = datasets.active_members(connection)
        (first,) = parts.parts(connection, members[:1])
    rows = to_frame(parts.read(store, first, None))
    for number in range(len(members), to):
        start = 10 * number
        part = rows[start : start + 10].reset_index(drop=True)
        part[KEY_COLUMN] += number  # rows of their own: other keys, and other values in all columns
        part[list(schema.NUMBERS)] *= 1.001
        new = NewBatch(
            source="landing", name=f"{number}.csv", size=1, simulated=False, watermark=None,
            digest=hashlib.sha256(str(number).encode()).hexdigest(), read=len(part),
            accepted=part, rejected=part[:0], rejections=(), status="accepted", message="",
        )  # fmt: skip
        added = batches.add(store, new, None)
        assert added is not None
        datasets.append_waiting(store, reason="test", run=None)
        split.split_batch(store, added.id or 0, SplitRule(0.2, 42))
    with store.read() as connection:
        return datasets.must_have_active(connection).id


def _load(store: Store, version: int) -> None:
    load(store, 2)


def _report(store: Store, version: int) -> None:
    result = RunResult(2, RunOutcome.KEPT, "kept", version=version, challenger=2)
    report.collect(store, load_settings(), 2, result)


def _card(store: Store, version: int) -> None:
    model_card.collect(store, 2)


def _data_page(store: Store, version: int) -> None:
    data_page.collect(store, version, version)


def _evaluate(store: Store, version: int) -> None:
    judge_against(store, 2, version, 1, load_settings(), again=True)


def _status(store: Store, version: int) -> None:
    with store.read() as connection:
        queries.status(connection)
        [*notices(connection, load_settings())]


def _listings(store: Store, version: int) -> None:
    with store.read() as connection:
        for name in ("models", "datasets", "batches", "runs", "history"):
            getattr(queries, f"list_{name}")(connection, 4)


def _dashboard(store: Store, version: int) -> None:
    state = _state(load_settings(), ServiceMetrics(frozenset()))
    try:
        overview(state)
    finally:
        state.batcher.close()
        state.store.close()


JOBS: tuple[Callable[[Store, int], None], ...] = (
    _load, _report, _card, _data_page, _evaluate, _status, _listings, _dashboard,
)  # fmt: skip


@pytest.mark.system
def test_fifty_batches_cost_the_statements_of_five_and_no_scan(
    own_home: Path, own_store: Store
) -> None:
    counts = []
    for size in (5, 50):
        version = grow(own_store, size)
        data_page.collect(own_store, version)  # what is measured once a version
        found = {}
        for job in JOBS:
            with executed(own_store) as statements:
                job(own_store, version)
            found[job.__name__] = statements
        counts.append({name: len(each) for name, each in found.items()})
    assert counts[0] == counts[1]
    every = {s: p for each in found.values() for s, p in each}
    scans = {line for s, p in every.items() for line in long_scans(own_store, s, p)}
    assert not scans, "\n".join(sorted(scans))


def long_scans(store: Store, statement: str, parameters: Any) -> Iterator[str]:
    """Tables that a statement walks row by row; one with a LIMIT and no sort ends early."""
    if not statement.lstrip().upper().startswith(("SELECT", "WITH")):
        return
    with store.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    lines = [row[3] for row in plan]
    sorted_ = any("TEMP B-TREE FOR ORDER BY" in line for line in lines)
    if "LIMIT" in statement and not sorted_:
        return
    for line in lines:
        scan = re.match(r"SCAN (\w+)", line)
        if (
            scan
            and "COVERING" not in line
            and scan[1] not in SHORT
            and not re.match(r"(CONSTANT|\d+|anon_\d+)$", scan[1])
        ):
            yield f"{line}: {' '.join(statement.split())[:300]}"
