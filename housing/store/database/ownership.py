"""Which database the files of a place belong to.

A place is marked with the id of its database: any other database names none of its files, and a
prune would delete them all.
"""

import re
import uuid
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.errors import Corrupt, HousingError, StoreUnavailable
from housing.store.database.engine import Store
from housing.store.database.tables import blobs, store_identity
from housing.store.objects.blobs import BLOB_NAME, BlobStore
from housing.store.objects.deletion import digest_in
from housing.store.objects.filesystem import DurableFileSystem

_ID = re.compile(r"[0-9a-f]{32}")
MARK = "store-id"
"""The file of a place that holds the id of its database; never encrypted."""


def claim(store: Store, place: DurableFileSystem) -> None:
    """Mark a place that has no mark; StoreUnavailable where it belongs to another database."""
    if must_own(store, place) is None:
        set_mark(place, _made_id(store))


def claim_blobs(store: Store) -> None:
    """Claim the blob place; one that cannot be read or written is reported by what needs it."""
    try:
        mark = _local_mark(store.blobs) or mark_of(store.blobs)
    except (HousingError, OSError):
        return
    if mark is not None:
        _compare(store, store.blobs, mark)
        return
    with suppress(HousingError):
        set_mark(store.blobs, _made_id(store))


def _local_mark(place: DurableFileSystem) -> str | None:
    """The mark of a local folder, read without the file system library."""
    path = Path(place.url) / MARK
    return path.read_text(errors="replace").strip() if place.local and path.is_file() else None


def must_own(store: Store, place: DurableFileSystem) -> str | None:
    """The mark of a place, None without one; StoreUnavailable if it is not this database's."""
    mark = mark_of(place)
    if mark is not None:
        _compare(store, place, mark)
    return mark


def _compare(store: Store, place: DurableFileSystem, mark: str) -> None:
    """Called with a mark that was read before: another process may make id and mark meanwhile."""
    with store.read() as connection:
        found = identity(connection)
    if mark == found:
        return
    if not _ID.fullmatch(mark):
        raise StoreUnavailable(
            what=f"The {place.role} {place.url}",
            why=f"its file {MARK} is damaged",
            next_step="Run `housing heal`, which writes it again.",
        )
    url = store.engine.url.render_as_string(hide_password=True)
    raise StoreUnavailable(
        what=f"The {place.role} {place.url}",
        why=f"it belongs to another database than {url}{'' if found else ', which is new'}",
        next_step="Set HOUSING_DATABASE_URL to the database of these files; if that is lost, run "
        f"`housing backup restore`; for a new store, set {place.setting} to an empty place.",
    )


def repair(store: Store, place: BlobStore) -> None:
    """Write a damaged mark again where the files of a place are those of this database.

    That is where an object has the digest that SQL holds, and no object is unknown to SQL.
    StoreUnavailable where they are not, or the mark is that of another database.
    """
    mark = mark_of(place)
    if mark is None or _ID.fullmatch(mark):
        must_own(store, place)
        return
    with store.read() as connection:
        found = identity(connection)
        known = {row.digest: row.suffix for row in connection.execute(sa.select(blobs))}
    there = {digest_in(name) for name in place.names() if BLOB_NAME.fullmatch(name)}
    unknown = there - known.keys()
    if found is None or unknown or not any(_whole(place, d, known[d]) for d in sorted(there)):
        raise StoreUnavailable(
            what=f"The {place.role} {place.url}",
            why=f"its file {MARK} is damaged, and {len(unknown) or 'none'} of its {len(there)} "
            f"objects {'are unknown to' if unknown else 'is one of'} this database",
            next_step=f"If they belong to it all the same, delete {place.url}/{MARK}.",
        )
    set_mark(place, found)


def _whole(place: BlobStore, digest: str, suffix: str) -> bool:
    try:
        place.get(digest, suffix)
    except Corrupt:
        return False
    return True


def mark_of(place: DurableFileSystem) -> str | None:
    """The id of the database that a place belongs to, or None."""
    try:
        return place.raw().read(MARK).decode(errors="replace").strip()
    except FileNotFoundError:
        return None


def set_mark(place: DurableFileSystem, id_: str) -> None:
    """Have a place belong to a database."""
    place.raw().write(MARK, id_.encode())


def identity(connection: Connection) -> str | None:
    """The id of a database, or None before its first use."""
    id_: str | None = connection.execute(sa.select(store_identity.c.id)).scalar()
    return id_


def _made_id(store: Store) -> str:
    with store.unfenced().write() as connection:
        found = identity(connection)
        if found is None:
            found = uuid.uuid4().hex
            connection.execute(store_identity.insert().values(id=found))
        return found
