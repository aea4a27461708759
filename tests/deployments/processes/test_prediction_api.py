"""`housing serve` and `housing predict`, also used the wrong way."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pandas as pd
import pytest

from housing import schema
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import load
from housing.problems.california.simulated.scenarios import simulate
from housing.serve_options import ServeOptions
from housing.serving.prediction_log import Entry, PredictionLog
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.database.tables import blobs, utc_now
from tests.deployments.conftest import Command, Housing
from tests.fixtures.small_settings import SMALL


@pytest.fixture
def districts(tmp_path: Path) -> Path:
    path = tmp_path / "districts.csv"
    simulate(30, 5)[list(schema.FEATURES)].to_csv(path, index=False)
    return path


def test_a_file_is_answered_beside_itself(housing: Housing, districts: Path) -> None:
    done = housing("predict", str(districts), "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert (said["rows"], said["predicted"], said["invalid"]) == (30, 30, 0)
    answers = pd.read_csv(districts.with_name("districts.predicted.csv"))
    assert answers["predicted"].notna().all()
    assert set(answers["model"]) == {"m2"}


def test_another_model_can_be_asked(housing: Housing, districts: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    done = housing("predict", str(districts), "-o", str(target), "--model", "m1")
    assert done.exit_code == 0, done.output
    assert set(pd.read_csv(target)["model"]) == {"m1"}


def test_invalid_rows_are_reported_and_counted(housing: Housing, districts: Path) -> None:
    frame = pd.read_csv(districts)
    frame.loc[3, schema.TABLE.strata[0].column] = 99
    frame.to_csv(districts, index=False)
    done = housing("predict", str(districts))
    assert done.exit_code == 1
    assert "29 of 30" in done.output
    assert "Invalid districts: 1;" in done.output


def test_the_shadow_is_compared_for_programs_and_people(
    housing: Housing, populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_HOME", str(shutil.copytree(populated_home, tmp_path / "home")))
    assert "HOUSING_SERVE__SHADOW" in housing("shadow").output
    assert json.loads(housing("shadow", "--json").output) == []
    with open_store(load_settings()) as store:
        columns = columns_of_frame(simulate(20, 3))
        champion, other = load(store, 2), load(store, 1)
        log = PredictionLog(store, ServeOptions(), shadow=lambda: other)
        log.put(Entry(utc_now(), champion, columns, champion.predictions(columns)))
        log.write()
    said = json.loads(housing("shadow", "--days", "1", "--json").output)
    assert [(one["shadow"], one["champion"], one["rows"]) for one in said] == [("m1", "m2", 20)] * 2
    assert "between m1 and m2" in housing("shadow").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.csv",), "No such file or directory. Check the path"),
        (("folder.csv",), "Is a directory. Check the path"),
        (("districts.txt",), "neither .csv nor .parquet"),
        (("districts.csv", "-o", "districts.csv"), "it is the input file"),
        (("districts.csv", "-o", "answers.parquet"), "a .csv file like the input"),
        (("districts.csv", "--model", "m99"), "There is no model m99"),
        (("districts.csv", "--model", "seven"), "an id reads like"),
        (("districts.csv", "-o", "nowhere/answers.csv"), "cannot be used"),
        (("empty.csv",), "is empty"),
    ],
)
def test_wrong_usage_is_named(
    housing: Housing,
    districts: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(districts.parent)
    (districts.parent / "empty.csv").touch()
    (districts.parent / "folder.csv").mkdir()
    done = housing("predict", *arguments)
    assert words in str(done.exception)
    assert not list(districts.parent.glob("*predicted*"))
    assert not list(districts.parent.glob(".predict-*"))


def test_an_unsigned_model_is_refused_until_it_is_signed(
    housing: Housing,
    districts: Path,
    populated_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOUSING_HOME", str(shutil.copytree(populated_home, tmp_path / "home")))
    with open_store(load_settings()) as store, store.write() as connection:
        connection.execute(blobs.update().values(signature=None))
    refused = housing("predict", str(districts))
    assert "run `housing sign --reason TEXT`" in str(refused.exception)
    assert housing("sign", "--reason", "it is ours").exit_code == 0
    assert housing("predict", str(districts)).exit_code == 0


def test_an_empty_home_cannot_predict(command: Command, districts: Path) -> None:
    done = command("predict", str(districts))
    assert done.returncode == 2
    assert "housing retrain" in done.stderr


def test_a_taken_port_is_named(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "Cannot listen on" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.system
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_stops_the_server_cleanly(
    populated_home: Path, workers: str, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOUSING_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "deployments.cli.__main__", "serve", "--port", str(port),
         "--workers", workers],
        env={**kept, **SMALL, "HOUSING_HOME": str(populated_home)}, cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        _wait(port, process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "Traceback" not in output, output
    assert f"http://127.0.0.1:{port}" in output
    assert output.endswith("The server has stopped.\n"), output
    assert "continues" not in output
    assert process.returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health")


def _wait(port: int, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(process.poll())
