"""Files by name below a URL: a local folder, or what fsspec reaches (s3://...).

A file is written whole or not at all, and is durable when `write` returns; errors name the URL.
With a cipher, files are encrypted and their names end in `.enc`. `blobs` and `snapshots` define
the content.
"""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from housing.errors import BlobMissing, Corrupt, DiskFull, HousingError, StoreUnavailable
from housing.store.objects.encryption import Cipher

T = TypeVar("T")

ENCRYPTED = ".enc"
SCRATCH = ".writing-"
"""Prefix of files that are being written, or were when their writer died."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


class DurableFileSystem:
    """A folder of files below `url`."""

    role, setting = "blob store", "HOUSING_BLOB_URL"
    corrupt: type[Corrupt] = Corrupt
    missing: type[BlobMissing] = BlobMissing

    def __init__(self, url: str, cipher: Cipher | None = None) -> None:
        self.url = url
        self.cipher = cipher
        self.local = "://" not in url or url.startswith("file:")
        if not self.local:
            _ = self._opened  # an invalid URL is an error now

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system and the folder's path there; imported at first use, as it is slow."""
        import fsspec

        # No cached listings of an object store: other processes write there too.
        options = {} if self.local else {"use_listings_cache": False}
        try:
            found: tuple[Any, str] = fsspec.core.url_to_fs(self.url, **options)
        except (ValueError, ImportError) as error:  # a protocol that nothing here knows
            raise self._error(OSError(None, str(error))) from error
        return found

    @property
    def _fs(self) -> Any:
        return self._opened[0]

    @cached_property
    def _root(self) -> str:
        if self.local:
            return str(Path(self.url.removeprefix("file://")).expanduser().absolute())
        return self._opened[1]

    def at(self, name: str) -> str:
        """Where a file lies, as its file system names it."""
        encrypted = self.cipher and not is_scratch(name)
        return f"{self._root}/{name}{ENCRYPTED if encrypted else ''}"

    def read(self, name: str) -> bytes:
        """A file's content; FileNotFoundError where there is none."""
        path = self.at(name)
        act = Path(path).read_bytes if self.local else partial(self._fs.cat_file, path)
        data: bytes = self._explained(act)
        return self.cipher.opened(data, name, path) if self.cipher else data

    def must_read(self, name: str, shown: str = "") -> bytes:
        """A file's content; BlobMissing names the file (or `shown`) where there is none."""
        try:
            return self.read(name)
        except FileNotFoundError as error:
            raise self.missing(what=shown or name, location=self.url) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole; when it returns it would survive a loss of power."""
        path = self.at(name)
        sealed = self.cipher.sealed(data, name) if self.cipher else data
        if not self.local:  # object stores show an object whole or not at all
            self._explained(lambda: self._fs.pipe_file(path, sealed))
            return
        for attempt in (1, 2):
            try:
                return self._explained(lambda: write_durably(Path(path), sealed))
            except FileNotFoundError as error:
                # A prune took it for left over, as this process slept for hours; or no folder can
                # be made there.
                if attempt == 2:
                    raise self._error(error) from error

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self._explained(lambda: self._fs.exists(self.at(name))))

    def sync_file(self, name: str) -> None:
        """Sync an existing file, so that it survives a loss of power."""
        if not self.local:
            return
        path = Path(self.at(name))
        try:
            sync(path)
            sync(path.parent)
        except FileNotFoundError:
            return  # it was deleted meanwhile: who records it stores it again
        except OSError as error:
            if error.errno != errno.EROFS:  # a disk that can only be read loses nothing
                raise self._error(error) from error

    def remove(self, name: str) -> None:
        """Delete a file; a no-op where there is none."""
        try:
            self._explained(lambda: self._fs.rm_file(self.at(name)))
        except FileNotFoundError:
            return

    def modified(self, name: str) -> datetime:
        """When a file was last written (UTC)."""
        at: datetime = self._explained(lambda: self._fs.modified(self.at(name)))
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def names(self, below: str = "", *, raw: bool = False) -> Iterator[str]:
        """All files below a folder, by name, and what interrupted writers left of them.

        `raw` has those without the cipher's ending too.
        """
        folder = f"{self._root}/{below}" if below else self._root
        try:
            found = self._explained(lambda: self._found(folder))
        except FileNotFoundError:
            return
        ending = ENCRYPTED if self.cipher else ""
        for path in sorted(found):
            name = path.removeprefix(self._root).lstrip("/")
            if raw or is_scratch(name):
                yield name
            elif name.endswith(ending) and (ending or not name.endswith(ENCRYPTED)):
                yield name.removesuffix(ending)

    def _found(self, folder: str) -> list[str]:
        """All files below a folder; a folder that cannot be listed is an error."""
        if not self.local:
            return list(self._fs.find(folder))
        os.scandir(folder).close()

        def raise_unless_gone(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):  # another process deletes there too
                raise error

        return list(self._fs.find(folder, on_error=raise_unless_gone))

    def raw(self) -> "DurableFileSystem":
        """The same files as they lie, whatever wrote them."""
        return type(self)(self.url)

    def _explained(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except (FileNotFoundError, HousingError):
            raise
        except OSError as error:
            raise self._error(error) from error
        except Exception as error:
            if self.local:
                raise
            # Network libraries have errors of their own, which fsspec lets through.
            raise self._error(OSError(None, f"{type(error).__name__}: {error}")) from error

    def _error(self, error: OSError) -> DiskFull | StoreUnavailable:
        if error.errno in _FULL:
            return DiskFull(location=self.url)
        return StoreUnavailable(
            what=f"The {self.role} {self.url}",
            why=f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}",
            next_step=f"Make it writable, or point {self.setting} elsewhere.",
        )


def is_scratch(name: str) -> bool:
    """Whether this is a file that is being written, or was when its writer died."""
    return name.rpartition("/")[2].startswith(SCRATCH)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, readable by its owner alone, and sync it to disk."""
    _make_folder(path.parent)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=SCRATCH)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_page(path: Path, data: bytes) -> None:
    """As `write_durably`, for what a person reads; an error names the folder and what to do."""
    with named_in_errors(path.parent, "folder", "and run the same command again"):
        write_durably(path, data)


def make_writable(folder: Path) -> None:
    """Make a folder of HOUSING_HOME; StoreUnavailable where it cannot be made or written."""
    with named_in_errors(folder, "folder"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it is not writable")


@contextmanager
def named_in_errors(
    path: Path, kind: str = "file", then: str = "or set HOUSING_HOME to a folder that is"
) -> Iterator[None]:
    """Have an OSError in the block name a file or folder and the next step."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(location=path) from error
        raise StoreUnavailable(
            what=f"The {kind} {path}",
            why=error.strerror or str(error),
            next_step=f"Make it writable, {then}.",
        ) from error


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each for its owner alone, and sync their names."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
