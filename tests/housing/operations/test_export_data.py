"""Rows, features and windows as Parquet: read by pandas, and equal to what the service computes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from housing import schema
from housing.errors import NotPossible
from housing.features.derived import ratio
from housing.inference.columns import columns_of, columns_of_frame, row_at
from housing.inference.fast_predictor import Predictor
from housing.inference.loaded_model import load
from housing.keys import KEY_COLUMN
from housing.operations import export_data
from housing.operations.export_data import export_dataset, export_windows
from housing.operations.monitor import monitor
from housing.settings import Settings, load_settings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import artifacts, registry
from housing.training.candidates import FAMILIES, unfitted
from housing.training.lineage import definitions
from tests.deployments.conftest import housing as housing
from tests.deployments.test_decisions import copied as copied
from tests.fixtures.small_settings import landing_rows
from tests.housing.serving.conftest import only_settings


@pytest.fixture(scope="module")
def store(populated_home: Path) -> Iterator[Store]:
    with only_settings(populated_home) as settings, open_store(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def exported(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "v2"
    export_dataset(store, 2, folder, features=True)
    return folder


def dictionary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "dictionary.json").read_text())
    return found


def test_the_rows_are_those_of_the_version_with_key_and_side(store: Store, exported: Path) -> None:
    rows, frame = pd.read_parquet(exported / "rows.parquet"), datasets.read(store, 2)
    assert [*rows] == ["key", "side", *schema.CATALOGUE]
    assert rows["key"].tolist() == frame[KEY_COLUMN].tolist()
    assert (rows["side"] == "test").tolist() == frame[datasets.SIDE_COLUMN].tolist()
    assert set(rows["side"]) == {"test", "training"}
    pd.testing.assert_frame_equal(rows[[*schema.CATALOGUE]], frame[[*schema.CATALOGUE]])


def test_each_column_is_in_the_dictionary(exported: Path) -> None:
    found = dictionary(exported)
    for name in ("rows.parquet", "features.parquet"):
        columns = [column["name"] for column in found[name]]
        assert columns == [*pd.read_parquet(exported / name)]
    assert found["dataset"] == "v2"
    assert found["model"] == "m2"
    (target,) = (c for c in found["rows.parquet"] if c.get("role") == "target")
    assert target["name"] == schema.TARGET
    assert target["unit"] == schema.UNIT


def test_the_features_are_to_the_bit_those_of_the_prediction_service(
    store: Store, exported: Path
) -> None:
    features = pd.read_parquet(exported / "features.parquet").drop(columns="key").to_numpy()
    rows = pd.read_parquet(exported / "rows.parquet")
    served = load(store, 2)
    service = served.predict.__self__  # type: ignore[attr-defined]
    (part,) = service.parts
    columns = columns_of(rows[[*schema.FEATURES]].to_dict("records"))
    given: list[Any] = []
    plain, real = part.features, part.features.compute
    object.__setattr__(part, "features", _Kept(real, given))
    try:
        for start in (0, 16, len(rows) - 16):
            request = [row_at(columns, at) for at in range(start, start + 16)]
            given.clear()
            served.predictions(columns_of(request))  # a request of a few rows
            assert given[0].tobytes() == features[start : start + 16].tobytes()
        for at in range(0, len(rows), 50):
            given.clear()
            served.predictions(columns_of([row_at(columns, at)]))
            assert given[0].tobytes() == features[[at]].tobytes()
    finally:
        object.__setattr__(part, "features", plain)


class _Kept:
    """The features of a part, which also keeps what it computes."""

    def __init__(self, real: Any, given: list[Any]) -> None:
        self.real, self.given = real, given

    def compute(self, *columns: Any) -> Any:
        found = self.real(*columns)
        self.given.append(found)
        return found


def test_a_model_of_choice_and_its_definitions(store: Store, tmp_path: Path) -> None:
    export_dataset(store, 2, tmp_path / "out", features=True, model=1)
    found = dictionary(tmp_path / "out")
    assert found["model"] == "m1"
    with store.read() as connection:
        fitted = artifacts.get_model(store, registry.model(connection, 1).artifact)
    assert [f.name for f in definitions(fitted)] == [
        f["name"] for f in found["features.parquet"][1:]
    ]
    assert [f.name for f in definitions(fitted)] == [*map(str, fitted[:-1].get_feature_names_out())]


@pytest.mark.parametrize("family", ["boosting", "forest", "linear"])
def test_definitions_follow_from_the_fitted_steps(family: str) -> None:
    rows = landing_rows(0, 400)
    frame = rows[[*schema.FEATURES]].astype(schema.dtypes(schema.FEATURES))
    model = unfitted(family, 0, FAMILIES, ())
    model.fit(frame, rows[schema.TARGET])
    found = {feature.name: feature for feature in definitions(model)}
    values = Predictor(model).features(columns_of_frame(frame))
    assert [block.shape for block in values] == [(400, len(found))]
    assert all({*f.inputs} <= {*schema.CATALOGUE} and f.definition for f in found.values())
    for name, feature in found.items():
        if feature.definition == "ratio(total_rooms, households)":
            column = values[0][:, list(found).index(name)]
            expected = ratio(*(frame[n].to_numpy() for n in feature.inputs))
            assert np.allclose(column, expected, rtol=1e-6)
        if "ocean_proximity" in name:
            assert feature.inputs == ("ocean_proximity",)
        uses_labels = "label" in name or "similar" in name or "fit" in name
        assert (schema.TARGET in feature.inputs) == uses_labels


def test_windows_and_signals(copied: Any, tmp_path: Path) -> None:
    settings: Settings = load_settings()
    with open_store(settings) as own:
        export_windows(own, tmp_path / "none")
        looked = monitor(own, settings)
        export_windows(own, tmp_path / "some")
    assert len(pd.read_parquet(tmp_path / "none" / "windows.parquet")) == 0
    windows = pd.read_parquet(tmp_path / "some" / "windows.parquet")
    signals = pd.read_parquet(tmp_path / "some" / "signals.parquet")
    # The window of labels, in which nothing is judged, is in the table as well.
    assert windows["source"].tolist() == ["labels", *(window.source for window in looked.windows)]
    assert set(signals["window"]) <= set(windows["window"])
    assert signals["fired"].sum() == sum(s.fired for w in looked.windows for s in w.signals)
    found = dictionary(tmp_path / "some")
    assert [*found["windows.parquet"]] == [*windows]
    assert [*found["signals.parquet"]] == [*signals]
    recorded = {name for w in looked.windows for s in w.signals for name in vars(s)}
    assert recorded <= {*signals}


def test_what_is_refused(copied: Any, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for arguments, why in (
        (("v2", "-o", str(tmp_path / "full")), "it is not empty"),
        (("v2", "--to", "onnx"), "rows are exported to parquet"),
        (("m1", "--features"), "features are those of a dataset version"),
    ):
        done = copied("export", *arguments)
        assert isinstance(done.exception, NotPossible)
        assert why in str(done.exception)
    done = copied("export", "v2", "--features", "-o", str(tmp_path / "v2"), "--json")
    assert [Path(f).name for f in json.loads(done.stdout)["files"]] == [
        "rows.parquet",
        "features.parquet",
        export_data.DICTIONARY,
    ]
