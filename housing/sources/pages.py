"""The pages of a Parquet file: unpacked size and encoding of each.

Arrow allocates the size in a page's header, and the footer may state another. So the headers are
read before any page is unpacked. Like the footer they are structs of Thrift's compact protocol;
Arrow's own parser can crash the process on a damaged footer.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

_HEADER = 1 << 16  # bytes of a page header at the most; statistics in it hold a value each
_DEPTH = 12  # of structs and lists; a footer has 8
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_ABOUT = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}  # number of the field with what a kind adds
DELTA_BYTE_ARRAY = 7
"""The encoding whose values repeat the beginning of the value before: its size is not its cost."""


class PageHeader(NamedTuple):
    """What is needed of a header."""

    packed: int  # bytes
    unpacked: int  # bytes
    values: int
    encoding: int


class Chunk(NamedTuple):
    """The pages of one column in one group of rows."""

    path: str
    begin: int  # bytes into the file
    values: int


def chunks_of(footer: bytes) -> list[tuple[int, list[Chunk]]]:
    """Each group of rows: how many, and its chunks; ValueError where the footer is damaged."""
    try:
        groups = _Struct(footer).read()[4]
        return [(int(group[3]), [_chunk(one[3]) for one in group[1]]) for group in groups]
    except (KeyError, TypeError) as error:
        raise ValueError("the footer lacks what it must hold") from error


def _chunk(facts: dict[int, Any]) -> Chunk:
    path = b".".join(facts[3]).decode()
    begin = min(int(facts[9]), int(facts.get(11) or facts[9]))
    return Chunk(path, max(begin, 0), int(facts[5]))


def page_headers(file: pa.NativeFile, chunk: Chunk) -> Iterator[PageHeader]:
    """Headers of the pages of a chunk; ValueError where they cannot be read."""
    at, left = chunk.begin, chunk.values
    while left > 0:
        file.seek(at)
        struct = _Struct(file.read(_HEADER))
        fields = struct.read()
        header = _header(fields)
        yield header
        at += struct.at + header.packed
        if fields[1] != _DICTIONARY:
            left -= header.values


def _header(fields: dict[int, Any]) -> PageHeader:
    kind = fields.get(1)
    about = fields.get(_ABOUT[kind]) if isinstance(kind, int) and kind in _ABOUT else None
    if not isinstance(about, dict):
        raise ValueError("a page header is of no known kind")  # noqa: TRY004
    found = (fields.get(3), fields.get(2), about.get(1), about.get(4 if kind == _DATA_V2 else 2))
    if not all(isinstance(number, int) and number >= 0 for number in found):
        raise ValueError("a page header lacks its sizes")
    if kind != _DICTIONARY and not found[2] and not found[0]:
        raise ValueError("a page is empty")
    return PageHeader(*found)  # type: ignore[arg-type]


class _Struct:
    """A struct of Thrift's compact protocol, as a dictionary by field number."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def read(self, depth: int = 0) -> dict[int, Any]:
        """The fields that are there."""
        if depth > _DEPTH:
            raise ValueError("it is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            fields[number] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):  # a boolean is its own type
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 8:
            return self._bytes(self._varint())
        if kind == 7:
            return self._bytes(8)
        if kind == 9:
            return self._list(depth)
        if kind == 12:
            return self.read(depth + 1)
        raise ValueError(f"it holds a field of the unknown type {kind}")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._varint()
        if size > len(self.data) or depth > _DEPTH:
            raise ValueError("it holds a list that is too long")
        kind = head & 15
        if kind in (1, 2):  # in a list a boolean takes a byte
            return [self._byte() for _ in range(size)]
        return [self._value(kind, depth + 1) for _ in range(size)]

    def _bytes(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise ValueError("it ends too early")
        self.at += length
        return self.data[self.at - length : self.at]

    def _byte(self) -> int:
        if self.at >= len(self.data):
            raise ValueError("it ends too early")
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        found = shift = 0
        while shift < 64:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
        raise ValueError("it holds an overlong number")

    def _zigzag(self) -> int:
        found = self._varint()
        return (found >> 1) ^ -(found & 1)
