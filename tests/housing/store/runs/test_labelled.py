"""Labelled predictions in SQL, on both databases: each row of data counts once."""

import numpy as np
import pandas as pd
import pytest

from housing.evaluation.metrics import measure
from housing.keys import KEY_COLUMN
from housing.operations.error_rates import live_errors
from housing.settings import Settings
from housing.store.database.open import open_store
from housing.store.database.tables import utc_now
from housing.store.runs import labelled
from tests.fixtures.run_without_prefect import plain_run
from tests.housing.conftest import Land

pytestmark = pytest.mark.usefixtures("no_report")


def _rows(origin: str, label: np.ndarray, predicted: np.ndarray, *, shadow: bool) -> pd.DataFrame:
    known = not shadow
    return pd.DataFrame(
        {
            "#model": 1, "#shadow": shadow, "#key": np.arange(len(label)) + (1 << 60),
            "#origin": origin, "#batch": 7, "#predicted_at": pd.Timestamp(utc_now()).floor("us"),
            "#predicted": predicted, "#lower": predicted - 3e4 if known else np.nan,
            "#upper": predicted + 3e4 if known else np.nan, "#label": label,
        }
    )  # fmt: skip


def test_live_errors_are_those_of_the_first_label_that_counts(small: Settings, land: Land) -> None:
    land("first.csv")
    plain_run()
    rng = np.random.default_rng(0)
    predicted = rng.uniform(1e5, 4e5, 50)
    first, second = (predicted + rng.normal(0, spread, 50) for spread in (2e4, 9e4))
    with open_store(small) as store:
        with store.write() as connection:
            for frame in (
                _rows("b5", first, predicted, shadow=False),
                _rows("l3", second, predicted, shadow=False),
                _rows("b5", first, predicted + 1e4, shadow=True),
            ):
                labelled.add(connection, 1, frame)
        with store.read() as connection:
            assert set(labelled.origins(connection)) == {"b5", "l3"}
            both, without = live_errors(connection, [], 1), live_errors(connection, ["b5"], 1)
            kept = labelled.of_promotion(connection, 1, 1)
    assert [(e["model"], e["shadow"], e["rows"]) for e in both] == [
        ("m1", False, 50),
        ("m1", True, 50),
    ]
    for error, label in ((both[0], first), (without[0], second)):
        expected = measure(label, predicted, 0.95).rmse
        for name in ("value", "lower", "upper"):
            assert error["rmse"][name] == pytest.approx(getattr(expected, name))
        inside = np.mean(np.abs(label - predicted) <= 3e4)
        assert error["covered"]["value"] == pytest.approx(inside)
    assert both[1]["covered"] is None
    assert len(without) == 1
    assert kept["#label"].tolist() == [*first, *second]


def test_rows_that_err_alike_make_an_interval_no_narrower(small: Settings, land: Land) -> None:
    """Each row twice, which tells nothing new, at a design effect of two."""
    land("first.csv")
    plain_run()
    rng = np.random.default_rng(0)
    predicted = rng.uniform(1e5, 4e5, 50)
    label = predicted + rng.normal(0, 3e4, 50)
    once = _rows("b5", label, predicted, shadow=False)
    again = _rows("b5", label, predicted, shadow=False).assign(**{KEY_COLUMN: range(1000, 1050)})
    with open_store(small) as store, store.write() as connection:
        labelled.add(connection, 1, once)
        (single,) = live_errors(connection, [], 1)
        labelled.add(connection, 1, again)
        (double,) = live_errors(connection, [], 2)
    assert (single["rows"], double["rows"]) == (50, 100)
    for figure in ("rmse", "covered"):
        assert double[figure] == pytest.approx(single[figure])
