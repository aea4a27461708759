"""Immutable bytes under the sha256 of their content, in a local folder or behind fsspec.

A blob is durable when `put` returns, and is checked against the caller's digest each time it is
read; the digest comes from SQL, never from beside the file. Knows nothing of what bytes mean.
"""

import errno
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from housing.errors import BlobMissing, Corrupt, DiskFull, StoreUnavailable


@dataclass(frozen=True)
class Blob:
    """The address of stored bytes; `size` in bytes. A model's is signed."""

    digest: str
    suffix: str
    size: int
    signature: str | None = None


class BlobStore:
    """A folder of blobs: `<first two hex digits>/<digest>.<suffix>` below `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs: Any
        self._fs, self._root = fsspec.core.url_to_fs(url)
        protocol = self._fs.protocol
        self.local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def path(self, digest: str, suffix: str) -> str:
        """Where a blob lies, as its file system names it."""
        return f"{self._root}/{digest[:2]}/{digest}.{suffix}"

    def put(self, data: bytes, suffix: str) -> Blob:
        """Store bytes; when it returns they would survive a loss of power."""
        blob = Blob(hashlib.sha256(data).hexdigest(), suffix, len(data))
        if not self._intact(blob):
            try:
                self._write(self.path(blob.digest, suffix), data)
            except OSError as error:
                raise _explain(error, self.url) from error
        return blob

    def get(self, digest: str, suffix: str) -> bytes:
        """The bytes whose sha256 is `digest`; Corrupt if the stored ones are others."""
        path = self.path(digest, suffix)
        try:
            data: bytes = self._fs.cat_file(path)
        except FileNotFoundError as error:
            raise BlobMissing(what=f"{digest[:12]}.{suffix}", place=self.url) from error
        except OSError as error:
            raise _explain(error, self.url) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise Corrupt(what=path, why="its bytes do not have the recorded sha256")
        return data

    def _intact(self, blob: Blob) -> bool:
        """Whether the same bytes are there already; a damaged copy is written anew."""
        path = self.path(blob.digest, blob.suffix)
        try:
            return hashlib.sha256(self._fs.cat_file(path)).hexdigest() == blob.digest
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _explain(error, self.url) from error

    def _write(self, path: str, data: bytes) -> None:
        if not self.local:
            self._fs.pipe_file(path, data)  # object stores show an object whole or not at all
            return
        write_durably(Path(path), data)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, readable by its owner alone, and sync it to disk."""
    _make_folder(path.parent)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".writing-")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each for its owner alone, and sync their names."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Without this a new name in it may not survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explain(error: OSError, url: str) -> DiskFull | StoreUnavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(place=url)
    return StoreUnavailable(
        what=f"The blob store {url}",
        why=error.strerror or str(error),
        next_step="Make it writable, or point HOUSING_BLOB_URL (HOUSING_BACKUP_URL) elsewhere.",
    )
