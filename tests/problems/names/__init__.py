"""The diamonds with columns of noise, under plain names and under names that the system uses too.

`tests.problems.names.plain` and `tests.problems.names.clashing` are the two problems.
"""

import numpy as np
import pandas as pd

from tests.problems.tables import diamonds

NOISE = tuple(f"noise_{i}" for i in range(12))
CLASHING = {
    "diamond_id": "predicted", "recorded_at": "at", "carat": "key", "cut": "model",
    "color": "origin", "clarity": "label", "depth": "error", "table": "test", "price": "challenger",
    "x": "lower", "y": "upper (mm)", "z": "champion",
} | dict(
    zip(
        NOISE,
        ("batch", "extrapolates", "id", "labelled_at", "other", "outside", "picked_for",
         "prediction", "seq", "shadow_model", "shadow_predicted", "shadow predicted"),
        strict=True,
    )
)  # fmt: skip
"""A clashing name for each plain one."""


def plain_names() -> pd.DataFrame:
    """The diamonds with columns of noise."""
    rows = diamonds()
    rng = np.random.default_rng(5)
    return rows.assign(**{name: rng.normal(size=len(rows)).round(3) for name in NOISE})


def clashing_names() -> pd.DataFrame:
    """The same rows under the other names."""
    return plain_names().rename(columns=CLASHING)


NAMED_TABLES = {"plain_names": plain_names, "clashing_names": clashing_names}
