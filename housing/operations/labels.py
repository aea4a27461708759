"""True prices that come later: labels by themselves, and districts that a person has checked.

Labels are joined to the answers that were given before they came (`steps.outcomes`); they change
no dataset. Districts of an audit go through intake like any others, with their origin recorded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from housing.errors import FileUnreadable
from housing.keys import KEY_COLUMN, district_keys
from housing.pipeline.ingest import ingest_sources, options, record_skipped_files
from housing.quality import parsing
from housing.quality.rejections import LONGEST_ID
from housing.quality.table import PART_ROWS, RawTable, whole
from housing.records import BatchSummary, IntakeSummary, RunOutcome
from housing.schema import CATALOGUE, ID_COLUMN, KEY, TARGET
from housing.settings import Settings
from housing.sources.base import Delivery, IngestHistory
from housing.sources.files import ReadLimits, fingerprint, load, shown
from housing.sources.landing import Landing
from housing.sources.parquet import ParquetTable, plain
from housing.store.database.engine import Store
from housing.store.runs import predictions, runs

LABEL = "label"
AUDIT = "audit"
"""Source of a batch whose districts a person has checked."""


def ingest_labels(store: Store, settings: Settings, files: list[Path]) -> IntakeSummary:
    """Bring in true prices from files, as a run of its own; one file that fails stops no other."""
    with store.write() as connection:
        run = runs.start(connection, "labels", {"files": [str(file) for file in files]})
    try:
        limits = options(settings).limits
        found = IntakeSummary(tuple(_one(store, path, limits, run) for path in files))
        record_skipped_files(store, run, found)
    except BaseException as error:
        runs.finish(store, run, "failed", error=str(error))
        raise
    runs.finish(store, run, "completed", outcome=RunOutcome.DONE)
    return found


def _one(store: Store, path: Path, limits: ReadLimits, run: int) -> BatchSummary:
    name = shown(path)
    try:
        digest, _ = fingerprint(path)
        with store.read() as connection:
            known = predictions.label_batch_with(connection, digest)
        if known is not None:
            said = f"{name} was brought in before; nothing to do."
            return BatchSummary(None, "labels", name, "unchanged", said)
        labels, rejected = labels_of(path, limits)
    except FileUnreadable as error:
        return BatchSummary(None, "labels", name, "unreadable", f"{error}.")
    read = len(labels) + rejected
    message = f"{read:,} rows read, {len(labels):,} labels, {rejected:,} rejected."
    facts = {
        "digest": digest, "name": name, "origin": "labels", "rejected_rows": rejected,
        "message": message, "run": run,
    }  # fmt: skip
    predictions.add_labels(store, labels, facts)
    return BatchSummary(
        None, "labels", name, "accepted", message,
        read=read, accepted=len(labels), rejected=rejected,
    )  # fmt: skip


def labels_of(path: Path, limits: ReadLimits) -> tuple[pd.DataFrame, int]:
    """Keys and true prices of a file, and how many of its rows are neither."""
    frame = _read(path, limits)
    if TARGET not in frame:
        raise FileUnreadable(file=shown(path), why=f"has no column {TARGET}")
    has_id, has_key = ID_COLUMN in frame, set(KEY) <= set(frame.columns)
    if not has_id and not has_key:
        raise FileUnreadable(
            file=shown(path),
            why=f"does not say whose prices it holds: it needs the column {ID_COLUMN}, or all of "
            + ", ".join(KEY),
        )
    column = CATALOGUE[TARGET]
    target = parsing.numbers(frame[TARGET]).values
    good = (target >= (column.minimum or -np.inf)) & (target <= (column.maximum or np.inf))
    typed = pd.DataFrame(index=frame.index)
    if has_id:
        typed[ID_COLUMN], bad = parsing.identifiers(frame[ID_COLUMN], LONGEST_ID)
        good &= ~bad
    identified = _numbers(frame, typed) if has_key else np.zeros(len(frame), dtype=np.bool_)
    if has_id:
        identified |= typed[ID_COLUMN].notna().to_numpy()
    if not has_key:
        for name in KEY:
            typed[name] = 0.0  # not looked at: every row that counts has an id
    good &= identified
    kept = typed.loc[good].fillna(dict.fromkeys(KEY, 0.0))
    labels = pd.DataFrame({KEY_COLUMN: district_keys(kept), LABEL: target[good]})
    return labels.drop_duplicates(KEY_COLUMN, keep="last"), int(len(frame) - good.sum())


def _numbers(frame: pd.DataFrame, typed: pd.DataFrame) -> npt.NDArray[np.bool_]:
    whole = np.ones(len(frame), dtype=np.bool_)
    for name in KEY:
        values = parsing.numbers(frame[name]).values
        column = CATALOGUE[name]
        whole &= (values >= (column.minimum or -np.inf)) & (values <= (column.maximum or np.inf))
        typed[name] = values
    return whole


def _read(path: Path, limits: ReadLimits) -> pd.DataFrame:
    name = shown(path)
    csv = path.name.lower().endswith((".csv", ".csv.gz"))
    if not csv and path.suffix.lower() != ".parquet":
        raise FileUnreadable(file=name, why="is neither .csv, .csv.gz nor .parquet")
    wanted = (ID_COLUMN, *KEY, TARGET)
    data = load(path, limits, text=csv)
    try:
        if csv:
            convert = arrow_csv.ConvertOptions(column_types=dict.fromkeys(wanted, pa.string()))
            table = arrow_csv.read_csv(pa.py_buffer(data), convert_options=convert)
        else:
            file = ParquetTable(data, name, limits)
            columns = [c for c in wanted if c in file.names]
            table = pa.concat_tables(file.batches(columns, PART_ROWS))
        present = [c for c in wanted if c in table.column_names]
        return pd.DataFrame({c: plain(c, table[c], name) for c in present})
    except (pa.ArrowException, OSError, ValueError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise FileUnreadable(file=name, why=f"is not a table: {said}") from error


# --- audits ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Audited:
    """Files of an audit: rows that a person has filled in; those still empty are left alone."""

    landing: Landing
    name: str = AUDIT

    def deliveries(self, seen: IngestHistory) -> Iterator[Delivery | BatchSummary]:
        """As the landing folder's, without the rows that nobody has labelled."""
        for found in self.landing.deliveries(seen):
            if isinstance(found, BatchSummary):
                yield found
                continue
            yield replace(found, source=AUDIT, read=partial(_filled_in, found))


def _filled_in(delivery: Delivery) -> RawTable:
    raw = whole(delivery.read())
    empty = parsing.numbers(raw.frame[TARGET]).missing
    return replace(raw, frame=raw.frame[~empty].reset_index(drop=True), lines=raw.lines[~empty])


def ingest_audit(store: Store, settings: Settings, files: list[Path]) -> IntakeSummary:
    """Bring in districts that a person has checked; their batches say that they come from there."""
    with store.write() as connection:
        run = runs.start(connection, "ingest", {"files": [str(f) for f in files], "origin": AUDIT})
    try:
        landing = Landing(options(settings), name=AUDIT, files=tuple(files))
        summary = ingest_sources(store, settings, [Audited(landing)], run=run)
    except BaseException as error:
        runs.finish(store, run, "failed", error=str(error))
        raise
    runs.finish(store, run, "completed", outcome=RunOutcome.DONE)
    return summary
