"""From a delivery to a stored batch: read, validate rows, compare with the dataset, keep."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from housing import progress
from housing.errors import FileUnreadable, NotPossible
from housing.pipeline.key_check import unknown_keys_at_known_locations
from housing.quality.batches import BatchHistory, batch_message, judge_batch
from housing.quality.rows import Validated, validate
from housing.records import (
    BatchStatus,
    BatchSummary,
    IntakeSummary,
    QuarantineReason,
    RunOutcome,
)
from housing.schema import WORDING
from housing.settings import Settings
from housing.sources import SOURCES
from housing.sources.base import Delivery, Source, SourceOptions, skipped
from housing.sources.files import memory_named
from housing.sources.landing import Landing
from housing.store.data import batches, copies, profiles
from housing.store.data.batches import BatchLookup, NewBatch
from housing.store.data.row_status import CurrentRows, RowStatus
from housing.store.database import ownership
from housing.store.database.engine import Store
from housing.store.runs import outbox, runs


def options(settings: Settings) -> SourceOptions:
    """The options of the sources, from the settings."""
    return SourceOptions(
        **dict(settings.sources),
        create_landing_dir=settings.sources.landing_dir == settings.home / "landing",
        cache_dir=settings.home / "cache",
        seed=settings.split.seed,
    )


def ingest(
    store: Store, settings: Settings, *, run: int | None, at_most: int | None = None
) -> IntakeSummary:
    """Ingest new deliveries of all configured sources; at most `at_most` new batches."""
    chosen = options(settings)
    sources = [SOURCES[name](chosen) for name in settings.sources.names]
    return ingest_sources(store, settings, sources, run=run, at_most=at_most)


def ingest_sources(
    store: Store,
    settings: Settings,
    sources: list[Source],
    *,
    run: int | None,
    at_most: int | None = None,
) -> IntakeSummary:
    """Ingest new deliveries of these sources. A source that cannot be reached raises; an unreadable
    file is reported, and the others are ingested.
    """
    copies.release(store)
    taken: list[BatchSummary] = []
    current, known = CurrentRows(store), BatchLookup(store)
    deliveries = chain.from_iterable(source.deliveries(known) for source in sources)
    for found in _simulated_last(deliveries):
        ended = found if isinstance(found, BatchSummary) else _not_mixed(store, found)
        if ended is not None:
            taken.append(ended)
            continue
        assert isinstance(found, Delivery)
        taken.append(_ingest_delivery(current, settings, found, run, len(taken)))
        progress.report("ingest", len(taken), 0, taken[-1].message)
        if at_most is not None and IntakeSummary(tuple(taken)).stored >= at_most:
            break
    summary = IntakeSummary(tuple(taken))
    if run is not None:
        record_skipped_files(store, run, summary)
        outbox.deliver(store)
    return summary


def _simulated_last(found: Iterable[Delivery | BatchSummary]) -> Iterator[Delivery | BatchSummary]:
    """Real rows first: simulated ones that replace a missing table are not needed beside them."""
    later = []
    for one in found:
        if isinstance(one, Delivery) and one.simulated:
            later.append(one)
        else:
            yield one
    yield from later


def _not_mixed(store: Store, delivery: Delivery) -> BatchSummary | None:
    """None if the rows are of the stored kind, real or simulated, or of the source `simulated`.

    NotPossible for real rows if the dataset is simulated; a summary for simulated rows that would
    replace a missing table if the dataset is real.
    """
    kinds = store.query(batches.kinds)
    if not kinds or delivery.simulated in kinds or delivery.source == "simulated":
        return None
    if delivery.simulated:
        message = (
            f"{delivery.name} are left out: the dataset has real {WORDING.rows}. "
            "HOUSING_SOURCES__NAMES without that source spares the attempt."
        )
        return skipped(delivery.source, delivery.name, "waiting", message)
    raise NotPossible(
        what=f"Ingesting {delivery.name}",
        why=f"it is real, and the dataset has simulated {WORDING.rows} only; they are not mixed. "
        "Start over: set HOUSING_HOME to an empty folder (and HOUSING_DATABASE_URL to an empty "
        "database if it is set), then run the command again.",
    )


def record_skipped_files(store: Store, run: int, summary: IntakeSummary) -> None:
    """Record with a run the files that it could not read, or not yet, with their alerts."""
    left = TypeAdapter(IntakeSummary).dump_python(summary.skipped_files, mode="json")
    with store.write() as connection:
        runs.note_in(connection, run, skipped_files=left["batches"])
        for batch in summary.batches:
            if batch.status == "unreadable":
                batches.report(connection, store, batch, run)


def _ingest_delivery(
    current: CurrentRows, settings: Settings, delivery: Delivery, run: int | None, done: int
) -> BatchSummary:
    def watch(rows: int) -> None:
        progress.report("ingest", done, 0, f"{delivery.name}: {rows:,} rows checked")

    try:
        with memory_named(delivery.name):
            validated = validate(delivery.read(), delivery.name, watch)
    except FileUnreadable as error:
        return skipped(delivery.source, delivery.name, "unreadable", f"{error}.")
    while True:  # until the dataset does not change meanwhile
        new = _judged(current, settings, delivery, validated)
        if new.status == "unchanged" and delivery.repeats is not None:
            message = (
                f"{delivery.name} holds the same as b{delivery.repeats}, whose rows are current."
            )
            return skipped(delivery.source, delivery.name, "unchanged", message)
        stored = batches.add(current.store, new, run)
        if stored is not None:
            return stored


def _judged(
    current: CurrentRows, settings: Settings, delivery: Delivery, validated: Validated
) -> NewBatch:
    """The delivery compared with the current dataset, as it is stored."""
    policy = settings.quality
    history = _history(current.store, delivery.source, settings)
    row_status = None if validated.accepted.empty else current.compare(validated.accepted)
    changes = row_status is not None and not row_status.changes_nothing
    judged = judge_batch(validated, history, policy, changes=changes)
    reasons = tuple(QuarantineReason(message) for message in judged)
    if row_status is not None:
        reasons += copies.reasons(
            current.store, validated.accepted, row_status.lacking, delivery.repeats
        )
    messages = tuple(reason.message for reason in reasons)
    known = "" if row_status is None else row_status.message
    return NewBatch(
        source=delivery.source,
        name=delivery.name,
        digest=delivery.digest,
        size=delivery.size,
        simulated=delivery.simulated,
        watermark=delivery.watermark,
        read=validated.read,
        accepted=validated.accepted,
        rejected=validated.rejected,
        rejections=validated.rejections,
        status=_status(validated, reasons, row_status),
        message=batch_message(validated, messages, history, policy, known)
        + unknown_keys_at_known_locations(current.store, validated.accepted),
        reasons=reasons,
        row_status=row_status,
    )


def _status(
    validated: Validated, reasons: tuple[QuarantineReason, ...], row_status: RowStatus | None
) -> BatchStatus:
    if row_status is None:
        return "rejected" if validated.read else "empty"
    if reasons:
        return "quarantined"
    return "unchanged" if row_status.changes_nothing else "accepted"


def _history(store: Store, source: str, settings: Settings) -> BatchHistory:
    policy = settings.quality
    with store.read() as connection:
        profile = profiles.newest(connection)
        return BatchHistory(
            recent_rows=batches.recent_row_counts(
                connection, source, policy.recent_batches, policy.min_rows
            ),
            columns=None if profile is None else profile.columns,
        )


def ingest_files(
    store: Store, settings: Settings, files: list[Path], *, again: bool = False
) -> IntakeSummary:
    """Ingest the named files in a run of its own, without training.

    With `again` also files with known content, if the dataset lacks a row of it.
    """
    source = Landing(options(settings), files=tuple(files), again=again)
    return ingest_in_own_run(store, settings, source, {"files": [str(file) for file in files]})


def ingest_in_own_run(
    store: Store, settings: Settings, source: Source, parameters: dict[str, Any]
) -> IntakeSummary:
    """Ingest the deliveries of a source in a run of its own, which records the parameters."""
    with runs.recorded(store, "ingest", parameters) as run:
        ownership.claim(store, store.blobs)
        summary = ingest_sources(store, settings, [source], run=run)
        message = f"files: {summary.message}"
        runs.finish(store, run, "completed", outcome=RunOutcome.DONE, message=message)
    return summary
