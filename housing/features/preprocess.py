"""Assembles the derived and spatial features into what a model family is given.

`reference_preprocessor` imputes and scales, for any model; `spatial_preprocessor` adds features of
neighbouring districts and leaves gaps, for trees. Not here: how a single feature is computed. Both
take frames of `schema.FEATURES` and end in float64 with `get_feature_names_out`.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from housing.features.derived import (
    COVARIATES,
    DISTANCES,
    LOGS,
    RATIOS,
    ROTATIONS,
    Derived,
    inputs_of,
    transformer,
)
from housing.features.neighbours import (
    NeighbourStatistics,
    NeighbourTransformer,
    SimilarDistricts,
    similar_names,
)
from housing.features.spatial import ClusterSimilarity
from housing.features.statistics import GROUPS
from housing.schema import CATALOGUE, CATEGORIES, COORDINATES, FEATURES, NUMBERS


def reference_preprocessor(seed: int) -> ColumnTransformer:
    """The reference recipe: ratios, logs, cluster similarity, one-hot, scaled numbers."""
    covered = {*inputs_of((*RATIOS, *LOGS)), *COORDINATES}
    rest = [name for name in FEATURES if name in NUMBERS and name not in covered]
    return ColumnTransformer(
        [
            ("ratios", _scaled(RATIOS), list(inputs_of(RATIOS))),
            ("logs", _scaled(LOGS), list(inputs_of(LOGS))),
            ("geo", ClusterSimilarity(random_state=seed), list(COORDINATES)),
            ("category", _one_hot(), list(CATEGORIES)),
            (
                "number",
                make_pipeline(
                    SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
                ),
                rest,
            ),
        ]
    )


SIMILAR = "similar"
SCALES = (10, 30)

ROW_GROUPS: Mapping[str, tuple[Derived, ...]] = {
    "ratios": RATIOS,
    "rotations": ROTATIONS,
    "distances": DISTANCES,
}
"""Groups of features that depend on the row alone."""

COLUMNS: tuple[Derived, ...] = (
    *COVARIATES,
    *LOGS,
    *(column for columns in ROW_GROUPS.values() for column in columns),
)
"""Every derived column that a model may hold."""

FEATURE_GROUPS = (*ROW_GROUPS, *GROUPS, SIMILAR)
"""Groups of `spatial_preprocessor` that can be left out; the table's own columns cannot."""


def spatial_preprocessor(_seed: int) -> ColumnTransformer:
    """All numbers unchanged, derived columns, and features of neighbouring districts.

    Gaps stay gaps in the table's own columns. It is fitted with the labels, and holds them: a model
    with it is as confidential as they are.
    """
    look = FeatureUnion(
        [
            ("statistics", NeighbourStatistics()),
            *((f"{SIMILAR}_{scale}", SimilarDistricts(scale)) for scale in SCALES),
        ]
    )
    near = Pipeline(
        [
            ("derive", transformer(COVARIATES)),
            ("fill", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("look", look),
        ]
    )
    return ColumnTransformer(
        [
            ("number", "passthrough", [name for name in FEATURES if name in NUMBERS]),
            ("category", _one_hot(), list(CATEGORIES)),
            *(
                (name, transformer(derived), list(inputs_of(derived)))
                for name, derived in ROW_GROUPS.items()
            ),
            ("near", near, list(inputs_of(COVARIATES))),
        ]
    )


def groups_of(preprocess: Any) -> frozenset[str]:
    """The names of FEATURE_GROUPS that an unfitted preprocessing step has features of."""
    transformers = getattr(preprocess, "transformers", ())
    entries = {name for name, each, _ in transformers if not isinstance(each, str)}
    found = {name for name in ROW_GROUPS if name in entries}
    for look in _neighbour_steps(preprocess).values():
        found |= set(look.groups) if isinstance(look, NeighbourStatistics) else {SIMILAR}
    return frozenset(found)


def leave_out(preprocess: Any, groups: Collection[str]) -> None:
    """Drop groups of FEATURE_GROUPS from an unfitted preprocessing step, as far as it has them."""
    wanted = groups_of(preprocess) & set(groups)
    if not wanted:
        return
    changes: dict[str, Any] = {name: "drop" for name in ROW_GROUPS if name in wanted}
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
    """The group to which a feature of `spatial_preprocessor` belongs; "" for a column's."""
    return _GROUP_OF.get(feature.split("__")[-1], "")


_GROUP_OF = {
    **{derived.name: group for group, all_ in ROW_GROUPS.items() for derived in all_},
    **{name: group for group, each in GROUPS.items() for name in each.names(len(COVARIATES) - 2)},
    **{name: SIMILAR for scale in SCALES for name in similar_names(scale)},
}


def _scaled(derived: tuple[Derived, ...]) -> Pipeline:
    """Medians fill gaps before anything is derived, as a ratio of a gap is a gap."""
    return Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("derive", transformer(derived)),
            ("fill", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("scale", StandardScaler()),
        ]
    )


def _one_hot() -> OneHotEncoder:
    """One column a catalogue category, whatever a fold happens to hold; unknown is all zeros."""
    return OneHotEncoder(
        categories=[list(CATALOGUE[name].categories) for name in CATEGORIES],
        handle_unknown="ignore",
        sparse_output=False,
    )
