"""`housing monitor`, `housing card`, `housing export`, `housing audit sample`, `housing ingest`."""

import json
from pathlib import Path

import pytest

from tests.deployments.conftest import Command, Housing
from tests.deployments.test_decisions import copied as copied


def test_a_monitoring_run_is_shown_and_recorded(copied: Housing) -> None:
    done = copied("monitor", "--json")
    said = json.loads(done.stdout)
    assert done.exit_code == 3  # b3 is quarantined
    assert said["model"] == "m2"
    assert [w["source"] for w in said["windows"]][-1] == "clock"
    assert Path(said["report"]).read_text().lower().startswith("<!doctype html>")
    assert "quarantined batches: 1 waits for a person: b3" in copied("monitor").output


def test_a_card_of_the_champion(copied: Housing) -> None:
    done = copied("card", "--json")
    said = json.loads(done.stdout)
    assert done.exit_code == 0
    assert said["model"] == "m2"
    assert "Model card of m2" in Path(said["html"]).read_text()


def test_an_export(copied: Housing, tmp_path: Path) -> None:
    done = copied("export", "m1", "-o", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "model.skops").exists()
    assert "it is skops, onnx or web" in str(copied("export", "m1", "--to", "mlflow").exception)
    done = copied("export", "m1", "--to", "onnx", "-o", str(tmp_path / "graph"))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "graph" / "model.onnx").exists()
    (tmp_path / "file").touch()
    done = copied("export", "m1", "-o", str(tmp_path / "file"))
    assert "it is a file. Name a folder." in str(done.exception)


@pytest.mark.parametrize(
    "line", ["history -n {}", "models --limit {}", "prune --older-than {}", "shadow --days {}"]
)
def test_a_number_beyond_reason_is_wrong_usage(housing: Housing, line: str) -> None:
    done = housing(*line.format(10**20).split())
    assert done.exit_code == 2
    assert "or equal to" in " ".join(done.output.split())


def test_a_sample_for_a_person(copied: Housing, tmp_path: Path) -> None:
    path = tmp_path / "audit.csv"
    done = copied("audit", "sample", "-o", str(path), "-n", "12")
    assert done.exit_code == 0, done.output
    assert len(path.read_text().splitlines()) == 13
    assert "may have labels" in str(copied("audit", "sample", "-o", str(path)).exception)


def test_labels_and_audit_exclude_each_other(housing: Housing, tmp_path: Path) -> None:
    done = housing("ingest", "--labels", "--audit", str(tmp_path / "x.csv"))
    assert "give one of them" in str(done.exception)


@pytest.mark.parametrize("line", ["monitor", "card", "audit sample"])
def test_an_empty_home_is_refused_with_the_missing_part(command: Command, line: str) -> None:
    done = command(*line.split())
    assert done.returncode == 2
    assert "housing retrain" in done.stderr
    assert "Traceback" not in done.stderr
