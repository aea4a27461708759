"""Immutable bytes under the sha256 of their content, in a local folder or behind fsspec.

A blob is durable when `put` returns, and is checked against the caller's digest each time it is
read; the digest comes from SQL, never from beside the file. Knows nothing of what bytes mean.
"""

import hashlib
import re
from dataclasses import dataclass, field

from housing.errors import Corrupt
from housing.store.objects.filesystem import DurableFileSystem


@dataclass(frozen=True)
class Blob:
    """The address of stored bytes; `size` in bytes. A model's is signed.

    A prune may delete them until a row names them: see `ensure_stored`.
    """

    digest: str
    suffix: str
    size: int
    signature: str | None = None
    store: "BlobStore | None" = field(default=None, repr=False, compare=False)
    data: bytes = field(default=b"", repr=False, compare=False)

    def ensure_stored(self) -> None:
        """Store the bytes again if they were deleted.

        Called in the transaction that writes the row: deletions are write transactions too
        (`objects.deletion`).
        """
        name = name_of(self.digest, self.suffix)
        if self.store is None:
            return
        if self.store.exists(name):
            self.store.sync_file(name)
        else:
            self.store.write(name, self.data)


BLOB_NAME = re.compile(r"[0-9a-f]{2}/(?P<digest>[0-9a-f]{64})\.[a-z0-9.]+")


def name_of(digest: str, suffix: str) -> str:
    """A blob's name in its store: `<first two hex digits>/<digest>.<suffix>`."""
    return f"{digest[:2]}/{digest}.{suffix}"


class BlobStore(DurableFileSystem):
    """A folder of blobs."""

    def path(self, digest: str, suffix: str) -> str:
        """Where a blob lies, as its file system names it."""
        return self.at(name_of(digest, suffix))

    def put(self, data: bytes, suffix: str) -> Blob:
        """Store bytes; when it returns they would survive a loss of power."""
        digest = hashlib.sha256(data).hexdigest()
        name = name_of(digest, suffix)
        try:
            self.get(digest, suffix)
        except Corrupt:  # also one that is missing; a damaged copy is written again
            self.write(name, data)
        else:
            self.sync_file(name)
        return Blob(digest, suffix, len(data), store=self, data=data)

    def get(self, digest: str, suffix: str) -> bytes:
        """The bytes whose sha256 is `digest`; Corrupt if the stored ones are others."""
        name = name_of(digest, suffix)
        data = self.must_read(name, f"{digest[:12]}.{suffix}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise self.corrupt(what=self.at(name), why="its bytes do not have the recorded sha256")
        return data
