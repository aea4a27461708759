"""The reference: Géron, Hands-On Machine Learning, chapter 2, with scikit-learn and nothing else.

Ratio features, logarithms, similarity to clusters of districts, one-hot categories, a random
forest of 100 trees; 10 random draws over the number of clusters and `max_features`, 3 folds.
It imports nothing of this project, so that neither side of a comparison can lean on the other.

    python -m benchmarks reference housing.csv [--n-jobs 2]

Prints the cross-validated RMSE, the test RMSE on the recipe's own split, and the wall time of
search and refit.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import randint
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import root_mean_squared_error
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import RandomizedSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

SEED = 42
TARGET = "median_house_value"


class Similarity(TransformerMixin, BaseEstimator):
    """RBF similarity of coordinates to KMeans centres."""

    def __init__(self, n_clusters=10, random_state=None):
        self.n_clusters = n_clusters
        self.random_state = random_state

    def fit(self, X, y=None):
        """Find the centres."""
        kmeans = KMeans(self.n_clusters, n_init=10, random_state=self.random_state)
        self.kmeans_ = kmeans.fit(X)
        return self

    def transform(self, X):
        """Similarities, shape (n, n_clusters)."""
        return rbf_kernel(X, self.kmeans_.cluster_centers_, gamma=1.0)


def quotient(X):
    """First column over second, shape (n, 1)."""
    return X[:, [0]] / X[:, [1]]


def numbers(function=None):
    """Impute, compute, scale."""
    steps = [SimpleImputer(strategy="median")]
    if function is not None:
        steps.append(FunctionTransformer(function))
    return make_pipeline(*steps, StandardScaler())


def build():
    """The pipeline of the recipe, with its step names: draws are made in the order of names."""
    logs = ["total_bedrooms", "total_rooms", "population", "households", "median_income"]
    preprocess = ColumnTransformer(
        [
            ("bedrooms", numbers(quotient), ["total_bedrooms", "total_rooms"]),
            ("rooms_per_house", numbers(quotient), ["total_rooms", "households"]),
            ("people_per_house", numbers(quotient), ["population", "households"]),
            ("log", numbers(np.log), logs),
            ("geo", Similarity(random_state=SEED), ["longitude", "latitude"]),
            ("category", OneHotEncoder(handle_unknown="ignore"), ["ocean_proximity"]),
            ("number", numbers(), ["housing_median_age"]),
        ]
    )
    return Pipeline(
        [("preprocessing", preprocess), ("random_forest", RandomForestRegressor(random_state=SEED))]
    )


def search(n_jobs):
    """The recipe's random search, unfitted."""
    return RandomizedSearchCV(
        build(),
        {
            "preprocessing__geo__n_clusters": randint(3, 50),
            "random_forest__max_features": randint(2, 20),
        },
        n_iter=10,
        cv=3,
        scoring="neg_root_mean_squared_error",
        random_state=SEED,
        n_jobs=n_jobs,
    )


def split(table):
    """Training and test side: 20 % by income category, seed 42."""
    income = pd.cut(table["median_income"], [0, 1.5, 3.0, 4.5, 6.0, np.inf], labels=False)
    return train_test_split(table, test_size=0.2, stratify=income, random_state=SEED)


def main():
    """One run of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "table",
        type=Path,
        nargs="?",
        default=os.environ.get("HOUSING_CENSUS"),
    )
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args()
    if options.table is None:
        parser.error("name the reference table, or set HOUSING_CENSUS")

    train, test = split(pd.read_csv(options.table))
    started = time.perf_counter()
    found = search(options.n_jobs).fit(train.drop(columns=TARGET), train[TARGET])
    wall = time.perf_counter() - started

    predicted = found.predict(test.drop(columns=TARGET))
    print(f"best draw  {found.best_params_}")
    print(f"CV RMSE    {-found.best_score_:,.0f}")
    print(f"test RMSE  {root_mean_squared_error(test[TARGET], predicted):,.0f}")
    print(f"wall       {wall:.1f} s, search and refit, n_jobs={options.n_jobs}")
