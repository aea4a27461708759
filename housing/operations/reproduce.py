"""Training a model again from what is recorded of it: rows, sides, candidate, seed, libraries."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy.engine import Row

from housing import progress, schema
from housing.errors import HousingError
from housing.pipeline.train import GOLDEN_ROWS, refit, training_side, verified_training_keys
from housing.settings import Settings
from housing.store.data import datasets
from housing.store.data.segments import get_table, to_frame
from housing.store.database.engine import Store
from housing.store.models import artifacts, onnx_copies, registry
from housing.store.models.artifacts import GOLDEN_TOLERANCE
from housing.store.objects.recording import record_blob
from housing.training.fit import golden_rows, installed_version, library_versions


@dataclass(frozen=True)
class Reproduced:
    """How the model that was trained again compares with the recorded one.

    `worst` is the largest relative difference of a prediction over `rows` rows; None where nothing
    of the old predictions is left to compare with.
    """

    model: int
    worst: float | None
    rows: int
    compared_with: str
    tolerance: float
    same_bytes: bool
    libraries: dict[str, tuple[str, str]]  # those that have changed: then and now
    kept: bool = False

    @property
    def same(self) -> bool:
        """Whether it is the same model, as far as it can be compared."""
        return self.same_bytes or (self.worst is not None and self.worst <= self.tolerance)


def reproduce(
    store: Store,
    settings: Settings,
    model: int,
    *,
    tolerance: float = GOLDEN_TOLERANCE,
    keep: bool = False,
) -> Reproduced:
    """Fit the model again and compare; with `keep`, and the same bytes, they are stored again.

    That restores a model that was pruned, or lost in store and backup. Corrupt where the training
    rows are not those that are recorded with the model.
    """
    row = store.query(registry.model, model)
    frame = datasets.read(store, row.version)
    verified_training_keys(row, frame)
    X, y = training_side(frame)
    progress.report("fit", 0, 0, f"m{model} again")
    again = refit(store, row, X, y, settings)
    same_bytes = artifacts.digest_of(again) == row.artifact
    then, rows, source = _old_predictions(store, row, frame)
    worst = None if then is None else artifacts.worst_difference(again.predict(rows), then)
    if keep and same_bytes:
        _keep(store, again, X, row)
    changed, count = _changed(row.libraries), 0 if then is None else len(then)
    kept = keep and same_bytes
    return Reproduced(model, worst, count, source, tolerance, same_bytes, changed, kept)


def _old_predictions(
    store: Store, row: Row[Any], frame: pd.DataFrame
) -> tuple[Any, pd.DataFrame, str]:
    """Predictions of the recorded model: of all rows if it can be loaded, else its golden ones."""
    sides = datasets.training_rows(frame), datasets.test_rows(frame)
    X = pd.concat(sides, ignore_index=True)[list(schema.FEATURES)]
    try:
        return artifacts.get_model(store, row.artifact).predict(X), X, "the stored model"
    except HousingError:
        pass  # pruned, damaged or signed by another key: then its golden rows have to do
    try:
        golden = to_frame(get_table(store, row.golden))
    except HousingError:
        return None, X, "nothing: neither the model nor its golden rows are left"
    then = golden.pop(artifacts.PREDICTION).to_numpy()
    return then, golden[list(X.columns)], "its golden rows"


def _changed(then: dict[str, str]) -> dict[str, tuple[str, str]]:
    names = sorted({*then, *library_versions()})
    now = {name: installed_version(name) for name in names}
    return {name: (then.get(name, "-"), now[name]) for name in names if then.get(name) != now[name]}


def _keep(store: Store, model: Any, X: pd.DataFrame, row: Row[Any]) -> None:
    artifact = artifacts.put_model(store, model)
    rows = golden_rows(X, GOLDEN_ROWS, row.seed)
    golden = artifacts.put_golden(store, rows, model.predict(rows))
    with store.write() as connection:
        record_blob(connection, artifact, "model")
        if golden.digest == row.golden:
            record_blob(connection, golden, "golden")
    was_copied = store.query(onnx_copies.digests, row.id)
    if was_copied:
        from housing.inference.onnx.convert import store_copy  # slow to import

        store_copy(store, row, model)
