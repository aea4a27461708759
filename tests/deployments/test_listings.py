"""Commands that only look."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from housing.errors import NotPossible, UnknownId
from tests.deployments.conftest import Housing


def as_json(housing: Housing, *arguments: str) -> Any:
    result = housing(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_status_names_champion_dataset_and_what_needs_a_person(housing: Housing) -> None:
    found = as_json(housing, "status")
    assert found["champion"]["model"] == "m2"
    assert found["dataset"]["dataset"] == "v2"
    assert found["running"] is None
    assert any("b3" in need and "dataset accept b3" in need for need in found["needs_a_person"])
    text = housing("status").stdout
    assert "m2" in text
    assert "b3" in text


@pytest.mark.parametrize(
    ("listing", "newest"),
    [
        ("models", {"model": "m2", "role": "champion", "dataset": "v2"}),
        ("datasets", {"dataset": "v2", "batches": ["b1", "b2"], "rows": 899}),
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
def test_what_is_no_id_is_refused(housing: Housing, id_: str) -> None:
    result = housing("show", id_)
    assert isinstance(result.exception, NotPossible)


def test_compare_scores_both_models_on_one_version(housing: Housing) -> None:
    found = as_json(housing, "compare", "m1", "m2")
    assert found["version"] == 2
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
    assert f"nothing had been promoted by then: the first promotion was at {first}" in str(
        result.exception
    )


def test_a_time_may_have_an_offset(housing: Housing) -> None:
    second = datetime.fromisoformat(as_json(housing, "history")[0]["at"])
    for shift, model in ((timedelta(seconds=1), "m2"), (timedelta(seconds=-1), "m1")):
        local = (second + shift).astimezone(ZoneInfo("Asia/Kolkata")).isoformat()
        assert as_json(housing, "champion", "--at", local)["to"] == model


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("9999-01-01", "9999-01-01T00:00:00Z is in the future"),
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


def test_without_any_promotion_the_message_says_so(
    housing: Housing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSING_HOME", str(tmp_path))
    result = housing("champion")
    assert "nothing had been promoted by then: there is none yet" in str(result.exception)


def test_settings_are_listed_with_their_source(housing: Housing) -> None:
    rows = {row["setting"]: row for row in as_json(housing, "settings")}
    assert rows["HOUSING_SEARCH__FAMILIES"]["value"] == "forest"
    assert rows["HOUSING_SEARCH__FAMILIES"]["source"] == "environment"
    assert rows["HOUSING_GATE__RULE"]["source"] == "default"
    assert "HOUSING_GATE__RULE" in housing("settings").stdout
