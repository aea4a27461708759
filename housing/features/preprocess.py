"""Assembles the derived and spatial features into what a model family is given.

`reference_preprocessor` imputes and scales, for any model; `searched_pipeline` does so in steps
that a search may replace; `tree_preprocessor` leaves gaps, and can add features of neighbouring
rows. Both take frames of the table's features and end in float64 with `get_feature_names_out`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.feature_selection import SelectFromModel
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import Lasso
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from housing.features.derived import Derived, compute, identity, inputs_of, transformer
from housing.features.neighbours import (
    NeighbourStatistics,
    NeighbourTransformer,
    SimilarRows,
    similar_names,
)
from housing.features.rounding import RoundedColumns
from housing.features.spatial import ClusterSimilarity
from housing.features.statistics import GROUPS
from housing.problem import Table
from housing.schema import TABLE

SIMILAR = "similar"
SCALES = (10, 30)
MOST_COVARIATES = 64


def _one_hot(table: Table, *more: Any) -> OneHotEncoder:
    """One column a category of the catalogue (and of `more`), whatever a fold holds; all zeros for
    others."""
    names = table.named("category", features_only=True)
    return OneHotEncoder(
        categories=[[*table.catalogue[name].categories, *more] for name in names],
        handle_unknown="ignore",
        sparse_output=False,
    )


STEPS: Mapping[str, Any] = {
    "median": SimpleImputer(strategy="median", keep_empty_features=True),
    "mean": SimpleImputer(strategy="mean", keep_empty_features=True),
    "most frequent": SimpleImputer(strategy="most_frequent", keep_empty_features=True),
    "nearest rows": KNNImputer(keep_empty_features=True),
    "standard": StandardScaler(),
    "min-max": MinMaxScaler(),
    "one-hot": _one_hot(TABLE),
    "one-hot with missing": _one_hot(TABLE, np.nan),
    "lasso": SelectFromModel(Lasso(alpha=0.01), threshold="0.1*mean"),
    "log": FunctionTransformer(np.log, np.exp),
}
"""Steps of a pipeline that a search space names, as a candidate's parameters are plain values."""


def set_parameters(pipeline: Pipeline, parameters: Mapping[str, Any]) -> Pipeline:
    """Set parameters as scikit-learn does; a name of `STEPS` replaces a step by a copy of its own.

    Raises ValueError for a parameter that the pipeline does not have.
    """
    known = pipeline.get_params()
    steps = {
        name: clone(STEPS[value])
        for name, value in parameters.items()
        if isinstance(value, str)
        and value in STEPS
        and (hasattr(known.get(name), "fit") or known.get(name) == "passthrough")
    }
    return pipeline.set_params(**{**parameters, **steps})


STEP_CHOICES: Mapping[str, list[Any]] = {
    "preprocess__number__impute": ["median", "mean", "most frequent", "nearest rows"],
    "preprocess__number__scale": ["standard", "min-max"],
    "model__regressor__select": ["passthrough", "lasso"],
    **({"model__transformer": ["standard", "log"]} if TABLE.positive else {}),
    **(
        {"preprocess__category": ["one-hot", "one-hot with missing"]}
        if any(TABLE.catalogue[n].nullable for n in TABLE.named("category", features_only=True))
        else {}
    ),
}
"""What a search may replace in `searched_pipeline`, where the table gives a choice."""


TREE_TYPES = (
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
)
"""What nearest rows found by a tree hold. Found by brute force, the order of equally distant rows,
and with it the prediction, would depend on the number of threads."""


def searched_pipeline(model: Any, derived: Sequence[Derived] = ()) -> Pipeline:
    """A model of scaled numbers and categories, whose steps are values of a search space.

    `derived` are the columns that the model is given in place of the table's own numbers.
    """
    columns = tuple(derived) or tuple(
        Derived(name, TABLE.catalogue[name].unit, "", (name,), identity)
        for name in TABLE.named("number", features_only=True)
    )
    target = Pipeline([("select", "passthrough"), ("model", model)])
    return Pipeline(
        [
            (
                "preprocess",
                ColumnTransformer(
                    [("number", _scaled(columns), list(inputs_of(columns))), *_categories(TABLE)]
                ),
            ),
            ("model", TransformedTargetRegressor(target, transformer=StandardScaler())),
        ]
    )


def reference_preprocessor(
    table: Table,
    seed: int,
    groups: Mapping[str, Sequence[Derived]] = MappingProxyType({}),
    clustered: Sequence[str] = (),
) -> ColumnTransformer:
    """For any model: derived columns, cluster similarity, one-hot, and the other numbers scaled.

    `groups` are derived columns by name of their group; `clustered` are the columns whose
    similarity to clusters is a feature.
    """
    covered = {*clustered, *(name for each in groups.values() for name in inputs_of(each))}
    rest = [name for name in table.named("number", features_only=True) if name not in covered]
    median = SimpleImputer(strategy="median", keep_empty_features=True)
    return ColumnTransformer(
        [
            *((name, _scaled(each), list(inputs_of(each))) for name, each in groups.items()),
            *([("geo", ClusterSimilarity(random_state=seed), [*clustered])] * bool(clustered)),
            *_categories(table),
            ("number", make_pipeline(median, StandardScaler()), rest),
        ]
    )


def tree_preprocessor(
    table: Table,
    groups: Mapping[str, Sequence[Derived]] = MappingProxyType({}),
    covariates: Sequence[Derived] = (),
    *,
    ordinal: bool = False,
) -> RoundedColumns:
    """For trees: all numbers, categories, derived columns, and features of neighbours, in float32.

    Categories are one column each or, with `ordinal`, numbered in the catalogue's order.

    Gaps stay gaps in the table's own columns. With `covariates` (by which neighbours are found)
    it is fitted with the labels, and holds them: a model with it is as confidential as they are.
    """
    return RoundedColumns(
        [
            ("number", "passthrough", list(table.named("number", features_only=True))),
            *_categories(table, ordinal=ordinal),
            *((name, transformer(each), list(inputs_of(each))) for name, each in groups.items()),
            *([("near", _neighbours(covariates), list(inputs_of(covariates)))] * bool(covariates)),
        ]
    )


def _neighbours(covariates: Sequence[Derived]) -> Pipeline:
    look = FeatureUnion(
        [
            ("statistics", NeighbourStatistics()),
            *((f"{SIMILAR}_{scale}", SimilarRows(scale)) for scale in SCALES),
        ]
    )
    return Pipeline(
        [
            ("derive", transformer(covariates)),
            ("fill", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("look", look),
        ]
    )


def groups_of(preprocess: Any) -> tuple[str, ...]:
    """Groups of features that an unfitted preprocessing step has and that can be left out.

    The table's own columns, as they are or scaled, are in no group.
    """
    return tuple(dict.fromkeys((*_row_groups(preprocess), *neighbour_groups(preprocess))))


def neighbour_groups(preprocess: Any) -> tuple[str, ...]:
    """Groups of features for which an unfitted step keeps training rows and their labels."""
    found: list[str] = []
    for look in _neighbour_steps(preprocess).values():
        found += look.groups if isinstance(look, NeighbourStatistics) else [SIMILAR]
    return tuple(dict.fromkeys(found))


def _row_groups(preprocess: Any) -> dict[str, tuple[Derived, ...]]:
    """Derived columns by the name of their entry, where an entry computes nothing else."""
    return {
        name: columns
        for name, each, _ in getattr(preprocess, "transformers", ())
        if name not in _TABLE_ENTRIES and (columns := derived_columns(each))
    }


def derived_columns(step: Any) -> tuple[Derived, ...]:
    """The derived columns that a step computes, and maybe scales; none where it does other work."""
    if isinstance(step, FunctionTransformer) and step.func is compute:
        return tuple(step.kw_args["columns"])
    if isinstance(step, Pipeline) and not _neighbour_steps(step):
        return tuple(column for _, each in step.steps for column in derived_columns(each))
    return ()


def derived_in(model: Any) -> Iterator[Derived]:
    """Every derived column in the parts of an unfitted pipeline."""
    for each in model.get_params().values():
        if isinstance(each, FunctionTransformer):
            yield from derived_columns(each)


def leave_out(preprocess: Any, groups: Collection[str]) -> None:
    """Drop groups of features from an unfitted preprocessing step, as far as it has them."""
    wanted = set(groups_of(preprocess)) & set(groups)
    if not wanted:
        return
    changes: dict[str, Any] = {name: "drop" for name in _row_groups(preprocess) if name in wanted}
    for path, look in _neighbour_steps(preprocess).items():
        if not isinstance(look, NeighbourStatistics):
            changes |= {path: "drop"} if SIMILAR in wanted else {}
        elif kept := tuple(name for name in look.groups if name not in wanted):
            changes[f"{path}__groups"] = kept
        else:
            changes[path] = "drop"
    preprocess.set_params(**changes)


def _neighbour_steps(preprocess: Any) -> dict[str, NeighbourTransformer]:
    """The transformers of an unfitted step that find neighbours, by the name of their parameter."""
    given = preprocess.get_params() if hasattr(preprocess, "get_params") else {}
    return {name: each for name, each in given.items() if isinstance(each, NeighbourTransformer)}


@contextmanager
def neighbours_in_threads(preprocess: Any, threads: int) -> Iterator[None]:
    """Within the block, `threads` threads search for neighbours; the numbers are the same.

    What is fitted in the block has no more threads after it than it would have had without.
    """
    given = {name: look.n_jobs for name, look in _neighbour_steps(preprocess).items()}
    for look in _neighbour_steps(preprocess).values():
        look.n_jobs = threads
    try:
        yield
    finally:
        for name, look in (
            *_neighbour_steps(preprocess).items(),
            *fitted_neighbour_steps(preprocess).items(),
        ):
            look.n_jobs = given.get(name)


def fitted_neighbour_steps(step: Any, path: str = "") -> dict[str, NeighbourTransformer]:
    """The fitted transformers of a step that find neighbours, by the name of their parameter;
    none before it is fitted."""
    if isinstance(step, NeighbourTransformer):
        return {path: step}
    inside = [
        *((name, each) for name, each, _ in getattr(step, "transformers_", ())),
        *getattr(step, "steps", ()),
        *getattr(step, "transformer_list", ()),
    ]
    return {
        at: look
        for name, each in inside
        for at, look in fitted_neighbour_steps(each, f"{path}__{name}" if path else name).items()
    }


def group_of(feature: str) -> str:
    """The group of a feature, by its full name; "" for a column of the table."""
    entry, *_, name = ("", feature) if "__" not in feature else feature.split("__")
    return _NEIGHBOUR_GROUP.get(name, "" if entry in _TABLE_ENTRIES else entry)


_TABLE_ENTRIES = ("", "number", "category", "remainder")

_NEIGHBOUR_GROUP = {
    **{name: group for group, each in GROUPS.items() for name in each.names(MOST_COVARIATES)},
    **{name: SIMILAR for scale in SCALES for name in similar_names(scale)},
}


def _scaled(derived: Sequence[Derived]) -> Pipeline:
    """Medians fill gaps before anything is derived, as a ratio of a gap is a gap."""
    return Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("derive", transformer(derived)),
            ("fill", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("scale", StandardScaler()),
        ]
    )


def _categories(table: Table, *, ordinal: bool = False) -> list[tuple[str, Any, list[str]]]:
    """One column a category of the catalogue, whatever a fold holds; unknown is all zeros.

    With `ordinal`, the position of each category; unknown and missing ones are gaps.
    """
    names = list(table.named("category", features_only=True))
    encoder: Any = _one_hot(table)
    if ordinal:
        known = [list(table.catalogue[name].categories) for name in names]
        encoder = OrdinalEncoder(
            categories=known, handle_unknown="use_encoded_value", unknown_value=np.nan
        )
    return [("category", encoder, names)] if names else []
