"""Model cards and exports: true figures, words for people, nothing that cannot be checked."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skops.io

from housing import schema
from housing.errors import NotPossible, UnknownId
from housing.operations import export as exports
from housing.operations.export import export
from housing.pipeline.model_card import collect, write
from housing.report.card import markdown, what_to_expect
from housing.settings import Settings
from housing.store.data.segments import get_table
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import registry
from tests.housing.serving.conftest import only_settings, running


@pytest.fixture
def seen(populated_home: Path, tmp_path: Path) -> Iterator[Settings]:
    home = tmp_path / "home"
    shutil.copytree(populated_home, home)
    with only_settings(home) as settings:
        yield settings


@pytest.fixture
def opened(seen: Settings) -> Iterator[Store]:
    with open_store(seen) as store:
        yield store


def test_a_card_has_the_figures_that_the_gate_measured(opened: Store) -> None:
    facts = collect(opened, 2)
    with opened.read() as connection:
        evaluation = registry.newest_evaluation(connection, 2)
    assert evaluation is not None
    assert facts.metrics is not None
    measured = evaluation.evidence["challenger"]["metrics"]
    assert facts.metrics.rmse.value == pytest.approx(measured["rmse"]["value"])
    assert facts.metrics.within_10 == pytest.approx(measured["within_10"])
    assert facts.role == "champion"
    assert collect(opened, 1).role == "former champion"


def test_a_card_speaks_to_people(seen: Settings, opened: Store) -> None:
    text, page = (Path(path).read_text() for path in write(opened, seen, 2)[:2])
    assert "of 100 predictions" in text
    assert "## Intended use" in text
    assert "not for lending" in text
    assert "median absolute error" in text
    assert text.count("| income") == 0 or "median income" in text
    assert "<table>" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_card_has_the_range_or_the_categories_of_each_input(opened: Store) -> None:
    facts = collect(opened, 2)
    rows = {
        line.split("|")[1].strip(): line.split("|")[3].strip()
        for line in markdown(facts).partition("| field |")[2].partition("\n\n")[0].splitlines()[2:]
    }
    assert list(rows) == [schema.CATALOGUE[name].label for name in schema.FEATURES]
    low, high = facts.ranges["population"]
    assert rows["population"] == f"{low:,.6g} to {high:,.6g}"
    assert rows["ocean proximity"] == ", ".join(facts.seen["ocean_proximity"])
    many = replace(facts, seen={"ocean_proximity": tuple(f"c{i}" for i in range(40))})
    assert "c10, c11 and 28 more |" in markdown(many)


def test_slices_are_escaped_and_counted(opened: Store) -> None:
    facts = collect(opened, 2)
    by_column: dict[str, int] = {}
    for part in facts.slices:
        by_column[part.column] = by_column.get(part.column, 0) + part.rows
        assert part.error.lower <= part.error.value <= part.error.upper
    assert all(rows <= facts.test_rows for rows in by_column.values())


def test_the_card_explains_the_worst_and_the_typical_predictions(opened: Store) -> None:
    facts = collect(opened, 2)
    assert facts.metrics is not None
    assert facts.median_error is not None
    worst = [e for e in facts.examples if e.worst]
    typical = [e for e in facts.examples if not e.worst]
    assert len(worst) == len(typical) == 10
    with opened.read() as connection:
        row = registry.newest_evaluation(connection, 2)
    assert row is not None
    kept = get_table(opened, row.predictions).to_pandas()
    size = (kept[schema.TARGET] - kept[schema.CHALLENGER]).abs().sort_values(ascending=False)
    assert [abs(e.actual - e.predicted) for e in worst] == pytest.approx(list(size[:10]))
    away = [abs(abs(e.actual - e.predicted) - facts.median_error) for e in typical]
    assert max(away) <= (size - facts.median_error).abs().sort_values().iloc[19]
    for example in facts.examples:
        assert len(example.contributions) == len(example.neighbours) == 3
        assert example.neighbours == sorted(example.neighbours, key=lambda near: near[1])
    text = what_to_expect(facts)
    assert "The 10 largest errors" in text
    assert "Fairness" in text
    assert text.count('<table class="stack">') == 2
    rows = text.count("<tr>") - 2
    labels = (
        "price",
        "predicted",
        "largest contributions",
        "nearest training districts (distance)",
    )
    assert [text.count(f'data-label="{label}"') for label in labels] == [rows] * 4


def test_groups_are_compared_with_all_other_rows(opened: Store) -> None:
    facts = collect(opened, 2)
    names = {(group.column, level) for group in schema.TABLE.strata for level in group.names()}
    assert {(s.column, s.name) for s in facts.slices} & names
    for part in facts.slices:
        assert part.against_rest is not None
        assert part.against_rest.lower < part.against_rest.value < part.against_rest.upper


def test_the_server_shows_the_card_once_it_is_written(seen: Settings, opened: Store) -> None:
    (seen.home / "reports" / "card-m2.html").unlink(missing_ok=True)  # another test's, if any
    with running(seen) as client:
        assert "housing card m2" in client.get("/model/card").json()["detail"]
        write(opened, seen, 2)
        answer = client.get("/model/card")
        assert answer.status_code == 200
        assert "Model card of m2" in answer.text
        assert answer.content == (seen.home / "reports" / "card-m2.html").read_bytes()


def test_a_model_that_is_not_there_has_no_card(seen: Settings, opened: Store) -> None:
    with pytest.raises(UnknownId, match="m99"):
        write(opened, seen, 99)


def test_an_export_gives_the_same_numbers_elsewhere(opened: Store, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export(opened, 2, "skops", folder)
    facts = json.loads((folder / "model.json").read_text())
    model = skops.io.load(folder / "model.skops", trusted=facts["trusted_types"])
    rows = pd.read_csv(folder / "check.csv").astype(schema.dtypes(schema.FEATURES))
    names = [feature["name"] for feature in facts["features"]]
    assert model.predict(rows[names]) == pytest.approx(rows["prediction"].to_numpy(), rel=1e-9)


def test_an_export_to_onnx_says_what_the_server_says(
    seen: Settings, opened: Store, tmp_path: Path
) -> None:
    """ONNX Runtime alone, by model.json and check.csv, as a program in another language would."""
    folder = tmp_path / "out"
    export(opened, 2, "onnx", folder)
    facts = json.loads((folder / "model.json").read_text())
    rows = pd.read_csv(folder / "check.csv")
    given = {
        each["name"]: rows[each["name"]].fillna("").astype(object).to_numpy()[:, None]
        if each["categories"]
        else rows[each["name"]].to_numpy(dtype=np.float64)[:, None]
        for each in facts["features"]
    }
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (found,) = session.run(None, given)
    assert found == pytest.approx(rows["prediction"].to_numpy(), rel=1e-9)
    asked = json.loads(rows[list(schema.FEATURES)].to_json(orient="records"))
    with running(seen) as client:
        answers = client.post("/predict", json={"rows": asked}).json()["predictions"]
    assert [answer["predicted"] for answer in answers] == pytest.approx(found.tolist(), rel=1e-9)


def test_an_export_of_another_kind_is_not_written(opened: Store, tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match="it is skops, onnx or web"):
        export(opened, 2, "pickle", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(opened: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(NotPossible, match="not empty"):
        export(opened, 2, "skops", tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mine"]


def test_two_exports_never_share_a_folder(
    opened: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one is whole before the first one has written its first file."""
    real, folder = exports.write_page, tmp_path / "out"

    def second_first(path: Path, data: bytes) -> None:
        monkeypatch.setattr(exports, "write_page", real)
        export(opened, 1, "skops", folder)
        real(path, data)

    monkeypatch.setattr(exports, "write_page", second_first)
    with pytest.raises(NotPossible, match="Name another"):
        export(opened, 2, "skops", folder)
    assert "m1" in (folder / "model.json").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out"]
