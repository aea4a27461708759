"""A page of a dataset can be made of any table that passed the row rules."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from housing import schema
from housing.quality.description import correlations, describe
from housing.report.data_page import DataPage, as_json, cap_of, label, render
from tests.fixtures.small_settings import landing_rows

ROWS = landing_rows(0, 200)[list(schema.NUMBERS)]
TABLES = {
    "one row": ROWS.head(1),
    "two rows": ROWS.head(2),
    "a constant target": ROWS.assign(**{schema.TARGET: 1e5}),
    "a column without a value": ROWS.assign(total_bedrooms=np.nan),
    "constant columns": ROWS.assign(**dict.fromkeys(schema.NUMBERS, 1.0)),
    "columns that are equal": ROWS.assign(**dict.fromkeys(schema.FEATURES, ROWS[schema.TARGET])),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_page_can_be_made_of(name: str) -> None:
    rows: pd.DataFrame = TABLES[name][list(schema.NUMBERS)]
    found = {column: describe(rows[column], cap_of(column)) for column in rows}
    facts = {column: each for column, each in found.items() if each is not None}
    page = DataPage(
        version=1, created_at=datetime(2026, 1, 1, tzinfo=UTC), rows=len(rows),
        train_rows=len(rows), test_rows=0, batches=["b1"], simulated=True, training=rows,
        facts=facts, categories={}, units=dict.fromkeys(rows, "units"),
        correlations=correlations(rows[list(facts)]), strata=[],
    )  # fmt: skip
    text = render(page)
    assert "SIMULATED" in text
    assert text.count("<svg") == len(facts) + 3  # a histogram each, scatter matrix, map, grid
    columns = as_json(page)["columns"]
    assert set(columns) == set(rows)
    without = [column for column, facts in columns.items() if facts["missing"] == 1]
    assert set(without) == set(rows) - set(facts)
    assert all(f'<th scope="row">{label(column)}</th>' in text for column in rows)
