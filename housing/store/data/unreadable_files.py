"""Files that could not be read or were skipped, as long as a person should know.

Files of a nightly run are listed until the next one; files named on the command line until they
are read, for a week at most. Batches that need a person belong in `batches`.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.sources.files import shown
from housing.store.database.tables import batches, runs, utc_now

COMMANDS = ("ingest", "labels")
"""Kinds of the runs of `housing ingest`, whose files a person named."""

KEPT = timedelta(days=7)


def listed(connection: Connection) -> Iterator[str]:
    """One message per file, those of the nightly run first."""
    seen = set()
    for run, message in (*_of_nightly_run(connection), *_of_commands(connection)):
        if message not in seen:
            seen.add(message)
            yield f"{run} {message}"


def _of_nightly_run(connection: Connection) -> Iterator[tuple[str, str]]:
    """Files of the newest nightly run that looked for files."""
    where = runs.c.kind == "nightly", runs.c.skipped_files.is_not(None)
    query = sa.select(runs.c.id, runs.c.skipped_files).where(*where).order_by(runs.c.id.desc())
    newest = connection.execute(query.limit(1)).one_or_none()
    if newest is None:
        return
    for batch in newest.skipped_files:
        if batch["status"] == "unreadable":
            yield f"r{newest.id}", f"could not read a file. {_ended(batch['message'])}"
        if batch["status"] == "superseded":
            yield f"r{newest.id}", f"left a known file alone. {_ended(batch['message'])}"


def _of_commands(connection: Connection) -> Iterator[tuple[str, str]]:
    where = (
        runs.c.kind.in_(COMMANDS),
        runs.c.started_at > utc_now() - KEPT,
        runs.c.skipped_files.is_not(None),
    )
    query = sa.select(runs.c.id, runs.c.parameters, runs.c.skipped_files).where(*where)
    waiting: dict[str, tuple[int, str]] = {}
    for row in connection.execute(query.order_by(runs.c.id)):
        for file in row.parameters.get("files", ()):
            waiting.pop(shown(Path(file)), None)
        for batch in row.skipped_files or ():
            if batch["status"] == "unreadable":
                waiting[batch["name"]] = row.id, batch["message"]
    query = sa.select(batches.c.name, sa.func.max(batches.c.run)).where(batches.c.name.in_(waiting))
    read = dict(connection.execute(query.group_by(batches.c.name)).tuples().all())
    for name, (run, message) in waiting.items():
        if (read.get(name) or 0) < run:
            yield f"r{run}", f"could not read a file. {_ended(message)}"


def _ended(message: str) -> str:
    return f"{message.removesuffix('.')}."
