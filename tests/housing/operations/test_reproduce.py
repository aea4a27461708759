"""A model trained again from what is recorded of it."""

from pathlib import Path

import pytest

from housing.errors import Corrupt
from housing.operations.reproduce import reproduce
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import blobs, models, utc_now
from housing.store.models import artifacts, onnx_copies, registry
from housing.training.candidates import FAMILIES
from tests.fixtures.run_without_prefect import plain_run
from tests.fixtures.small_settings import SMALL, landing_rows, small_forest
from tests.housing.operations.test_backup import original as original
from tests.housing.operations.test_backup import seen as seen


@pytest.fixture(autouse=True)
def _the_forest_of_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "forest", small_forest())  # type: ignore[arg-type]


def test_a_reproduced_model_is_identical_to_the_byte(original: Store, seen: Settings) -> None:
    done = reproduce(original, seen, 2)
    assert (done.same, done.same_bytes, done.worst) == (True, True, 0.0)
    assert done.compared_with == "the stored model"
    assert done.rows > 800
    assert done.libraries == {}
    assert not done.kept


def test_another_recipe_is_seen(
    original: Store, seen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with original.write() as connection:
        members = [{**each, "seed": 7} for each in registry.model(connection, 2).members]
        connection.execute(models.update().where(models.c.id == 2).values(members=members))
    done = reproduce(original, seen, 2)
    assert not done.same
    assert done.worst is not None
    assert done.worst > done.tolerance
    assert reproduce(original, seen, 2, tolerance=10.0).same


def test_a_model_that_was_pruned_or_lost_comes_back(original: Store, seen: Settings) -> None:
    with original.read() as connection:
        row = registry.model(connection, 1)
        (copy,) = onnx_copies.digests(connection, 1)
    with original.write() as connection:
        this = blobs.c.digest.in_((row.artifact, copy))
        connection.execute(blobs.update().where(this).values(pruned_at=utc_now()))
    Path(original.blobs.path(row.artifact, artifacts.FORMAT)).unlink()
    Path(original.blobs.path(copy, artifacts.ONNX)).unlink()
    looked = reproduce(original, seen, 1)
    assert (looked.same, looked.compared_with, looked.kept) == (True, "its golden rows", False)
    assert reproduce(original, seen, 1, keep=True).kept
    assert artifacts.get_model(original, row.artifact) is not None
    assert artifacts.get_model(original, copy) is not None
    assert reproduce(original, seen, 1).compared_with == "the stored model"


def test_other_libraries_are_named(original: Store, seen: Settings) -> None:
    with original.write() as connection:
        then = {"scikit-learn": "0.1"}
        connection.execute(models.update().where(models.c.id == 2).values(libraries=then))
    assert reproduce(original, seen, 2).libraries["scikit-learn"][0] == "0.1"


def test_other_training_rows_are_refused(original: Store, seen: Settings) -> None:
    with original.write() as connection:
        connection.execute(models.update().where(models.c.id == 2).values(train_keys="0" * 64))
    with pytest.raises(Corrupt, match="training districts of m2 are not those recorded"):
        reproduce(original, seen, 2)


@pytest.mark.system
@pytest.mark.parametrize(
    "families",
    [
        "lightgbm",
        *(pytest.param(f, marks=pytest.mark.slow) for f in ("boosting,extra-trees", "catboost")),
    ],
)
def test_challengers_of_runs_with_neighbours_bags_and_blends(
    families: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real runs of the real families, each with an ensemble chosen among trials."""
    if families in ("lightgbm", "catboost"):
        pytest.importorskip(families, reason="an optional family that is not installed")
    (home / "landing").mkdir(parents=True)
    landing_rows(0, 500).to_csv(home / "landing" / "a.csv", index=False)
    drawn = {"FAMILIES": families, "N_TRIALS": "2", "ENSEMBLE_SIZE": "3"}
    for name, value in {**SMALL, **{f"HOUSING_SEARCH__{k}": v for k, v in drawn.items()}}.items():
        monkeypatch.setenv(name, value)
    plain_run()
    settings = load_settings()
    with open_store(settings) as store:
        with store.read() as connection:
            assert len(registry.model(connection, 1).members) == 3
        done = reproduce(store, settings, 1)
    assert (done.worst, done.compared_with) == (0.0, "the stored model")
    assert done.same_bytes
