"""Predictions for a file of rows from the command line, as the server makes them."""

import tempfile
from pathlib import Path

from housing.errors import FileUnreadable, NotPossible, StoreUnavailable
from housing.inference.file_scoring import FileScore, kind_of, score
from housing.inference.loaded_model import load
from housing.store.database.engine import Store
from housing.store.models import promotion_log


def predict_file(store: Store, source: Path, target: Path, *, model: int | None) -> FileScore:
    """Predict each row of `source` into `target`, by the champion or by another model.

    `target` appears whole or not at all. FileUnreadable for a file that cannot be read or lacks
    columns; NotPossible where there is no champion, or `target` would replace `source`.
    """
    kind = kind_of(source)
    if kind_of(target) != kind:
        raise NotPossible(
            what=f"Writing {target.name}", why=f"the output is a .{kind} file like the input."
        )
    try:
        source.open("rb").close()
    except OSError as error:
        why = f"{error.strerror or error}. Check the path and its permissions"
        raise FileUnreadable(file=str(source), why=why) from error
    if target.exists() and target.samefile(source):
        raise NotPossible(what=f"Writing {target.name}", why="it is the input file.")
    served = load(store, champion_of(store) if model is None else model)
    try:
        with tempfile.TemporaryDirectory(prefix=".predict-", dir=target.parent) as folder:
            scratch = Path(folder) / target.name
            done = score(served, source, scratch, name=source.name, kind=kind)
            scratch.replace(target)
    except OSError as error:
        raise StoreUnavailable(
            what=f"The folder {target.parent}",
            why=error.strerror or str(error),
            next_step="Name another one with --output.",
        ) from error
    return done


def champion_of(store: Store, what: str = "Predicting") -> int:
    """The champion's id; NotPossible before the first promotion."""
    champion = store.query(promotion_log.champion)
    if champion is None:
        raise NotPossible(what=what, why="there is no champion yet; `housing retrain` makes one.")
    return champion
