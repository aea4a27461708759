"""Commands about the gate, on a home with two runs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import Result

from housing.errors import FileUnreadable, NotPossible, UnknownId
from housing.gate.check import CHECKS
from housing.gate.messages import NO_CHAMPION
from housing.pipeline import approval
from housing.pipeline.evaluate import JudgedEvaluation
from housing.settings import load_settings
from housing.store.database.open import open_store
from housing.store.database.tables import evaluations
from housing.store.models import registry
from tests.deployments.conftest import Housing


@pytest.fixture
def own(housing: Housing, populated_home: Path, tmp_path: Path, monkeypatch: Any) -> Housing:
    """The same on a copy, for tests that change something."""
    shutil.copytree(populated_home, tmp_path / "copy")
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path / "copy"))
    return housing


def as_json(housing: Housing, *arguments: str, code: int = 0) -> Any:
    result = housing(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def refused(result: Result, error: type[Exception], why: str) -> None:
    assert isinstance(result.exception, error), result.output
    assert why in str(result.exception)


def test_power_prints_both_rates_and_the_curve(housing: Housing) -> None:
    found = as_json(housing, "gate", "power", "r2")
    assert found == as_json(housing, "gate", "power")  # the newest verdict
    rates = [rate for _, rate in found["curve"]]
    assert rates == sorted(rates, reverse=True)
    assert 0 <= found["passes"] <= 1
    text = " ".join(housing("gate", "power").stdout.split())
    assert "lets a 1 % regression of the RMSE through in" in text
    assert "no regression" in text
    assert "To promote a true gain of 1 % in 80 % of runs: about" in text


def test_explain_has_a_line_for_every_check(housing: Housing) -> None:
    found = as_json(housing, "gate", "explain", "r2")
    assert [check["name"] for check in found["checks"]] == [check.name for check in CHECKS]
    assert all(check["needs"] for check in found["checks"])
    text = housing("gate", "explain").stdout
    assert "what would change it" in text
    assert "no-regression" in text


def test_a_run_without_a_champion_to_compare_with(housing: Housing) -> None:
    refused(housing("gate", "power", "r1"), NotPossible, "was not against a champion")
    found = as_json(housing, "gate", "explain", "r1")
    assert found["outcome"]
    needs = {c["needs"] for c in found["checks"] if c["message"] == NO_CHAMPION}
    assert needs == {"It needs a champion to compare with."}
    messages = [c["message"] for c in found["checks"] if c["message"] != NO_CHAMPION]
    assert not any("since the champion" in message for message in messages)
    assert housing("gate", "explain", "r1").stdout.startswith("r1, m1  ")


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    [
        (("gate", "power", "r9"), UnknownId, "r9"),
        (("gate", "explain", "m1"), NotPossible, "an id reads like r3"),
        (("show", "m1", "--verdict"), NotPossible, "an id reads like r3"),
        (("approve", "r2"), NotPossible, "requested no approval"),
        (("reject", "r9", "--reason", "why not"), UnknownId, "r9"),
    ],
)
def test_wrong_questions_are_refused_by_name(
    housing: Housing, arguments: tuple[str, ...], error: type[Exception], why: str
) -> None:
    refused(housing(*arguments), error, why)


def test_explain_without_a_verdict_is_refused(
    housing: Housing, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path / "empty"))
    refused(housing("gate", "explain"), NotPossible, "nothing has been judged yet")


def test_a_verdict_is_judged_again(housing: Housing) -> None:
    for run in ("r1", "r2"):
        found = as_json(housing, "show", run, "--verdict")
        assert found["agrees"]
        assert found["now"] == found["recorded"]
    assert "It still agrees" in housing("show", "r2", "--verdict").stdout


def test_a_verdict_that_does_not_follow_from_its_evidence_is_reported(own: Housing) -> None:
    with open_store(load_settings()) as store, store.write() as connection:
        row = connection.execute(sa.select(evaluations).where(evaluations.c.run == 2)).one()
        forged = {**row.verdict, "outcome": "promote" if row.outcome != "promote" else "keep"}
        connection.execute(
            evaluations.update().where(evaluations.c.id == row.id).values(verdict=forged)
        )
    found = as_json(own, "show", "r2", "--verdict", code=1)
    assert not found["agrees"]
    assert found["differences"][0].startswith("verdict: recorded")
    assert "It does not agree" in own("show", "r2", "--verdict").stdout


def test_a_verdict_file_is_exported_and_verified(
    housing: Housing, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert as_json(housing, "gate", "export", "r2")["run"] == "r2"
    Path("key.pem").write_text(housing("gate", "key").stdout)
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path / "empty"))
    file = "r2.verdict.json"
    found = as_json(housing, "gate", "verify", file, "--public-key", "key.pem")
    assert found["agrees"]
    assert found["trusted"]
    assert found["rule"] == "no_regression"
    text = housing("gate", "verify", file, "--public-key", "key.pem").stdout
    assert "The evidence gives this verdict:" in text
    assert "It is signed with the key of key.pem." in text
    assert not as_json(housing, "gate", "verify", file, code=4)["trusted"]
    edited = Path(file).read_text().replace('"outcome": "passed"', '"outcome": "failed"', 1)
    Path(file).write_text(edited)
    found = as_json(housing, "gate", "verify", file, "--public-key", "key.pem", code=1)
    assert "The signature is not that of the content" in found["mismatches"][0]
    assert not (tmp_path / "empty").exists()
    missing = "none.json: No such file or directory. Name a file that `housing gate export` wrote"
    refused(housing("gate", "verify", "none.json"), FileUnreadable, missing)
    refused(housing("gate", "export", "r9"), UnknownId, "r9")


def test_a_person_approves_or_rejects_at_a_terminal(own: Housing) -> None:
    def waits() -> None:
        with open_store(load_settings()) as store:
            with store.read() as connection:
                row = registry.newest_evaluation(connection, 1)
            assert row is not None
            judged = JudgedEvaluation(row.id, 1, None, "promote", "Yes.")
            approval.request_approval(store, 1, judged, load_settings())

    waits()
    needs = as_json(own, "status")["needs_a_person"]
    assert any("housing approve r1" in need["commands"] for need in needs)
    decided = as_json(own, "reject", "r1", "--reason", "not now")
    assert (decided["outcome"], decided["champion"]) == ("rejected", "m2")
    assert as_json(own, "show", "r1")["approval"]["reason"] == "not now"
    refused(own("approve", "r1"), NotPossible, "it was rejected by")
