"""What a fitted model computes of the table's columns: each feature, its inputs and definition."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sklearn.ensemble import VotingRegressor
from sklearn.pipeline import Pipeline

from housing.features.derived import identity
from housing.features.preprocess import group_of
from housing.features.statistics import GROUPS
from housing.schema import FEATURES, TARGET
from housing.training.preprocessing_plan import OF_LABEL, own_columns, unit_of


@dataclass(frozen=True)
class Feature:
    """One feature that fitted steps compute, and what it is computed from."""

    name: str
    group: str  # "" for a column of the table
    unit: str
    inputs: tuple[str, ...]  # columns of the table; the target where other rows' labels are used
    definition: str
    reason: str = ""


@dataclass(frozen=True)
class FeatureGroup:
    """Features that are computed from the same columns in the same way."""

    group: str  # "" for columns of the table
    inputs: tuple[str, ...]
    features: tuple[str, ...]


def definitions(fitted: Any) -> list[Feature]:
    """The features of a fitted model, in the order of its arrays.

    Where its pipelines have features of their own, the number of the pipeline is before the name.
    """
    steps = feature_steps(fitted)
    found = []
    for number, each in enumerate(steps, 1):
        prefix = f"{number}__" if len(steps) > 1 else ""
        found += [Feature(**{**asdict(f), "name": prefix + f.name}) for f in _features_of(each)]
    return found


def grouped(features: Sequence[Feature]) -> tuple[FeatureGroup, ...]:
    """Features by group and inputs, in the order of the first."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for feature in features:
        found.setdefault((feature.group, feature.inputs), []).append(feature.name)
    return tuple(FeatureGroup(*key, tuple(names)) for key, names in found.items())


def feature_steps(model: Any) -> list[Any]:
    """The fitted steps before the model of each of a mean's pipelines; none of another model."""
    if isinstance(model, Pipeline) and len(model.steps) > 1:
        return [model[:-1]]
    members = model.estimators_ if isinstance(model, VotingRegressor) else ()
    return [steps for each in members for steps in feature_steps(each)]


def _features_of(steps: Any) -> list[Feature]:
    """The features of a fitted pipeline without its model, in their order."""
    first, found = steps[0], []
    entries = {name: (each, columns) for name, each, columns in getattr(first, "transformers_", ())}
    own = own_columns(first)
    for name in map(str, steps.get_feature_names_out()):
        entry, _, short = name.partition("__")
        each, columns = entries.get(entry, (first, list(FEATURES)))
        unit, group = unit_of(first, name), group_of(name)
        if name in own:
            column = own[name]
            values = (*column.inputs, *(f"{value:g}" for value in column.constants))
            function = getattr(column.function, "__name__", type(column.function).__name__)
            text = f"{function}({', '.join(values)})"
            text = column.inputs[0] if column.function is identity else text
            text += ", in standard deviations" if unit == "standard deviations" else ""
            found.append(Feature(name, group, unit, column.inputs, text, column.reason))
            continue
        # Of several columns encoded together, a feature has the name of its own column in front.
        named = [c for c in columns if short == c or short.startswith(f"{c}_")]
        inputs = (max(named, key=len),) if named else tuple(columns)
        labels = (TARGET,) if unit == OF_LABEL else ()
        reason = GROUPS[group].reason if group in GROUPS else ""
        text = f"{_kind(each)} of {', '.join(inputs)}"
        if labels:
            text += f" and {TARGET} of training rows"
        found.append(Feature(name, group, unit, (*inputs, *labels), text, reason))
    return found


def _kind(step: Any) -> str:
    """The classes of a transformer's steps, in words."""
    inside = [each for _, each in getattr(step, "steps", ())] or [step]
    return ", ".join(type(each).__name__ for each in inside)
