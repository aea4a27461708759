"""Exports without target values of training rows, and as a page that predicts in a browser."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from onnx import numpy_helper

from housing import schema
from housing.errors import NotPossible
from housing.operations.export import export
from housing.operations.public_model import public_model
from housing.pipeline.train import refit, training_side
from housing.settings import Settings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.database.tables import models
from housing.store.models import artifacts, registry
from housing.store.objects.recording import record_blob
from housing.training.candidates import BASELINES
from tests.browser.chromium import a_browser
from tests.housing.serving.conftest import champion_home as champion_home
from tests.housing.serving.conftest import only_settings, running
from tests.housing.serving.conftest import own_home as own_home
from tests.housing.serving.conftest import own_store as own_store

FEATURES = list(schema.FEATURES)
RUNTIME = Path(__file__).parents[3] / "build" / "node_modules" / "onnxruntime-web"


@pytest.fixture
def settings(own_home: Path) -> Iterator[Settings]:
    with only_settings(own_home) as found:
        yield found


@pytest.fixture
def boosted(own_store: Store, settings: Settings) -> Store:
    """A store whose champion is a boosted model with neighbour features."""
    candidate = {"index": 0, "family": "boosting", "parameters": {"model__max_iter": 20}}
    members = [{"candidate": candidate, "seed": 0}]
    this = models.update().where(models.c.id == 2)
    with own_store.write() as connection:
        connection.execute(this.values(members=members, family="boosting"))
        row = registry.model(connection, 2)
    X, y = training_side(datasets.read(own_store, row.version))
    fitted = refit(own_store, row, X, y, settings)
    rows = X.iloc[:20]
    stored = (
        artifacts.put_model(own_store, fitted),
        artifacts.put_golden(own_store, rows, fitted.predict(rows)),
    )
    with own_store.write() as connection:
        artifact, golden = (
            record_blob(connection, blob, kind)
            for blob, kind in zip(stored, ("model", "golden"), strict=True)
        )
        connection.execute(this.values(artifact=artifact, golden=golden))
    return own_store


def _labels_in(path: Path, labels: set[float]) -> int:
    """Numbers of a graph's constants that are target values of training rows."""
    found = 0
    for constant in onnx.load(path).graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype == np.float64 and values.size >= 100:
            found += int(np.isin(values.ravel(), list(labels)).sum())
    return found


def test_a_public_model_holds_no_target_values_and_its_cost_is_stated(
    boosted: Store, tmp_path: Path
) -> None:
    with boosted.read() as connection:
        row = registry.model(connection, 2)
    frame = datasets.read(boosted, row.version)
    labels = set(datasets.training_rows(frame)[schema.TARGET])
    export(boosted, 2, "onnx", tmp_path / "own")
    done = export(boosted, 2, "onnx", tmp_path / "public", public=True)
    assert _labels_in(tmp_path / "own" / "model.onnx", labels) > 100
    assert _labels_in(tmp_path / "public" / "model.onnx", labels) == 0
    test = datasets.test_rows(frame)
    assert f"On {len(test):,} test rows its RMSE is " in done.notice
    facts = json.loads((tmp_path / "public" / "model.json").read_text())
    assert facts["model"]["left_out"]
    assert facts["interval"] is None
    assert done.notice in facts["how"]
    check = pd.read_csv(tmp_path / "public" / "check.csv")
    given = {
        each["name"]: check[each["name"]].fillna("").astype(object).to_numpy()[:, None]
        if each["categories"]
        else check[each["name"]].to_numpy(dtype=np.float64)[:, None]
        for each in facts["features"]
    }
    session = onnxruntime.InferenceSession(tmp_path / "public" / "model.onnx")
    used = {each.name for each in session.get_inputs()}
    (found,) = session.run(None, {name: each for name, each in given.items() if name in used})
    assert found == pytest.approx(check["prediction"].to_numpy(), rel=1e-9)


def test_what_keeps_single_rows_is_refused_and_what_keeps_none_is_exported_as_it_is(
    own_store: Store, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(NotPossible, match="leaves of one training row"):
        export(own_store, 2, "onnx", tmp_path / "out", public=True)
    with pytest.raises(NotPossible, match="only onnx and web"):
        export(own_store, 2, "skops", tmp_path / "out", public=True)
    with own_store.read() as connection:
        row = registry.model(connection, 2)
    X, y = training_side(datasets.read(own_store, row.version))
    fitted = BASELINES["linear"].build(0).fit(X, y)
    found = public_model(own_store, settings, row, fitted)
    assert found.model is fitted
    assert "exported as it is" in found.message


def test_a_page_needs_onnxruntime_web_and_names_how_to_get_it(
    own_store: Store, tmp_path: Path
) -> None:
    with pytest.raises(NotPossible, match="npm install onnxruntime-web"):
        export(own_store, 2, "web", tmp_path / "out", runtime=tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.system
@pytest.mark.browser
def test_the_page_predicts_what_the_server_predicts_without_a_network(
    own_store: Store, settings: Settings, tmp_path: Path
) -> None:
    if not RUNTIME.exists():
        pytest.skip("there is no onnxruntime-web: `make onnxruntime-web`")
    folder = tmp_path / "page"
    done = export(own_store, 2, "web", folder, runtime=RUNTIME)
    assert sum(path.stat().st_size for path in done.files) < 20e6
    fields = json.loads((folder / "model.js").read_text().partition(" = ")[2].rstrip(";\n"))
    step = 10 ** math.floor(math.log10(fields["error"] / 100))
    rows = pd.read_csv(folder / "check.csv")[FEATURES].head(4)
    rows.loc[1, next(c.name for c in schema.COLUMNS if c.nullable)] = np.nan
    asked = json.loads(rows.to_json(orient="records"))
    with running(settings) as client:
        answers = client.post("/predict", json={schema.WORDING.request_key: asked}).json()
    with a_browser() as browser:
        for mode in ("light", "dark"):
            context = browser.new_context(
                offline=True, color_scheme=mode, viewport={"width": 390, "height": 844}
            )
            page = context.new_page()
            errors: list[str] = []
            page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            page.goto((folder / "index.html").as_uri())
            page.wait_for_selector("[type=submit]:not([disabled])", timeout=120_000)
            assert page.title() == schema.WORDING.title
            assert page.evaluate("document.documentElement.scrollWidth") == 390
            for row, answer in zip(asked, answers["predictions"], strict=True):
                for name, value in row.items():
                    at = page.locator(f"[id='field-{name}']")
                    if name in schema.CATEGORIES:
                        at.select_option(value)
                    else:
                        at.fill("" if value is None else repr(value))
                page.click("[type=submit]")
                page.wait_for_selector("#answer:not([hidden])")
                value = float(page.get_attribute("#predicted", "data-value") or "nan")
                assert value == pytest.approx(answer["predicted"], rel=1e-9)
                shown = page.inner_text("#predicted").removeprefix("$").replace(",", "")
                assert abs(float(shown) - answer["predicted"]) <= step / 2 * (1 + 1e-6)
            page.fill("[id='field-population']", "many")
            page.click("[type=submit]")
            assert page.inner_text("[id='field-population-fault']") == "This is not a number."
            assert errors == []
