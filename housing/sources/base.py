"""The interface of sources: their options, the ingest history, and deliveries.

A source finds and reads; it never checks a row (`housing.quality`) and never writes to the store.
Each source is a module beside this one and a line in `SOURCES`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from housing.quality.table import Raw
from housing.records import BatchSummary, KnownContent, SettingsGroup
from housing.sources.files import ReadLimits
from housing.sources.settings import SourceSettings

Own = TypeVar("Own", bound=SettingsGroup)


class SourceOptions(SourceSettings):
    """The settings of the sources, and what the caller decides for them."""

    landing_dir: Path
    create_landing_dir: bool = False  # a missing folder is otherwise an error
    limits: ReadLimits = ReadLimits()
    cache_dir: Path  # of the reference table
    connect_seconds: float = 3.0  # until a server answers
    transfer_seconds: float = 120.0  # of a download
    seed: int = 42  # decides the simulated rows

    def own(self, source: str, declared: type[Own]) -> Own:
        """What is set of the options that a source declares itself, else their defaults."""
        found = self.options.get(source)
        return found if isinstance(found, declared) else declared()


class IngestHistory(Protocol):
    """What was ingested before; the store implements it."""

    def batch_with(self, digest: str) -> KnownContent | None:
        """The newest batch with this content, or None."""

    def outdated_rows(self, batch: int) -> int:
        """Rows of a batch that the dataset no longer has as they are."""

    def watermark(self, source: str) -> str | None:
        """Watermark of the source's last stored delivery, or None where it never had one."""

    def has_batch_of(self, source: str, *, real: bool = False) -> bool:
        """Whether a delivery of a source, a real one, has been stored and not discarded."""


@dataclass(frozen=True)
class Delivery:
    """Rows to be read; `read` may raise FileUnreadable."""

    source: str  # a name of SOURCES
    name: str  # for people
    digest: str  # sha256 of the content, hex
    size: int  # bytes
    simulated: bool
    watermark: str | None  # what `IngestHistory.watermark` returns once this is stored
    read: Callable[[], Raw]
    repeats: int | None = None  # batch of the same content, if a person asked to read it again


class Source(Protocol):
    """Where fresh rows come from."""

    @property
    def name(self) -> str:
        """Its name in SOURCES."""

    def deliveries(self, seen: IngestHistory) -> Iterator[Delivery | BatchSummary]:
        """What there is to read, in the order in which it should be stored.

        A BatchSummary ("unchanged", "superseded", "waiting" or "unreadable") stands for what need
        not or cannot be read. Raises SourceUnavailable where the source as a whole cannot be
        reached.
        """


def skipped(
    source: str,
    name: str,
    status: Literal["unchanged", "superseded", "waiting", "unreadable"],
    message: str,
) -> BatchSummary:
    """The summary of something that was found and not read."""
    return BatchSummary(id=None, source=source, name=name, status=status, message=message)
