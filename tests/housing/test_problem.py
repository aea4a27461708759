"""A problem is named by HOUSING_PROBLEM; what it may leave out, and what a store keeps of it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from housing import keys
from housing.errors import ProblemDiffers, ProblemInvalid
from housing.evaluation.metrics import measure
from housing.evaluation.spatial_se import independent_rows, spatial_error
from housing.problem import Bins, Column, Levels, Location, Table
from housing.quality import parsing
from housing.schema import PROBLEM, fault_of, load_problem
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.database.tables import dataset_versions, utc_now


def test_a_name_that_is_no_module_is_named_with_the_next_step():
    with pytest.raises(ProblemInvalid, match=r"acme\.prices.*no such module.*PROBLEM = Problem"):
        load_problem("acme.prices")


def test_a_module_without_a_problem_is_named():
    with pytest.raises(ProblemInvalid, match=r"json is no problem: it has no PROBLEM"):
        load_problem("json")


def test_a_missing_import_within_a_problem_is_not_taken_for_a_missing_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "broken_problem.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        load_problem("broken_problem")
    sys.modules.pop("broken_problem", None)


def test_only_a_column_with_the_mark_of_the_system_is_refused():
    columns = (Column("model", "number", "", ""), Column("#key", "number", "", ""))
    table = Table(columns, "model")
    assert "begin with #, as does #key" in fault_of(replace(PROBLEM, table=table, location=None))
    table = Table(columns[:1], "model", id_column="key", time_column="test")
    assert fault_of(replace(PROBLEM, table=table, location=None)) == ""
    table = replace(table, time_column="model")
    assert "has model twice" in fault_of(replace(PROBLEM, table=table, location=None))


def test_a_coordinate_with_the_name_of_a_neighbours_field_is_refused():
    columns = tuple(Column(name, "number", "", "") for name in ("x", "distance", "target"))
    location = Location(("x", "distance"), cell=1.0, kind="planar")
    problem = replace(PROBLEM, table=Table(columns, "target"), location=location)
    assert "has distance beside its coordinates" in fault_of(problem)


def test_a_table_without_a_key_is_identified_by_all_its_features():
    columns = (
        Column("a", "number", "", ""), Column("b", "category", "", "", categories=("x", "y")),
        Column("y", "number", "", ""),
    )  # fmt: skip
    assert Table(columns, "y").key_columns == ("a", "b")
    assert Table(columns, "y", key=("b",)).key_columns == ("b",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "cost"}, "target cost is no column"),
        ({"target": "kind"}, "target kind is no column of numbers"),
        ({"key": ("place",)}, "name place, no columns"),
        ({"strata": (Bins("place", (1.0,)),)}, "name place, no columns"),
        ({"not_above": (("size", "all"),)}, "name all, no columns"),
        ({"columns": (Column("size", "number", "", ""),) * 2, "target": "size"}, "size twice"),
    ],
)
def test_a_table_that_contradicts_itself_is_named(changes, message):
    columns = (
        Column("size", "number", "", ""), Column("kind", "category", "", "", categories=("x",)),
        Column("y", "number", "", ""),
    )  # fmt: skip
    table = replace(Table(columns, "y"), **changes)
    assert message in fault_of(replace(PROBLEM, table=table, location=None))
    assert fault_of(replace(PROBLEM, table=Table(columns, "y"), location=None)) == ""
    assert "location names latitude" in fault_of(replace(PROBLEM, table=Table(columns, "y")))


def test_a_store_of_another_problem_is_refused(home: Path):
    settings = load_settings()
    with open_store(settings) as store, store.write() as connection:
        facts = {"operation": "append", "reason": "", "created_at": utc_now()}
        connection.execute(dataset_versions.insert().values(problem="diamonds", **facts))
    with pytest.raises(ProblemDiffers, match=r"problem diamonds.*HOUSING_PROBLEM is california"):
        open_store(settings)
    assert PROBLEM.name == "california"


def test_each_version_and_model_has_the_name_of_its_problem(home: Path):
    with open_store(load_settings()) as store, store.write() as connection:
        facts = {"operation": "append", "reason": "", "created_at": utc_now()}
        connection.execute(dataset_versions.insert().values(**facts))
        assert connection.execute(sa.select(dataset_versions.c.problem)).scalar() == "california"


@pytest.mark.parametrize("kind", ["category", "exact", "rounded"])
def test_keys_of_categories_and_numbers_are_equal_for_equal_values_only(kind: str):
    column = {
        "category": Column("c", "category", "", "", categories=("x", "y", "z")),
        "exact": Column("c", "number", "", ""),
        "rounded": Column("c", "number", "", "", resolution=0.5),
    }[kind]
    values = pd.Series(
        pd.Categorical(["x", "y", "x", None, None], categories=["x", "y", "z"])
        if kind == "category"
        else [0.1, 7.2, 0.1, np.nan, np.nan]
    )
    words = keys._words(values, column)
    assert words[0] == words[2]
    assert words[3] == words[4]
    assert len({int(word) for word in words}) == 3


@pytest.mark.parametrize("resolution", [None, 0.5])
def test_the_key_of_a_row_does_not_depend_on_gaps_in_other_rows(resolution: float | None):
    column = Column("c", "number", "", "", nullable=True, resolution=resolution)
    values = pd.Series([1.5, np.nan, 1e12, -2.0])
    together = keys._words(values, column)
    alone = [keys._words(values[i : i + 1], column)[0] for i in range(len(values))]
    assert together.tolist() == alone


def test_zero_and_minus_zero_are_one_key():
    column = Column("c", "number", "", "")
    words = keys._words(pd.Series([0.0, -0.0]), column)
    assert words[0] == words[1]


def test_a_column_may_have_hundreds_of_categories():
    known = tuple(f"c{i}" for i in range(500))
    codes, missing, unknown = parsing.categories(pd.Series(["c499", "c130", "no"]), known)
    assert codes.tolist() == [499, 130, -1]
    assert unknown.tolist() == [False, False, True]
    assert not missing.any()


def test_rows_without_a_location_are_independent():
    """The standard error of a mean is that of independent rows, to the last digits."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=400)
    found = spatial_error(values - values.mean(), independent_rows(400))
    assert found.se == pytest.approx(values.std(ddof=1) / 20, rel=1e-9)
    assert found.cells == 400
    truth = rng.uniform(1, 2, 400)
    whole = measure(truth, truth + values, where=independent_rows(400))
    assert whole.rmse_independent is not None
    assert whole.rmse.value == whole.rmse_independent.value


def test_planar_coordinates_are_distances_already():
    x, y = np.array([0.0, 3.0]), np.array([0.0, 4.0])
    flat = Location(("x", "y"), cell=1.0, kind="planar", unit="m").flat(x, y)
    assert np.hypot(*(flat[1] - flat[0])) == pytest.approx(5.0)
    degrees = Location(("x", "y"), cell=0.1, middle_latitude=60.0)
    east, north = degrees.flat(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert east[0] == pytest.approx(111.2 / 2)
    assert north[1] == pytest.approx(111.2)


def test_groups_name_and_count_their_rows():
    frame = pd.DataFrame({"n": [0.0, 1.0, 5.0], "c": ["x", "y", "y"]})
    assert Bins("n", (1.0, 2.0)).codes(frame).tolist() == [0, 0, 2]
    assert Levels("c", ("x", "y")).codes(frame).tolist() == [0, 1, 1]


def test_a_command_names_a_problem_that_cannot_be_used_in_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "status"],
        env={**os.environ, "HOUSING_PROBLEM": "acme.prices"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "HOUSING_PROBLEM=acme.prices is no problem: there is no such module" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "unit", "beside", "written"),
    [
        ("total_rooms", "rooms", "", "1,234.5"),
        ("premium", "m", "m", "1,234.5 m"),
        ("count", "", "", "1,234.5"),
        ("income", "1,000 dollars a year", "1,000 dollars a year", "1,234,500 dollars a year"),
        ("odds", "10", "10", "1,234.5 10"),
    ],
)
def test_a_unit_is_written_once(name, unit, beside, written):
    column = Column(name, "number", unit, "")
    assert (column.unit_beside, column.written(1234.5)) == (beside, written)


def test_a_coordinate_names_its_direction_instead_of_a_sign():
    globe, plan = Location(("x", "y"), 1), Location(("x", "y"), 1, kind="planar", unit="m")
    assert [globe.written("x", v) for v in (-122.23, 13.4)] == ["122.23° W", "13.4° E"]
    assert [globe.written("y", v) for v in (-33.9, 37.88)] == ["33.9° S", "37.88° N"]
    assert plan.written("x", -3.5) == "\N{MINUS SIGN}3.5 m"
