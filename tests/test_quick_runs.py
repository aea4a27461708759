"""Fits that are found again are those that would be computed."""

from pathlib import Path

import pytest

from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.training.candidates import FAMILIES
from tests.fixtures.quick_runs import fits_kept_in
from tests.fixtures.run_without_prefect import plain_run
from tests.fixtures.small_settings import SMALL, contents, landing_rows, small_forest

ROWS = 300


def _run(home: Path, patch: pytest.MonkeyPatch) -> dict[str, list[tuple[object, ...]]]:
    """The contents of a new home after one run."""
    (home / "landing").mkdir(parents=True)
    landing_rows(0, ROWS).to_csv(home / "landing" / "a.csv", index=False)
    patch.setenv("HOUSING_HOME", str(home))
    plain_run()
    with open_store(load_settings()) as store:
        return contents(store)


@pytest.mark.system
def test_a_run_with_fits_of_another_is_the_same_run(
    home: Path, quick_pictures: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(FAMILIES, "forest", small_forest())  # type: ignore[arg-type]
    computed = _run(tmp_path / "computed", monkeypatch)
    folder = tmp_path / "fits"
    with fits_kept_in(folder):
        assert _run(tmp_path / "kept", monkeypatch) == computed
        kept = sorted(folder.iterdir())
        assert len(kept) >= 5
        assert _run(tmp_path / "found", monkeypatch) == computed
        assert sorted(folder.iterdir()) == kept, "nothing is computed again"
        monkeypatch.setenv("HOUSING_SEARCH__SEED", "7")
        assert _run(tmp_path / "other", monkeypatch) != computed
        assert sorted(folder.iterdir()) != kept, "other inputs are another fit"
