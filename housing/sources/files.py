"""Bytes of delivered files, within limits: open, fingerprint, unzip, never more than agreed.

Everything that a file system or a compressed file can do wrong ends as FileUnreadable with the
next step. What the bytes mean belongs in `delimited` and `parquet`.
"""

import hashlib
import os
import shlex
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from housing.errors import FileUnreadable

_BLOCK = 1 << 20  # bytes
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say: a gzip header


class ReadLimits(BaseModel):
    """What a file may cost to read, so that no file can take the machine down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=2**31, ge=1_000, description="Bytes of a file once unpacked.")
    max_line_bytes: int = Field(
        default=2**16, ge=100, description="Bytes of one line of a CSV file."
    )
    max_columns: int = Field(default=1_000, ge=10, description="Columns of a table.")
    max_rows: int = Field(default=50_000_000, ge=1, description="Rows of a table.")
    max_footer_bytes: int = Field(default=2**24, ge=1_000, description="Bytes of a Parquet footer.")
    max_ratio: int = Field(
        default=200, ge=2, description="Unpacked bytes for each packed byte; tables reach about 10."
    )
    ratio_from_bytes: int = Field(
        default=2**24, ge=0, description="The ratio is not looked at before so many unpacked bytes."
    )


class Fingerprint(NamedTuple):
    """What tells two files apart."""

    digest: str  # sha256 of the bytes as they lie on disk, hex
    size: int  # bytes on disk


def shown(path: Path, *, whole: bool = False) -> str:
    """The file's name (`whole`: path) as it can be printed, logged and stored."""
    text = os.fsencode(path if whole else path.name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shell_word(path: Path) -> str:
    """The whole path as a word that can be pasted into bash, whatever characters it has."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100  (a link stays the link that was named)
    if str(whole).isprintable():
        return shlex.quote(str(whole))
    plain = (c.isprintable() and c not in "\\'" for c in str(whole))
    return (
        "$'"
        + "".join(
            c if ok else "".join(f"\\x{byte:02x}" for byte in os.fsencode(c))
            for c, ok in zip(str(whole), plain, strict=True)
        )
        + "'"
    )


def fingerprint(path: Path) -> Fingerprint:
    """Digest and size of a file; FileUnreadable where it cannot be read."""
    digest, size = hashlib.sha256(), 0
    for block in _blocks(path):
        digest.update(block)
        size += len(block)
    return Fingerprint(digest.hexdigest(), size)


def load(
    path: Path, limits: ReadLimits, *, digest: str | None = None, text: bool = False
) -> bytearray:
    """The content, unpacked where the name ends in .gz; FileUnreadable beyond any limit.

    With `digest` the bytes on disk must be those that were fingerprinted. With `text` a line that
    is too long is refused as soon as it is too long, not once it has been read.
    """
    name, seen, content = shown(path), hashlib.sha256(), bytearray()
    blocks = _hashed(_blocks(path), seen)
    if path.suffix.lower() == ".gz":
        blocks = _gunzipped(blocks, name, limits)
    if text:
        blocks = _short_lines(blocks, name, limits)
    for block in blocks:
        content += block
        if len(content) > limits.max_bytes:
            raise FileUnreadable(
                file=name,
                why=f"holds more than {limits.max_bytes:,} bytes of data. Split it into smaller "
                "files",
            )
    if digest is not None and seen.hexdigest() != digest:
        raise FileUnreadable(
            file=name, why="changed while it was being read; the next night takes it as it is then"
        )
    return content


@contextmanager
def memory_named(name: str) -> Iterator[None]:
    """Memory that is not there is FileUnreadable: other files may well be read."""
    try:
        yield
    except MemoryError as error:
        why = "needs more memory to read than there is. Split it into smaller files"
        raise FileUnreadable(file=name, why=why) from error


def _hashed(blocks: Iterable[bytes], seen: Any) -> Iterator[bytes]:
    for block in blocks:
        seen.update(block)
        yield block


def _blocks(path: Path) -> Iterator[bytes]:
    with _explained(path):
        # A pipe or a device that calls itself x.csv would make open() or read() wait for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "not a regular file (a pipe or a device)"
            raise FileUnreadable(file=shown(path), why=f"is {kind}. Deliver the table as a file")
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        gone = "is a link to a file that is not there" if path.is_symlink() else "vanished"
        why = f"{gone}. Deliver it again under the same name"
        raise FileUnreadable(file=shown(path), why=why) from error
    except PermissionError as error:
        why = "may not be read by this user. Give read permission (chmod a+r)"
        raise FileUnreadable(file=shown(path), why=why) from error
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}. Deliver it again"
        raise FileUnreadable(file=shown(path), why=why) from error


def _gunzipped(blocks: Iterator[bytes], name: str, limits: ReadLimits) -> Iterator[bytes]:
    """Unpacked blocks of at most _BLOCK bytes, so that a bomb is stopped before it goes off."""
    packed = unpacked = 0
    try:
        for packed, out in _inflated(blocks):
            unpacked += len(out)
            _refuse_bomb(packed, unpacked, name, limits)
            yield out
    except zlib.error as error:
        foreign = unpacked == 0 and "header" in str(error)
        why = "is named .gz and is not gzip" if foreign else "is damaged gzip"
        raise FileUnreadable(
            file=name, why=f"{why} ({error}). Pack it again, or give it its true suffix"
        ) from error
    except EOFError as error:
        raise FileUnreadable(
            file=name, why="ends in the middle of its gzip data: it was cut short. Deliver it again"
        ) from error


def _inflated(blocks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Packed bytes so far and the next unpacked ones; EOFError where the last member is cut."""
    machine, packed = zlib.decompressobj(_GZIP), 0
    for block in blocks:
        packed += len(block)
        while block:
            if machine.eof:  # another member may follow in the same file, or zeros that pad it
                block = block.lstrip(b"\0")
                machine = zlib.decompressobj(_GZIP) if block else machine
                continue
            yield packed, machine.decompress(block, _BLOCK)
            block = machine.unused_data if machine.eof else machine.unconsumed_tail
    while not machine.eof:
        out = machine.decompress(b"", _BLOCK)
        if not out:
            raise EOFError
        yield packed, out


def _refuse_bomb(packed: int, unpacked: int, name: str, limits: ReadLimits) -> None:
    if unpacked > limits.ratio_from_bytes and unpacked > packed * limits.max_ratio:
        raise FileUnreadable(
            file=name,
            why=f"unpacks to more than {limits.max_ratio} times its size, which no table of "
            "districts does. Deliver it unpacked if it is one",
        )


def _short_lines(blocks: Iterator[bytes], name: str, limits: ReadLimits) -> Iterator[bytes]:
    lines, since = 1, 0  # line number, bytes since its beginning
    for block in blocks:
        at = 0
        while True:
            last = max(
                block.rfind(end, at, at + limits.max_line_bytes - since + 1) for end in _ENDS
            )
            if last < 0:
                break
            at, since = last + 1, 0
        since += len(block) - at
        if since > limits.max_line_bytes:
            raise FileUnreadable(file=name, why=_too_long(lines, block, at, limits))
        lines += block.count(b"\n")
        yield block


_ENDS = (b"\n", b"\r")


def _too_long(lines: int, block: bytes, at: int, limits: ReadLimits) -> str:
    line = lines + block.count(b"\n", 0, at)
    return (
        f"line {line} is longer than {limits.max_line_bytes:,} bytes, and a district takes about "
        "100. Write one district a line, with a line break after each"
    )
