"""True values that arrive later: labels by themselves, and rows that a person has checked.

Labels are joined to earlier predictions (`operations.labelled_predictions`); they change no
dataset. Rows of an audit are ingested like any others, with their origin recorded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from housing.errors import FileUnreadable
from housing.pipeline.ingest import ingest_in_own_run, options, record_skipped_files
from housing.pipeline.label_file import labels_of
from housing.quality import parsing
from housing.quality.table import RawTable, whole
from housing.records import BatchSummary, IntakeSummary, RunOutcome
from housing.schema import TARGET
from housing.settings import Settings
from housing.sources.base import Delivery, IngestHistory
from housing.sources.files import ReadLimits, fingerprint, memory_named, shown
from housing.sources.landing import Landing
from housing.store.database.engine import Store
from housing.store.runs import predictions, runs

AUDIT = "audit"
"""Source of a batch whose rows a person has checked."""


def ingest_labels(store: Store, settings: Settings, files: list[Path]) -> IntakeSummary:
    """Ingest labels from files, as a run of its own; one file that fails stops no other."""
    limits = options(settings).limits
    with runs.recorded(store, "labels", {"files": [str(file) for file in files]}) as run:
        found = IntakeSummary(tuple(_one(store, path, limits, run) for path in files))
        record_skipped_files(store, run, found)
        message = f"files: {found.message}"
        runs.finish(store, run, "completed", outcome=RunOutcome.DONE, message=message)
    return found


def _one(store: Store, path: Path, limits: ReadLimits, run: int) -> BatchSummary:
    name = shown(path)
    try:
        with memory_named(name):
            digest, _ = fingerprint(path)
            known = store.query(predictions.label_batch_with, digest)
            if known is not None:
                return _known(name)
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
    if predictions.add_labels(store, labels, facts) is None:
        return _known(name)
    return BatchSummary(
        None, "labels", name, "accepted", f"{message}.",
        read=accepted + rejected, accepted=accepted, rejected=rejected, rejections=rejections,
    )  # fmt: skip


def _known(name: str) -> BatchSummary:
    message = f"{name} was ingested before; nothing to do."
    return BatchSummary(None, "labels", name, "unchanged", message)


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
    source = Audited(Landing(options(settings), name=AUDIT, files=tuple(files)))
    parameters = {"files": [str(file) for file in files], "origin": AUDIT}
    return ingest_in_own_run(store, settings, source, parameters)
