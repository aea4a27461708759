"""`housing problem new` guesses a package from a file; it can be imported and edited."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from deployments.cli.main import app
from housing.errors import NotPossible
from housing.operations.problem_draft import write_draft
from housing.problem import Problem
from housing.schema import load_problem

N = 400
ROOT = Path(__file__).parents[3]


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    size = rng.uniform(10, 100, N)
    return pd.DataFrame(
        {
            "order_id": [f"A{i:05d}" for i in range(N)],
            "size": size,
            "kind": rng.choice(["new", "used", "it's"], N),
            "open": rng.choice([True, False], N),
            "sold_on": pd.date_range("2024-01-01", periods=N).strftime("%Y-%m-%d"),
            "note": rng.choice(["a text", None], N),
            "gap": np.where(rng.uniform(size=N) < 0.2, np.nan, rng.normal(size=N)),
            "always": 1,
            "model": rng.normal(size=N),
            "cost": size * 3 + rng.normal(size=N),
        }
    )


def drafted(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str = "orders"
) -> Problem:
    file = tmp_path / "orders.csv"
    table.to_csv(file, index=False)
    write_draft(file, "cost", name, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        return load_problem(name)
    finally:
        sys.modules.pop(name, None)  # the next draft has the same name


def test_the_kind_of_each_column_is_recognised(table, tmp_path, monkeypatch):
    problem = drafted(table, tmp_path, monkeypatch)
    found = {column.name: column for column in problem.table.columns}
    assert list(found) == ["size", "kind", "open", "gap", "model", "cost"], (
        "others have one value or are text"
    )
    assert (problem.table.id_column, problem.table.time_column) == ("order_id", "sold_on")
    assert found["kind"].categories == ("it's", "new", "used")
    assert found["open"].categories == ("False", "True")
    assert found["gap"].nullable
    assert not found["size"].nullable
    assert found["size"].minimum == 0
    assert found["gap"].minimum is not None
    assert found["gap"].minimum < -2
    assert problem.table.positive == (table["cost"].min() > 0)
    assert problem.table.strata[0].column == "size", "the most predictive number"
    assert problem.name == "orders"


NAMES = {
    "size": "Size (m²)", "kind": "groups", "open": 'said "open"', "gap": " 2nd gap ",
    "note": "class", "order_id": "id", "sold_on": "at",
}  # fmt: skip


def test_a_column_may_have_any_name(table, tmp_path, monkeypatch):
    names = {**NAMES, "always": "GROUPS", "model": "Größe\\n"}
    rows = table.assign(always=table["kind"])
    plain = drafted(rows, tmp_path, monkeypatch)
    (tmp_path / "other").mkdir()
    problem = drafted(rows.rename(columns=names), tmp_path / "other", monkeypatch, "others")
    renamed = [names.get(column.name, column.name).strip() for column in plain.table.columns]
    assert [column.name for column in problem.table.columns] == renamed
    categories = [column.categories for column in plain.table.columns]
    assert [column.categories for column in problem.table.columns] == categories
    assert (problem.table.id_column, problem.table.time_column) == ("id", "at")


def test_a_column_with_the_mark_of_the_system_is_left_out_and_named(table, tmp_path):
    table.rename(columns={"gap": "#gap"}).to_csv(tmp_path / "orders.csv", index=False)
    draft = write_draft(tmp_path / "orders.csv", "cost", "orders", tmp_path)
    assert any(note.startswith("#gap is left out") for note in draft.notes)


def test_every_row_of_the_file_is_within_the_guessed_ranges(table, tmp_path, monkeypatch):
    problem = drafted(table, tmp_path, monkeypatch)
    for column in problem.table.columns:
        values = table[column.name].dropna()
        if column.kind == "number":
            assert column.minimum is not None
            assert column.maximum is not None
            assert values.between(column.minimum, column.maximum).all()
        else:
            assert set(values.astype(str)) <= set(column.categories)


def test_the_package_is_one_short_module_with_the_families_of_the_template(
    table, tmp_path, monkeypatch
):
    problem = drafted(table, tmp_path, monkeypatch)
    (module,) = (tmp_path / "orders").glob("*.py")
    assert len(module.read_text().splitlines()) <= 60
    assert problem.models == "housing.problems.template.models"


def test_a_package_is_drafted_while_its_name_is_already_that_of_the_problem(table, tmp_path):
    """A shell keeps HOUSING_PROBLEM after its package is deleted to be drafted once more."""
    table.to_csv(tmp_path / "orders.csv", index=False)
    command = ["problem", "new", str(tmp_path / "orders.csv"), "--target", "cost"]
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", *command, "--to", str(tmp_path)],
        env=os.environ | {"HOUSING_PROBLEM": "orders", "PYTHONPATH": str(tmp_path)},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "orders" / "__init__.py").exists()


@pytest.mark.parametrize(
    ("target", "name", "message"),
    [
        ("kind", "orders", r"kind is no column of numbers in orders\.csv; these are: size"),
        ("nothing", "orders", "nothing is no column"),
        ("cost", "my-orders", "letters, digits and underscores"),
        ("cost", "class", "letters, digits and underscores"),
        ("cost", "statistics", "Python has a module of that name"),
    ],
)
def test_a_table_that_cannot_be_drafted_is_named_and_no_file_is_written(
    table, tmp_path, target, name, message
):
    table.to_csv(tmp_path / "orders.csv", index=False)
    with pytest.raises(NotPossible, match=message):
        write_draft(tmp_path / "orders.csv", target, name, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["orders.csv"]


def test_a_package_that_is_there_is_not_written_over(table, tmp_path, monkeypatch):
    drafted(table, tmp_path, monkeypatch)
    with pytest.raises(NotPossible, match="exists already; give another --name"):
        write_draft(tmp_path / "orders.csv", "cost", "orders", tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\xff", b"\n\n"])
def test_a_file_that_is_no_table_is_named(tmp_path, content):
    (tmp_path / "junk.csv").write_bytes(content)
    with pytest.raises(NotPossible, match=r"junk\.csv"):
        write_draft(tmp_path / "junk.csv", "cost", "junk", tmp_path)


def test_rows_with_the_same_inputs_are_counted_where_nothing_identifies_a_row(table, tmp_path):
    rows = table[["kind", "open", "cost"]]
    rows.to_csv(tmp_path / "orders.csv", index=False)
    draft = write_draft(tmp_path / "orders.csv", "cost", "orders", tmp_path)
    assert any("same inputs as another row" in note for note in draft.notes)


@pytest.mark.parametrize(("scale", "decimals"), [(1e4, 0), (100.0, 1), (0.1, 4)])
def test_an_error_of_a_tenth_of_the_spread_has_three_digits(
    table, tmp_path, monkeypatch, scale, decimals
):
    spread = table["cost"] / table["cost"].std() * 1.5 * scale
    problem = drafted(table.assign(cost=spread), tmp_path, monkeypatch)
    assert problem.amount.decimals == decimals


def test_a_column_that_nearly_is_the_target_is_named(table, tmp_path):
    table.assign(paid=table["cost"] * 1.2).to_csv(tmp_path / "orders.csv", index=False)
    draft = write_draft(tmp_path / "orders.csv", "cost", "orders", tmp_path)
    close = {note.split()[0] for note in draft.notes if "follows cost closely" in note}
    assert close == {"paid", "size"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_model_of_a_target_near_zero_can_be_promoted_with_any_family(tmp_path):
    """One that would predict zero or less is held in the range of the target."""
    rng = np.random.default_rng(1)
    x, noise = rng.uniform(0, 1, (2, N))
    kind = rng.choice(["a", "b"], N)
    rows = pd.DataFrame({"x": x, "z": rng.normal(size=N), "kind": kind})
    rows["cost"] = np.where(x < 0.5, 0.01, 1.0 + 300 * noise).round(2)
    file = tmp_path / "orders.csv"
    rows.to_csv(file, index=False)
    write_draft(file, "cost", "orders", tmp_path)

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deployments.cli", "problem", "check", str(file)],
            env=os.environ
            | {"HOUSING_PROBLEM": "orders", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = check()
    assert done.returncode == 0, done.stdout
    module = tmp_path / "orders" / "__init__.py"
    lines = module.read_text().splitlines(keepends=True)
    module.write_text("".join(line for line in lines if "default_family" not in line))
    done = check()
    assert done.returncode == 0, done.stdout
    assert "boosting was searched" in " ".join(done.stdout.split())


def test_each_next_command_is_on_its_own_line(table, tmp_path):
    folder = tmp_path / ("a" * 60) / ("b" * 60)
    folder.mkdir(parents=True)
    file = folder / "orders.csv"
    table.to_csv(file, index=False)
    done = CliRunner().invoke(
        app, ["problem", "new", str(file), "--target", "cost", "--to", str(folder)]
    )
    assert done.exit_code == 0, done.output
    lines = [line.strip() for line in done.output.splitlines()]
    assert f"export HOUSING_PROBLEM=orders PYTHONPATH={folder}" in lines
    assert f"housing problem check {file}" in lines
