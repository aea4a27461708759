"""Where the reference table is, for benchmarks that are measured on it."""

import argparse
import os
from pathlib import Path

from housing.settings import load_settings
from housing.sources.census import DIGEST


def add_table(parser: argparse.ArgumentParser) -> None:
    """The argument that names it."""
    parser.add_argument("table", type=Path, nargs="?", help="the reference table, a CSV file")


def reference_table(options: argparse.Namespace) -> Path:
    """As named, or by HOUSING_CENSUS, or the copy that a night has fetched."""
    named = options.table or os.environ.get("HOUSING_CENSUS")
    path = Path(named or load_settings().home / "cache" / f"census-{DIGEST[:12]}.csv")
    if not path.is_file():
        said = f"there is no {path}" if named else "no night has fetched the reference table yet"
        raise SystemExit(f"{said}: name it, set HOUSING_CENSUS, or run `make retrain` once")
    return path
