"""Commands that only look."""

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from housing.errors import NotPossible, UnknownId
from tests.deployments.conftest import Housing
from tests.deployments.test_decisions import copied as copied


def as_json(housing: Housing, *arguments: str) -> Any:
    result = housing(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_status_names_champion_dataset_and_what_needs_a_person(housing: Housing) -> None:
    found = as_json(housing, "status")
    assert found["champion"]["model"] == "m2"
    assert found["dataset"]["dataset"] == "v2"
    assert found["running"] is None
    (need,) = found["needs_a_person"]
    assert "b3" in need["message"]
    assert need["commands"] == ["housing dataset accept b3", "housing dataset discard b3"]
    text = housing("status").stdout
    assert "m2" in text
    assert "\n     housing dataset accept b3\n" in text, "on a line of its own"


@pytest.mark.parametrize(
    ("listing", "newest"),
    [
        ("models", {"model": "m2", "role": "champion", "dataset": "v2"}),
        ("datasets", {"dataset": "v2", "batches": 2, "rows": 899}),
        ("batches", {"batch": "b3", "status": "quarantined", "in_dataset": False}),
        ("runs", {"run": "r2", "kind": "nightly", "status": "completed", "champion": "m2"}),
        ("history", {"seq": 2, "operation": "promote", "from": "m1", "to": "m2"}),
    ],
)
def test_each_listing_has_its_newest_row_first(
    housing: Housing, listing: str, newest: dict[str, Any]
) -> None:
    rows = as_json(housing, listing)
    assert {name: rows[0][name] for name in newest} == newest
    assert len(as_json(housing, listing, "--limit", "1")) == 1
    table = housing(listing)
    assert table.exit_code == 0
    assert str(next(iter(newest.values()))) in table.stdout


def test_a_listing_that_is_cut_off_names_the_option_for_all(housing: Housing) -> None:
    cut = housing("batches", "--limit", "1", "--json")
    assert [row["batch"] for row in json.loads(cut.stdout)] == ["b3"]
    assert "The newest 1 are listed; --all lists all." in cut.stderr
    every = housing("batches", "--limit", "1", "--all", "--json")
    assert [row["batch"] for row in json.loads(every.stdout)] == ["b3", "b2", "b1"]
    assert not every.stderr
    assert "--all" in housing("batches", "--limit", "1").stderr
    assert not housing("batches").stderr


def test_rows_are_accounted_for(housing: Housing) -> None:
    for batch in as_json(housing, "batches"):
        assert batch["accepted"] + batch["rejected"] == batch["read"]


@pytest.mark.parametrize(
    ("id_", "expected"),
    [
        ("m2", {"family": "forest", "dataset": "v2"}),
        ("v1", {"rows": 600, "operation": "append"}),
        ("b2", {"read": 300, "rejected": 1, "new_rows": 299}),
        ("r2", {"challenger": "m2", "dataset": "v2"}),
    ],
)
def test_show(housing: Housing, id_: str, expected: dict[str, Any]) -> None:
    found = as_json(housing, "show", id_)
    assert expected.items() <= found.items()
    assert housing("show", id_).exit_code == 0


def test_show_a_model_has_the_units_of_its_errors(housing: Housing) -> None:
    shown = housing("show", "m2").stdout
    error = re.search(r"without the selection bias\n(error.*)", shown)
    assert error
    assert "$" in error[1], shown
    seen = re.search(r"\nseen  .*", shown)
    assert seen is None or "$" in seen[0], shown


def test_show_a_rejected_row_names_file_line_and_column(housing: Housing) -> None:
    rejections = as_json(housing, "show", "b2")["rejections"]
    assert rejections[0]["code"] == "not-a-number"
    assert rejections[0]["example"].startswith("b.csv, line 6, median_income: 'rich'")


@pytest.mark.parametrize("id_", ["m99", "v99", "b99", "r99"])
def test_an_unknown_id_is_named(housing: Housing, id_: str) -> None:
    result = housing("show", id_)
    assert isinstance(result.exception, UnknownId)
    assert id_ in str(result.exception)


@pytest.mark.parametrize("id_", ["", "m", "7", "x1", "m1; drop table", "m-1", "M 1"])
def test_text_that_is_no_id_is_refused(housing: Housing, id_: str) -> None:
    result = housing("show", id_)
    assert isinstance(result.exception, NotPossible)


NUMBERS = {"model", "champion", "challenger", "run", "version", "dataset", "batch", "id"}


def fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of all fields, nested ones too."""
    if isinstance(value, dict):
        yield from value.items()
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, dict | list):
            yield from fields(one)


@pytest.mark.parametrize("arguments", [("show", "v2"), ("show", "r2"), ("show", "r2", "--verdict")])
def test_ids_keep_their_letter_in_json(copied: Housing, arguments: tuple[str, ...]) -> None:
    for name, value in fields(as_json(copied, *arguments)):
        assert name not in NUMBERS or not isinstance(value, int), (name, value)


def test_the_letter_of_an_id_is_optional_where_only_one_kind_fits(housing: Housing) -> None:
    assert as_json(housing, "compare", "1", "2") == as_json(housing, "compare", "m1", "m2")
    assert housing("gate", "explain", "2").stdout == housing("gate", "explain", "r2").stdout


def test_the_tables_of_a_run_fit_into_80_columns(housing: Housing) -> None:
    text = housing("show", "r2").stdout
    assert max(map(len, text.splitlines())) <= 80
    for heading in ("checks", "batches", "trials"):
        assert f"\n{heading}\n" in text
    assert re.search(r"^started +\d{4}-\d\d-\d\d \d\d:\d\d UTC", text, re.MULTILINE)
    assert "figures:" not in text, "those are for programs"


def test_compare_scores_both_models_on_one_version(housing: Housing) -> None:
    found = as_json(housing, "compare", "m1", "m2")
    assert found["version"] == "v2"
    assert found["first"]["rows"] == found["second"]["rows"] == found["comparison"]["rows"]
    ratio = found["second"]["rmse"]["value"] / found["first"]["rmse"]["value"]
    assert found["comparison"]["effect"] == pytest.approx(ratio - 1)
    assert "m2 against m1" in housing("compare", "m1", "m2", "--dataset", "v1").stdout


def test_champion_at_an_instant(housing: Housing) -> None:
    now = as_json(housing, "champion")
    assert now["to"] == "m2"
    first = as_json(housing, "history")[-1]["at"]
    second = datetime.fromisoformat(first) + timedelta(seconds=1)
    assert as_json(housing, "champion", "--at", second.strftime("%Y-%m-%dT%H:%M:%SZ"))["to"]
    before = datetime(2020, 1, 1, tzinfo=UTC).strftime("%Y-%m-%d")
    result = housing("champion", "--at", before)
    assert isinstance(result.exception, NotPossible)
    at = f"{datetime.fromisoformat(first):%Y-%m-%d %H:%M} UTC"
    assert f"nothing had been promoted by then; the first was at {at}." in str(result.exception)


def test_a_time_may_have_an_offset(housing: Housing) -> None:
    second = datetime.fromisoformat(as_json(housing, "history")[0]["at"])
    for shift, model in ((timedelta(seconds=1), "m2"), (timedelta(seconds=-1), "m1")):
        local = (second + shift).astimezone(ZoneInfo("Asia/Kolkata")).isoformat()
        assert as_json(housing, "champion", "--at", local)["to"] == model


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("9999-01-01", "9999-01-01 00:00 UTC is in the future"),
        ("yesterday", "'yesterday' is not a time; write 2026-03-29"),
        ("29.3.2026", "without an offset it is UTC"),
        ("", "is not a time"),
        ("0001-01-01T00:00+14:00", "is not a time"),
    ],
)
def test_a_time_that_cannot_be_is_named(housing: Housing, at: str, said: str) -> None:
    result = housing("champion", "--at", at)
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())


def test_a_listing_without_promotions_names_the_reason(
    housing: Housing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path))
    result = housing("champion")
    assert "nothing had been promoted by then; there is none yet" in str(result.exception)


def test_settings_are_listed_with_their_source(housing: Housing) -> None:
    rows = {row["setting"]: row for row in as_json(housing, "settings")}
    assert rows["HOUSING_SEARCH__FAMILIES"]["value"] == "forest"
    assert rows["HOUSING_SEARCH__FAMILIES"]["source"] == "environment"
    assert rows["HOUSING_GATE__RULE"]["source"] == "default"
    assert "HOUSING_GATE__RULE" in housing("settings").stdout


def test_the_report_of_a_run_is_named_where_it_lies_now(
    housing: Housing, populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "moved"
    shutil.copytree(populated_home, home)
    with sqlite3.connect(home / "housing.db") as database:  # as another machine has recorded it
        database.execute("UPDATE runs SET report = '/srv/old/reports/report-r2.html' WHERE id = 2")
    monkeypatch.setenv("HOUSING_HOME", str(home))
    listed = as_json(housing, "runs", "--limit", "100")
    of_status = as_json(housing, "status")["last_nightly_run"]
    assert of_status["run"] == "r2"
    for found in (as_json(housing, "show", "r2"), of_status, *listed):
        if found["run"] == "r2":
            assert found["report"] == str(home / "reports" / "report-r2.html")
    assert "r2" in {run["run"] for run in listed}
