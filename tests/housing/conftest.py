"""Small runs: simulated landing files, a linear model, and the steps called by hand."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from housing.pipeline.run_context import NightlyParameters, RunContext, start_run
from housing.settings import Settings, load_settings
from housing.training.candidates import FAMILIES
from tests.fixtures.plain_home import ROOT, environment
from tests.fixtures.small_settings import SMALL, landing_rows, small_forest


@pytest.fixture(scope="session")
def plain_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of the plain problem after two runs."""
    home = tmp_path_factory.mktemp("plain")
    make = [sys.executable, "-m", "tests.fixtures.plain_home"]
    done = subprocess.run(
        make, env=environment(home), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return home


@pytest.fixture
def small(settings: Settings, quick_runs: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a run that takes a second, on either database."""
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(FAMILIES, "forest", small_forest())  # type: ignore[arg-type]
    return load_settings()


Land = Callable[..., Path]


@pytest.fixture
def land(small: Settings) -> Land:
    """Write districts into the landing folder: land(name, rows, seed) -> the file."""
    folder = small.sources.landing_dir
    assert folder is not None
    folder.mkdir(parents=True, exist_ok=True)

    def write(
        name: str, rows: int = 1200, seed: int = 0, frame: pd.DataFrame | None = None
    ) -> Path:
        path = folder / name
        (landing_rows(seed, rows) if frame is None else frame).to_csv(path, index=False)
        return path

    return write


@pytest.fixture
def run(small: Settings) -> Iterator[RunContext]:
    """A run under way, with its lease."""
    with start_run("nightly", NightlyParameters()) as begun:
        yield begun
