"""From what a source delivers to a stored batch: read, split into good and bad rows, keep both."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from housing import progress
from housing.errors import FileUnreadable
from housing.quality import BatchHistory, judge_batch, sentence, validate
from housing.records import BatchSummary, IntakeSummary, RunOutcome
from housing.settings import Settings
from housing.sources import SOURCES
from housing.sources.base import Delivery, Source, SourceOptions, nothing_read
from housing.sources.landing import Landing
from housing.store import batches, datasets, profiles, runs
from housing.store.batches import NewBatch, StoredBatches
from housing.store.engine import Store


def options(settings: Settings) -> SourceOptions:
    """What sources need to know of the settings."""
    return SourceOptions(
        landing_dir=settings.landing_dir or settings.home / "landing",
        create_landing_dir=settings.landing_dir == settings.home / "landing",
        settle_seconds=settings.settle_seconds,
        census=settings.census,
        cache_dir=settings.home / "cache",
        seed=settings.seed,
        simulated_rows=settings.simulated_rows,
        scenario=settings.scenario,
        sql_url=settings.sql_url,
        sql_table=settings.sql_table,
        sql_watermark=settings.sql_watermark,
    )


def bring_in(
    store: Store, settings: Settings, *, run: int | None, at_most: int | None = None
) -> IntakeSummary:
    """Take what all sources of the settings have; at most `at_most` new batches."""
    chosen = options(settings)
    sources = [SOURCES[name](chosen) for name in settings.source]
    return take(store, settings, sources, run=run, at_most=at_most)


def take(
    store: Store,
    settings: Settings,
    sources: list[Source],
    *,
    run: int | None,
    at_most: int | None = None,
) -> IntakeSummary:
    """Take what these sources have; one that cannot be reached stops the intake.

    A single unreadable file does not: it is reported, and the others go on.
    """
    taken: list[BatchSummary] = []
    for found in _all(sources, StoredBatches(store)):
        if isinstance(found, BatchSummary):
            taken.append(found)
            continue
        said = partial(_checked, found.name, len(taken))
        taken.append(_take_one(store, settings, found, run, said))
        progress.report("ingest", len(taken), 0, taken[-1].message)
        if at_most is not None and IntakeSummary(tuple(taken)).stored >= at_most:
            break
    summary = IntakeSummary(tuple(taken))
    if run is not None:
        left = TypeAdapter(IntakeSummary).dump_python(summary.not_taken, mode="json")
        runs.note(store, run, not_taken=left["batches"])
    return summary


def _all(sources: list[Source], seen: StoredBatches) -> Iterator[Delivery | BatchSummary]:
    for source in sources:
        yield from source.deliveries(seen)


def _take_one(
    store: Store,
    settings: Settings,
    delivery: Delivery,
    run: int | None,
    watch: Callable[[int], None],
) -> BatchSummary:
    try:
        validated = validate(delivery.read(), delivery.name, watch)
    except FileUnreadable as error:
        return nothing_read(delivery.source, delivery.name, "unreadable", str(error))
    policy = settings.quality
    history = _history(store, delivery.source, policy.recent_batches)
    reasons = judge_batch(validated, history, policy)
    new = NewBatch(
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
        held=bool(reasons),
        message=sentence(validated, reasons, history, policy),
    )
    return batches.add(store, new, run)


def _checked(name: str, files: int, rows: int) -> None:
    progress.report("ingest", files, 0, f"{name}: {rows:,} rows checked")


def _history(store: Store, source: str, recent: int) -> BatchHistory:
    with store.read() as connection:
        active = datasets.active(connection)
        profile = None if active is None else profiles.get(connection, active.id)
        return BatchHistory(
            recent_rows=batches.recent_row_counts(connection, source, recent),
            columns=None if profile is None else profile.columns,
        )


def ingest_files(store: Store, settings: Settings, files: list[Path]) -> IntakeSummary:
    """Bring in the named files, as a run of its own; no model is touched."""
    with store.write() as connection:
        run = runs.start(connection, "ingest", {"files": [str(file) for file in files]})
    try:
        source = Landing(options(settings), files=tuple(files))
        summary = take(store, settings, [source], run=run)
    except BaseException as error:
        runs.finish(store, run, "failed", error=str(error) or type(error).__name__)
        raise
    sentence = f"{summary.stored} new batches, {summary.accepted:,} rows let in"
    runs.finish(store, run, "completed", outcome=RunOutcome.DONE, sentence=sentence)
    return summary
