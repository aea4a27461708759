"""Bytes of delivered files, within limits: fingerprint, read, unzip.

Whatever goes wrong with a file becomes FileUnreadable with the next step. What the bytes mean
belongs in `delimited` and `parquet`.
"""

import gzip
import hashlib
import os
import shlex
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from housing.errors import FileUnreadable
from housing.schema import WORDING

_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class ReadLimits:
    """Limits of a file, so that none can exhaust the machine."""

    max_bytes: int = 2**31  # once unpacked
    max_line_bytes: int = 2**16  # of a CSV file
    max_columns: int = 1_000
    max_rows: int = 50_000_000
    max_footer_bytes: int = 2**24  # of a Parquet file
    max_ratio: int = 200  # unpacked bytes for each packed byte; tables reach about 10
    ratio_from_bytes: int = 2**24  # unpacked bytes up to which the ratio does not matter


def shown(path: Path, *, whole: bool = False) -> str:
    """The file's name (`whole`: path) as it can be printed, logged and stored."""
    text = os.fsencode(path if whole else path.name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shell_word(path: Path) -> str:
    """The whole path as a word that can be pasted into bash, whatever characters it has."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100  (a link stays the link that was named)
    if str(whole).isprintable():
        return shlex.quote(str(whole))
    return "$'" + "".join(map(_escaped, str(whole))) + "'"


def _escaped(c: str) -> str:
    if c.isprintable() and c not in "\\'":
        return c
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(c))


def fingerprint(path: Path) -> tuple[str, int]:
    """sha256 (hex) and bytes of a file on disk; FileUnreadable where it cannot be read."""
    with _opened(path, "does not exist. Check its name") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def read_blocks(path: Path, limits: ReadLimits, *, digest: str | None = None) -> Iterator[bytes]:
    """The content block by block, unpacked where the name ends in .gz.

    FileUnreadable beyond any limit. With `digest` the bytes on disk must be those that were
    fingerprinted: the last block is followed by an error where they are not.
    """
    name = shown(path)
    gone = "vanished. Deliver it again under the same name"
    with _opened(path, gone if digest else "does not exist. Check its name") as file:
        packed = _Counting(file, digest is not None)
        blocks = iter(lambda: packed.read(_BLOCK), b"")
        if path.suffix.lower() == ".gz":
            blocks = _gunzipped(packed, name, limits)
        size = 0
        for block in blocks:
            size += len(block)
            if size > limits.max_bytes:
                why = f"holds more than {limits.max_bytes:,} bytes of data"
                raise FileUnreadable(file=name, why=f"{why}. Split it into smaller files")
            yield block
        if packed.digest is not None and packed.digest.hexdigest() != digest:
            why = "changed while it was being read. A run reads it again if it is in the landing "
            why += "folder; otherwise ingest it once it is complete"
            raise FileUnreadable(file=name, why=why)


def load(path: Path, limits: ReadLimits, *, digest: str | None = None) -> bytearray:
    """The whole content, as `read_blocks` reads it."""
    content = bytearray()
    for block in read_blocks(path, limits, digest=digest):
        content += block
    return content


class _Counting:
    """A file that counts the bytes read from it, and computes their digest if asked to."""

    def __init__(self, file: IO[bytes], digest: bool) -> None:
        self._file, self.size = file, 0
        self.digest = hashlib.sha256() if digest else None

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        if self.digest is not None:
            self.digest.update(block)
        self.size += len(block)
        return block


@contextmanager
def memory_named(name: str) -> Iterator[None]:
    """MemoryError becomes FileUnreadable: there may be memory for other files."""
    try:
        yield
    except MemoryError as error:
        why = "needs more memory to read than there is. Split it into smaller files"
        raise FileUnreadable(file=name, why=why) from error


@contextmanager
def _opened(path: Path, missing: str) -> Iterator[BufferedReader]:
    try:
        # A pipe or a device that calls itself x.csv would make open() or read() wait forever.
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "not a regular file (a pipe or a device)"
            raise FileUnreadable(file=shown(path), why=f"is {kind}. Deliver the table as a file")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}. Deliver it again"
        if isinstance(error, PermissionError):
            why = "may not be read by this user. Give read permission (chmod a+r)"
        elif isinstance(error, FileNotFoundError):
            link = "is a link to a file that does not exist. Deliver the file itself"
            why = link if path.is_symlink() else missing
        raise FileUnreadable(file=shown(path), why=why) from error


def _gunzipped(packed: Any, name: str, limits: ReadLimits) -> Iterator[bytes]:
    """Unpacked blocks of at most _BLOCK bytes, so that a bomb is stopped before it is unpacked."""
    unpacked = 0
    try:
        with gzip.GzipFile(fileobj=packed) as file:
            while block := file.read(_BLOCK):
                unpacked += len(block)
                if unpacked > max(limits.ratio_from_bytes, packed.size * limits.max_ratio):
                    why = f"unpacks to more than {limits.max_ratio} times its size"
                    next_step = f"No table of {WORDING.rows} does. Deliver it unpacked if it is one"
                    raise FileUnreadable(file=name, why=f"{why}. {next_step}")
                yield block
    except EOFError as error:
        why = "ends in the middle of its gzip data: it was cut short. Deliver it again"
        raise FileUnreadable(file=name, why=why) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        foreign = not unpacked and str(error).startswith("Not a gzipped file")
        why = "is named .gz and is not gzip" if foreign else "is damaged gzip"
        raise FileUnreadable(
            file=name, why=f"{why}. Pack it again, or give it its true suffix"
        ) from error
