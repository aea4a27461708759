"""A landing folder, a memory of what was seen, and tables to deliver."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from housing.problems.california.simulated.scenarios import simulate
from housing.records import KnownContent
from housing.sources.base import SourceOptions


@dataclass
class Memory:
    """What the store knows, as far as sources ask."""

    batches: dict[str, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    status: str = "accepted"  # of every batch
    outdated: int = 0  # rows of every batch
    watermarks: dict[str, str] = field(default_factory=dict)
    reference: bool = False

    def batch_with(self, digest: str) -> KnownContent | None:
        if digest not in self.batches:
            return None
        batch = self.batches[digest]
        return KnownContent(batch, frozenset({self.names[batch]}), self.status, f"{digest} again")

    def outdated_rows(self, batch: int) -> int:
        return self.outdated

    def watermark(self, source: str) -> str | None:
        return self.watermarks.get(source)

    def has_batch_of(self, _source: str, *, real: bool = False) -> bool:
        return self.reference

    def store(self, delivery):
        """Remember a delivery as the store would."""
        self.batches[delivery.digest] = len(self.batches) + 1
        self.names[len(self.batches)] = delivery.name
        if delivery.watermark is not None:
            self.watermarks[delivery.source] = delivery.watermark


@pytest.fixture
def seen() -> Memory:
    return Memory()


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


@pytest.fixture
def options(tmp_path: Path, landing: Path) -> Callable[..., SourceOptions]:
    """Options that wait for nothing; keywords override."""

    def make(census: str = "", **changes) -> SourceOptions:
        quick = {"settle_seconds": 0, "connect_seconds": 1}
        simulated = {"rows": 200} | changes.pop("simulated", {})
        changes["options"] = {"simulated": simulated, "census": {"table": census}}
        places = {"landing_dir": landing, "cache_dir": tmp_path / "cache"}
        return SourceOptions(**(quick | places | changes))

    return make


@pytest.fixture(scope="session")
def districts() -> pd.DataFrame:
    """Forty districts, typed."""
    return simulate(40, seed=1)


@pytest.fixture(scope="session")
def table(districts: pd.DataFrame) -> str:
    """The same forty as CSV text."""
    return districts.to_csv(index=False)
