"""What the read commands import."""

import subprocess
import sys

import pytest

SLOW = ("numpy", "pandas", "pyarrow", "scipy", "sklearn")


@pytest.mark.parametrize("module", ["queries", "database.open", "runs.runs", "models.registry"])
def test_listings_load_no_library_for_tables_or_models(module: str) -> None:
    """Each of them takes longer to import than a listing takes to answer."""
    code = f"import sys, housing.store.{module}; print([m for m in {SLOW} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
