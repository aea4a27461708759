"""What the gate's benchmarks share: the rules, and test rows as a run makes them."""

import numpy as np
import pandas as pd

from housing import schema
from housing.evaluation.spatial_se import row_cells
from housing.gate.measure import TestRows

RULES = ("no_regression", "superior", "non_inferior")


def as_test_rows(rows: pd.DataFrame, fresh: np.ndarray | None = None) -> TestRows:
    """A test side with its slices and capped labels; `fresh`: no decision has used them."""
    actual = rows[schema.TARGET].to_numpy()
    slices = {
        f"{grouping.column} {name}": codes == code
        for grouping in schema.TABLE.slices
        for codes in [grouping.codes(rows)]
        for code, name in enumerate(grouping.names())
    }
    capped = actual >= (schema.LABEL_CAP or np.inf)
    return TestRows(1, row_cells(rows), actual, slices, fresh, capped)
