"""What a stored model may be made of: the types that are loaded beside scikit-learn's own.

A new feature or estimator whose objects end up in a fitted model gets its line here. Everything
else is refused when a model is stored, and again when one is loaded.
"""

TRUSTED_TYPES: tuple[str, ...] = (
    # ours: transformers, and the pure functions that derived columns are made by
    "housing.features.derived.Derived",
    "housing.features.derived._names",
    "housing.features.derived.as_it_is",
    "housing.features.derived.compute",
    "housing.features.derived.distance_to",
    "housing.features.derived.east",
    "housing.features.derived.log_count",
    "housing.features.derived.log_income",
    "housing.features.derived.log_ratio",
    "housing.features.derived.ratio",
    "housing.features.derived.rotated",
    "housing.features.neighbours.NeighbourStatistics",
    "housing.features.neighbours.SimilarDistricts",
    "housing.features.spatial.ClusterSimilarity",
    "housing.store.packed_trees.PackedTrees",
    # an optional family's: its trees are text within
    "collections.OrderedDict",
    "collections.defaultdict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMRegressor",
    # Python's: only of functions that are trusted themselves
    "functools.partial",
    # what skops leaves to its users although it is data: arrays, trees, a dict with attributes
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
