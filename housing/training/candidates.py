"""The model families and baselines of the problem in force, and their pipelines."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib import import_module

from sklearn.pipeline import Pipeline

from housing.features.derived import Derived
from housing.features.preprocess import groups_of, leave_out, set_parameters
from housing.records import Candidate
from housing.schema import PROBLEM
from housing.training.families import ModelFamily

_MODELS = import_module(PROBLEM.models)
FAMILIES: Mapping[str, ModelFamily] = _MODELS.FAMILIES
BASELINES: Mapping[str, ModelFamily] = _MODELS.BASELINES
"""Models that a challenger must beat; they are fitted, never searched."""

DERIVED: Sequence[Derived] = getattr(_MODELS, "DERIVED", ())
"""Derived columns that the page of a dataset shows beside the table's own."""


@cache
def feature_groups() -> tuple[str, ...]:
    """Groups of features that some installed family has and that can be left out of a search."""
    families = (family for family in FAMILIES.values() if family.installed)
    return tuple(
        dict.fromkeys(g for each in families for g in groups_of(each.build(0)["preprocess"]))
    )


def unfitted(
    family: str,
    seed: int,
    families: Mapping[str, ModelFamily] = FAMILIES,
    without: Collection[str] = (),
) -> Pipeline:
    """A family's unfitted pipeline without some groups of features."""
    built: Pipeline = families[family].build(seed)
    leave_out(built["preprocess"], without)
    return built


def pipeline(
    candidate: Candidate,
    seed: int,
    families: Mapping[str, ModelFamily] = FAMILIES,
    without: Collection[str] = (),
) -> Pipeline:
    """The unfitted pipeline of a candidate.

    Raises KeyError for a family that is not there, ValueError for a parameter it does not have.
    """
    return set_parameters(unfitted(candidate.family, seed, families, without), candidate.parameters)
