"""Models for nights on which nothing changed: one recipe, many seeds, many training resamples.

For each of SPLITS splits of the real table (the project's own stratified split, another seed
each), BAGS times a random 95 % of the training side is drawn and MEMBERS models of one recipe
are fitted on it, each with its own seed. What is kept are their predictions of that
split's test side, so that any pair of bags can be judged later at no cost. One model of each of
OTHERS is fitted on the first bag's rows, for pairs of unlike families. A model that is there
already is not fitted again.

    python -m benchmarks gate-pool housing.csv FOLDER
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.data import add_table, reference_table
from benchmarks.gate.family import fitted, middling
from housing import schema
from housing.evaluation.spatial_se import SpatialCells, spatial_cells
from housing.keys import row_keys
from housing.training.candidates import FAMILIES
from housing.training.split import SplitRule, assign, strata

SPLITS, BAGS, MEMBERS = 10, 7, 3
OTHERS = {
    "extra-trees": {"model__max_features": 0.4},
    "forest": {"model__max_features": 8},
    "linear": {"model__alpha": 1.0},
}
"""Families beside the default one, and their settings."""
TEST_SHARE = 0.2
TRAINED_SHARE = 0.95  # of the training side; a champion of last week has seen fewer rows too


@dataclass(frozen=True, eq=False)
class Split:
    """A test side of n rows and the predictions of the pool's models."""

    actual: np.ndarray  # US dollars, shape (n,)
    where: SpatialCells  # in cells of 0.1 degrees
    rows: pd.DataFrame  # the catalogue columns of the test rows
    predicted: np.ndarray  # US dollars, shape (BAGS, MEMBERS, n)
    others: dict[str, np.ndarray]  # of each of OTHERS, shape (n,)


def table(path: Path) -> pd.DataFrame:
    """The reference table, typed."""
    return pd.read_csv(path).astype(schema.dtypes())


def sides(frame: pd.DataFrame, seed: int) -> np.ndarray:
    """True for the test side, as the project splits a first batch."""
    return assign(row_keys(frame), strata(frame), {}, SplitRule(TEST_SHARE, seed))


def fit_all(path: Path, folder: Path) -> None:
    """Fit what is missing in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = table(path)
    for split in range(SPLITS):
        test = sides(frame, split)
        for bag in range(BAGS):
            fit_bag(frame, test, split, bag, folder)
        for name in OTHERS:
            fit_other(frame, test, split, name, folder)


def trained(frame: pd.DataFrame, test: np.ndarray, split: int, bag: int) -> pd.DataFrame:
    """The rows of a bag."""
    return frame[~test].sample(frac=TRAINED_SHARE, random_state=1000 * split + bag)


def keep(done: Path, predicted: np.ndarray) -> None:
    """Whole or not at all."""
    partial = done.with_suffix(".part.npy")
    np.save(partial, predicted.astype(np.float32))
    partial.replace(done)
    print(done.stem, flush=True)


def fit_bag(frame: pd.DataFrame, test: np.ndarray, split: int, bag: int, folder: Path) -> None:
    """Fit the members of one bag and keep their predictions of the test side."""
    done = folder / f"s{split:02d}-b{bag}.npy"
    if done.exists():
        return
    train, predicted = trained(frame, test, split, bag), []
    for member in range(MEMBERS):
        seed = 10_000 * split + 100 * bag + member
        X, y = train[list(schema.FEATURES)], train[schema.TARGET].to_numpy()
        model = fitted(middling(seed), X, y)
        predicted.append(model.predict(frame.loc[test, list(schema.FEATURES)]))
    keep(done, np.asarray(predicted))


def fit_other(frame: pd.DataFrame, test: np.ndarray, split: int, name: str, folder: Path) -> None:
    """Fit one model of another family on the rows of the first bag."""
    done = folder / f"s{split:02d}-{name}.npy"
    if done.exists():
        return
    train = trained(frame, test, split, 0)
    model = FAMILIES[name].build(split).set_params(**OTHERS[name])
    fitted(model, train[list(schema.FEATURES)], train[schema.TARGET].to_numpy())
    keep(done, model.predict(frame.loc[test, list(schema.FEATURES)]))


def load(path: Path, folder: Path) -> list[Split]:
    """All splits whose bags are all there."""
    frame = table(path)
    found = []
    for split in range(SPLITS):
        files = [folder / f"s{split:02d}-b{bag}.npy" for bag in range(BAGS)]
        others = {name: folder / f"s{split:02d}-{name}.npy" for name in OTHERS}
        if not all(file.exists() for file in (*files, *others.values())):
            continue
        rows = frame[sides(frame, split)].reset_index(drop=True)
        coordinates = (rows[name].to_numpy() for name in schema.COORDINATES)
        found.append(
            Split(
                rows[schema.TARGET].to_numpy(),
                spatial_cells(*coordinates, 0.1),
                rows,
                np.stack([np.load(file) for file in files]).astype(np.float64),
                {name: np.load(file).astype(np.float64) for name, file in others.items()},
            )
        )
    return found


def main() -> None:
    """Fill the pool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_table(parser)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("var/benchmarks/pool"))
    options = parser.parse_args()
    fit_all(reference_table(options), options.folder)
