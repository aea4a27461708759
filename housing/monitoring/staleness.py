"""Staleness of model and data, rejected rows and quarantined batches."""

from datetime import datetime, timedelta

from housing.monitoring.options import MIN_UPSTREAM_ROWS, MonitorOptions
from housing.monitoring.signals import Signal


def age_signals(
    now: datetime, trained_at: datetime, data_at: datetime | None, options: MonitorOptions
) -> list[Signal]:
    """Champion and data against their longest ages; `data_at` is None before the first batch."""
    found = [_old("the champion", "was trained", now - trained_at, options.champion_days)]
    if data_at is not None:
        found.append(_old("the data", "was last ingested", now - data_at, options.data_days))
    return found


def _old(what: str, words: str, age: timedelta, limit: float) -> Signal:
    days = age.total_seconds() / 86_400
    return Signal(
        name=f"age of {what}",
        kind="stale",
        fired=days > limit,
        message=f"{what} {words} {days:.1f} days ago, {limit:g} are allowed",
        rows=0,
        effect=days,
        limit=limit,
    )


def rejected_signal(read: int, rejected: int, options: MonitorOptions) -> list[Signal]:
    """Share of rows that ingestion rejected since the last monitoring run."""
    if read < MIN_UPSTREAM_ROWS:
        return []
    share = rejected / read
    return [
        Signal(
            name="rejected rows",
            kind="rejected",
            fired=share > options.max_rejected_share,
            message=f"{share:.1%} of {read:,} rows were rejected by ingestion, "
            f"{options.max_rejected_share:.0%} are allowed",
            rows=read,
            effect=share,
            limit=options.max_rejected_share,
        )
    ]


def quarantined_signal(names: tuple[str, ...]) -> Signal:
    """Whole batches that wait for a person, e.g. those in another unit."""
    return Signal(
        name="quarantined batches",
        kind="upstream",
        fired=bool(names),
        message=f"{_batches_wait(len(names))} for a person: {', '.join(names)}"
        if names
        else "no batch waits for a person",
        rows=0,
        effect=float(len(names)),
    )


def _batches_wait(count: int) -> str:
    return "1 batch waits" if count == 1 else f"{count} batches wait"
