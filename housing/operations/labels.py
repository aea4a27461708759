"""True values that arrive later: labels by themselves, and rows that a person has checked.

Labels are joined to earlier predictions (`operations.labelled_predictions`); they change no
dataset. Rows of an audit are ingested like any others, with their origin recorded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from housing.errors import FileUnreadable
from housing.keys import KEY_COLUMN, row_keys
from housing.pipeline.ingest import ingest_sources, options, record_skipped_files
from housing.quality import parsing
from housing.quality.rejections import Quarantine, summary
from housing.quality.rows import reject_duplicates
from housing.quality.table import RawTable, whole
from housing.quality.values import Fault, first_fault, read_columns
from housing.records import BatchSummary, IntakeSummary, Rejection, RunOutcome
from housing.schema import ID_COLUMN, KEY, TARGET, WORDING
from housing.settings import Settings
from housing.sources.base import Delivery, IngestHistory
from housing.sources.files import ReadLimits, fingerprint, memory_named, shown
from housing.sources.header import Wanted
from housing.sources.landing import Landing
from housing.sources.table_file import read_table
from housing.store.database.engine import Store
from housing.store.runs import predictions, runs
from housing.store.runs.labelled import LABEL

AUDIT = "audit"
"""Source of a batch whose rows a person has checked."""


def ingest_labels(store: Store, settings: Settings, files: list[Path]) -> IntakeSummary:
    """Ingest labels from files, as a run of its own; one file that fails stops no other."""
    limits = options(settings).limits
    with runs.recorded(store, "labels", {"files": [str(file) for file in files]}) as run:
        found = IntakeSummary(tuple(_one(store, path, limits, run) for path in files))
        record_skipped_files(store, run, found)
        runs.finish(store, run, "completed", outcome=RunOutcome.DONE)
    return found


def _one(store: Store, path: Path, limits: ReadLimits, run: int) -> BatchSummary:
    name = shown(path)
    try:
        with memory_named(name):
            digest, _ = fingerprint(path)
            with store.read() as connection:
                known = predictions.label_batch_with(connection, digest)
            if known is not None:
                message = f"{name} was ingested before; nothing to do."
                return BatchSummary(None, "labels", name, "unchanged", message)
            labels, rejections = labels_of(path, limits)
    except FileUnreadable as error:
        return BatchSummary(None, "labels", name, "unreadable", f"{error}.")
    rejected, accepted = sum(rejection.rows for rejection in rejections), len(labels)
    labels = labels.drop_duplicates()
    message = f"{accepted + rejected:,} rows read, {len(labels):,} labels, {rejected:,} rejected"
    if accepted > len(labels):
        message += f", {accepted - len(labels):,} the same as another row"
    if rejections:
        worst = max(rejections, key=lambda rejection: rejection.rows)
        message += f"; most often {worst.code} ({worst.rows:,}), first: {worst.example}"
    facts = {
        "digest": digest, "name": name, "origin": "labels", "rejected_rows": rejected,
        "message": f"{message}.", "run": run,
    }  # fmt: skip
    predictions.add_labels(store, labels, facts)
    return BatchSummary(
        None, "labels", name, "accepted", f"{message}.",
        read=accepted + rejected, accepted=accepted, rejected=rejected, rejections=rejections,
    )  # fmt: skip


WANTED = Wanted((TARGET,), (ID_COLUMN, *KEY))


def labels_of(path: Path, limits: ReadLimits) -> tuple[pd.DataFrame, tuple[Rejection, ...]]:
    """Key and true value of each valid row of a file, and why its other rows are rejected.

    A row needs a valid label, and an id or all identifying values. Where a key has several labels,
    which is right is unknown: all its rows are rejected.
    """
    table = read_table(path, limits, wanted=WANTED)
    quarantine, labels, masks = Quarantine(), [], []
    for chunk in table.chunks():
        typed, faults, identity = _identified(chunk.frame, shown(path))
        first = first_fault(faults, len(chunk.frame))
        quarantine.add(chunk, first, faults)
        good = first < 0
        masks.append(good)
        keys = row_keys(identity[good])
        labels.append(pd.DataFrame({KEY_COLUMN: keys, LABEL: typed[TARGET].to_numpy()[good]}))
    found = pd.concat(labels)
    different = found.drop_duplicates()
    several = different[different.duplicated(KEY_COLUMN)]
    twice = found[KEY_COLUMN].isin(several[KEY_COLUMN]).to_numpy()
    if twice.any():
        reject_duplicates(table, masks, twice, quarantine)
    return found[~twice], summary(quarantine.table(), shown(path), table.line_unit)


def _identified(
    frame: pd.DataFrame, file: str
) -> tuple[dict[str, pd.Series], list[Fault], pd.DataFrame]:
    """The columns by type, their faults, and the columns that make the keys.

    An identifying value matters only in a row without an id.
    """
    names, has_key = list(frame.columns), {*KEY} <= {*frame.columns}
    if ID_COLUMN not in names and not has_key:
        why = f"does not name the {WORDING.rows}. Add the column {ID_COLUMN}, or all of "
        raise FileUnreadable(file=file, why=why + ", ".join(KEY))
    typed, faults = read_columns(frame, names)
    ids = typed.get(ID_COLUMN, pd.Series([None] * len(frame), dtype="str"))
    has_id = ids.notna().to_numpy()
    faults = [f._replace(rows=f.rows & ~(has_id & (f.column in KEY))) for f in faults]
    if not has_key:
        faults.insert(0, Fault("missing", ID_COLUMN, ~has_id))
    values = {name: typed[name].where(~has_id) if name in typed else np.nan for name in KEY}
    return typed, faults, pd.DataFrame({**values, ID_COLUMN: ids})


# --- audits ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Audited:
    """Files of an audit: rows that a person has filled in; the empty ones are ignored."""

    landing: Landing
    name: str = AUDIT

    def deliveries(self, seen: IngestHistory) -> Iterator[Delivery | BatchSummary]:
        """As the landing folder's, without the rows that have no label yet."""
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
    """Ingest rows that a person has labelled, as batches of the source `audit`."""
    landing = Landing(options(settings), name=AUDIT, files=tuple(files))
    parameters = {"files": [str(file) for file in files], "origin": AUDIT}
    with runs.recorded(store, "ingest", parameters) as run:
        summary = ingest_sources(store, settings, [Audited(landing)], run=run)
        runs.finish(store, run, "completed", outcome=RunOutcome.DONE)
    return summary
