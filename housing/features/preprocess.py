"""Assembles the derived and spatial features into what a model family is given.

Two recipes: `recipe` (imputed, scaled, logs: for anything) and `lean` (raw numbers with gaps
left open: for boosted trees, which need neither). Not here: how a single feature is computed.
Both take frames of `schema.FEATURES` and end in float64 with `get_feature_names_out`.
"""

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from housing.features.derived import LOGS, RATIOS, Derived, inputs_of, transformer
from housing.features.spatial import ClusterSimilarity
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


def lean(seed: int) -> ColumnTransformer:
    """Every number as it is, ratios, cluster similarity, one-hot; NaN stays NaN."""
    return ColumnTransformer(
        [
            ("number", "passthrough", [name for name in FEATURES if name in NUMBERS]),
            ("derived", transformer(RATIOS), list(inputs_of(RATIOS))),
            ("geo", ClusterSimilarity(random_state=seed), list(COORDINATES)),
            ("category", _one_hot(), list(CATEGORIES)),
        ]
    )


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
