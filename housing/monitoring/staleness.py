"""Staleness of model and data, rejected rows and quarantined batches."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from housing.formatting import duration, short_percent
from housing.monitoring.options import MIN_UPSTREAM_ROWS, MonitorOptions
from housing.monitoring.signals import Signal

QUARANTINED = "quarantined batches"
"""Name of the signal of batches that wait for a person."""

CLOCK_SLACK = timedelta(minutes=2)
"""Difference between clocks that means nothing; a record that lies further ahead is wrong."""


def age_signals(
    now: datetime, trained_at: datetime, data_at: Sequence[datetime], options: MonitorOptions
) -> list[Signal]:
    """Champion and data against their longest ages; `data_at` is when each batch was ingested.

    A date in the future is a signal of its own; the age is that of the newest other batch.
    """
    known = [at for at in data_at if at <= now + CLOCK_SLACK]
    found = [_future(now, [trained_at, *data_at])]
    if trained_at <= now + CLOCK_SLACK:
        age = now - trained_at
        found.append(_old("the champion", "trained", age, options.champion_days))
    if known:
        found.append(_old("the data", "last ingested", now - max(known), options.data_days))
    return found


def _future(now: datetime, dates: Sequence[datetime]) -> Signal:
    newest = max(dates)
    fired = newest > now + CLOCK_SLACK
    return Signal(
        name="dates in the future",
        kind="stale",
        fired=fired,
        message=f"the champion or a batch has {newest:%Y-%m-%d %H:%M} UTC; "
        "`housing doctor` names the clock to set"
        if fired
        else "neither the champion nor a batch has one",
        rows=0,
    )


def _old(what: str, words: str, age: timedelta, limit: float) -> Signal:
    days = max(age.total_seconds(), 0) / 86_400  # clocks differ a little
    ago = f"{days:.1f} days" if days >= 2 else duration(days * 86_400)
    return Signal(
        name=f"age of {what}",
        kind="stale",
        fired=days > limit,
        message=f"{words} {ago} ago; {limit:g} days are allowed",
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
            message=f"{rejected:,} of {read:,} rows at ingestion ({short_percent(share)}); "
            f"{short_percent(options.max_rejected_share, 2)} are allowed",
            rows=read,
            effect=share,
            limit=options.max_rejected_share,
        )
    ]


def quarantined_signal(names: tuple[str, ...]) -> Signal:
    """Whole batches that wait for a person, e.g. those in another unit."""
    waiting = {0: "none waits", 1: "1 waits"}.get(len(names), f"{len(names)} wait")
    return Signal(
        name=QUARANTINED,
        kind="upstream",
        fired=bool(names),
        message=f"{waiting} for a person{': ' * bool(names)}{', '.join(names)}",
        rows=0,
        effect=float(len(names)),
    )
