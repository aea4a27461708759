"""Assembles the derived and spatial features into what a model family is given.

Two recipes: `recipe` (imputed, scaled, logs: for anything) and `neighbourhood` (all that is known
of a district and those around it, gaps left open: for trees). Not here: how a single feature is
computed. Both take frames of `schema.FEATURES` and end in float64 with `get_feature_names_out`.
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
from housing.features.neighbours import NeighbourStatistics, SimilarDistricts, similar_names
from housing.features.spatial import ClusterSimilarity
from housing.features.statistics import GROUPS
from housing.schema import CATALOGUE, CATEGORIES, COORDINATES, FEATURES, NUMBERS


def recipe(seed: int) -> ColumnTransformer:
    """The reference recipe: ratios, logs, cluster similarity, one-hot, scaled numbers."""
    derived = (*RATIOS, *LOGS)
    covered = {*inputs_of(derived), *COORDINATES}
    rest = [name for name in FEATURES if name in NUMBERS and name not in covered]
    return ColumnTransformer(
        [
            ("derived", _scaled(derived), list(inputs_of(derived))),
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
"""Groups of features that a row has by itself."""

FEATURE_GROUPS = (*ROW_GROUPS, *GROUPS, SIMILAR)
"""Groups of `neighbourhood` that can be left out; the table's own columns cannot."""


def neighbourhood(_seed: int) -> ColumnTransformer:
    """Every number as it is, what follows from it, and what neighbouring districts say.

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


def leave_out(preprocess: Any, groups: Collection[str]) -> None:
    """Drop groups of FEATURE_GROUPS from an unfitted `neighbourhood`; others have none of them."""
    if not groups or not has_groups(preprocess):
        return
    changes: dict[str, Any] = {name: "drop" for name in ROW_GROUPS if name in groups}
    kept = tuple(name for name in GROUPS if name not in groups)
    if kept:
        changes["near__look__statistics__groups"] = kept
    else:
        changes["near__look__statistics"] = "drop"
    if SIMILAR in groups:
        changes |= {f"near__look__{SIMILAR}_{scale}": "drop" for scale in SCALES}
    preprocess.set_params(**changes)


@contextmanager
def in_threads_of(preprocess: Any, threads: int) -> Iterator[None]:
    """Neighbours are looked up by so many threads in the block; the numbers are the same.

    What is fitted in the block has no more threads after it than it would have had without.
    """
    given = preprocess.get_params() if has_groups(preprocess) else {}
    looks = ("statistics", *(f"{SIMILAR}_{scale}" for scale in SCALES))
    names = [name for look in looks if (name := f"near__look__{look}__n_jobs") in given]
    if not names:
        yield
        return
    preprocess.set_params(**dict.fromkeys(names, threads))
    try:
        yield
    finally:
        preprocess.set_params(**{name: given[name] for name in names})
        for name, look in fitted_looks(preprocess):
            look.set_params(n_jobs=given[f"near__look__{name}__n_jobs"])


def fitted_looks(preprocess: Any) -> list[tuple[str, Any]]:
    """The transformers of a `neighbourhood` that find neighbours, by name; none before it is
    fitted."""
    near = getattr(preprocess, "named_transformers_", {}).get("near", "drop")
    looks = [] if near == "drop" else near["look"].transformer_list
    return [(name, look) for name, look in looks if look != "drop"]


def has_groups(preprocess: Any) -> bool:
    """Whether a pipeline's first step is a `neighbourhood`."""
    return "near" in {name for name, *_ in getattr(preprocess, "transformers", ())}


def group_of(feature: str) -> str:
    """The group to which a feature of `neighbourhood` belongs, by its name; "" for a column's."""
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
