"""What a stored model may be made of: the types that are loaded besides scikit-learn's own.

Everything else is refused when a model is stored, and again when one is loaded. The functions of
derived columns, the transformers of `housing.features` and the types that a model family names are
found where they are registered; a search is not begun before each of its families has been stored
and loaded once (`artifacts.check_storable`).
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Any

import housing.features

DATA: tuple[str, ...] = (
    "housing.features.derived.Derived",
    "housing.store.models.packed_trees.PackedTrees",
    # Python's: only of functions that are trusted themselves
    "functools.partial",
    # what skops leaves to its users although it is data: arrays, trees, a dict with attributes
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)


def trusted_types() -> tuple[str, ...]:
    """Full names of the types and functions that a stored model may hold, in order."""
    # Not when this is imported: the command line has no need of scikit-learn.
    from housing.training.candidates import FAMILIES

    families = {name for candidate in FAMILIES.values() for name in candidate.trusted}
    return tuple(sorted({*DATA, *_functions(), *_transformers(), *families}))


def _functions() -> Iterator[str]:
    """Functions of derived columns: those that are registered, and those of models before."""
    from housing.features import derived
    from housing.features.preprocess import derived_in
    from housing.training.candidates import FAMILIES

    for _, function in inspect.getmembers(derived, inspect.isfunction):
        if function.__module__ == derived.__name__:
            yield _name(function)
    for family in FAMILIES.values():
        if family.installed:
            for column in derived_in(family.build(0)):
                yield _name(column.function)


@cache
def _transformers() -> tuple[str, ...]:
    """Transformers of `housing.features`."""
    from sklearn.base import BaseEstimator

    modules = [
        importlib.import_module(f"{housing.features.__name__}.{found.name}")
        for found in pkgutil.iter_modules(housing.features.__path__)
    ]
    return tuple(
        _name(kind)
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, BaseEstimator) and kind.__module__ == module.__name__
    )


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
