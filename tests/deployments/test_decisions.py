"""Commands that change what is in force."""

import json
import shutil
from pathlib import Path

import pytest

from housing.errors import NotPossible
from housing.pipeline import datasets as dataset_steps
from housing.settings import load_settings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from tests.deployments.conftest import Housing


@pytest.fixture
def copied(
    housing: Housing, populated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Housing:
    """The same commands on a copy of the home, so that each test may change it."""
    home = tmp_path / "copy"
    shutil.copytree(populated_home, home)
    monkeypatch.setenv("HOUSING_HOME", str(home))
    return housing


def test_rollback_goes_to_the_previous_champion(copied: Housing) -> None:
    result = copied("rollback", "--reason", "worse in the field", "--json")
    assert result.exit_code == 0, result.output
    line = json.loads(result.stdout)
    assert (line["operation"], line["from"], line["to"]) == ("rollback", "m2", "m1")
    assert line["reason"] == "worse in the field"
    assert line["entered"] == ["b2"]
    assert line["next_run"].startswith("Without new rows the next run searches again on v2")
    assert json.loads(copied("champion", "--json").stdout)["to"] == "m1"


def test_rollback_shows_its_plan_and_asks_for_confirmation_at_a_terminal(
    copied: Housing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.cli.decisions.at_terminal", lambda: True)
    refused = copied("rollback", "--reason", "worse in the field")  # no answer is no consent
    assert refused.exit_code == 1
    assert "`--batch b2` blocks every model that was trained on it" in refused.stdout
    assert "After this rollback: Without new rows the next run" in refused.stdout
    assert json.loads(copied("champion", "--json").stdout)["to"] == "m2"
    done = copied("rollback", "--yes", "--reason", "worse in the field")
    assert "m1 is champion again instead of m2" in done.stdout
    changed, suggested = (
        done.stdout.index("m1 is champion"),
        done.stdout.index("m2 has batches that m1's"),
    )
    assert changed < suggested
    assert "`housing block b2 --reason TEXT` blocks every model" in done.stdout
    assert "Without new rows the next run searches again on v2" in done.stdout


def test_a_repeated_rollback_undoes_no_second_promotion(
    copied: Housing, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied("promote", "m1", "--override", "--reason", "a third entry")
    command = ("rollback", "--yes", "--reason", "worse in the field")
    assert copied(*command).exit_code == 0
    assert copied("unblock", "m1").exit_code == 0  # or only the block would be in the way
    for options in ((), ("--json",), ("--batch", "b2")):
        again = copied(*command, *options)
        assert isinstance(again.exception, NotPossible), again.output
        assert "m2 became champion by a rollback at" in str(again.exception)
        assert "`housing history`" in str(again.exception)
    assert json.loads(copied("champion", "--json").stdout)["to"] == "m2"
    assert copied("promote", "m1", "--override", "--reason", "in between").exit_code == 0
    assert isinstance(copied(*command).exception, NotPossible), (
        "a promotion between changes nothing"
    )
    assert copied("rollback", "m2", "--yes", "--reason", "r").exit_code == 0
    assert copied("unblock", "m1").exit_code == 0
    monkeypatch.setattr("deployments.cli.decisions.at_terminal", lambda: True)
    assert "m2 became champion by a rollback at" in copied("rollback", "--reason", "r").stdout
    assert "Before, m2 became champion by" in copied(*command, "m1").stdout
    assert json.loads(copied("champion", "--json").stdout)["to"] == "m1"


def test_a_stored_model_is_judged_and_promoted_by_hand(copied: Housing) -> None:
    wrong = copied("judge", "m2")
    assert isinstance(wrong.exception, NotPossible)
    assert "it is the champion" in str(wrong.exception)
    judged = copied("judge", "m1", "--json")
    found = json.loads(judged.stdout)
    codes = {"dry run": 0, "kept": 3, "inconclusive": 4}
    assert judged.exit_code == codes[found["outcome"]], judged.output
    assert (found["model"], found["champion"]) == ("m1", "m2")
    assert "m1 is an older model than the champion" in json.dumps(found["verdict"])
    if found["outcome"] != "dry run":
        refused = copied("promote", "m1", "--reason", "we know it")
        assert refused.exit_code == judged.exit_code
        assert "`--override` was not given" in refused.stdout.replace("\n", " ")
    done = copied("promote", "m1", "--reason", "we know it", "--override", "--json")
    assert done.exit_code == 0, done.output
    promoted = json.loads(done.stdout)
    line = json.loads(copied("history", "--json").stdout)[0]
    assert (line["operation"], line["to"]) == ("promote", "m1")
    assert line["overridden"] == promoted["overridden"]
    assert "by hand" in line["reason"]
    assert copied("promote", "m2").exit_code == 2  # a reason is asked for


def test_rollback_to_a_named_champion_and_back(copied: Housing) -> None:
    assert "m1 is champion again" in copied("rollback", "m1", "--reason", "try").stdout
    assert "blocked" in copied("status").stdout
    refused = copied("rollback", "m2", "--reason", "no, it was fine")
    assert "`housing unblock m2` unblocks it" in str(refused.exception)
    assert "m2 is not blocked any more" in copied("unblock", "m2").stdout
    assert "m2 is champion again" in copied("rollback", "m2", "--reason", "no, it was fine").stdout


def test_rollback_blocks_the_batch_that_caused_it(copied: Housing) -> None:
    wrong = copied("rollback", "--reason", "complaints", "--batch", "b3")
    assert isinstance(wrong.exception, NotPossible)
    result = copied("rollback", "--reason", "complaints", "--batch", "b2", "--json")
    assert json.loads(result.stdout)["blocked"] == ["m2", "b2"]
    found = json.loads(copied("status", "--json").stdout)["blocks"]
    assert [(block["blocked"], block["reason"]) for block in found] == [
        ("m2", "complaints"),
        ("b2", "complaints"),
    ]
    assert copied("unblock", "b2", "--reason", "it was another").exit_code == 0
    assert copied("block", "b1", "--reason", "to be looked at").exit_code == 0
    lines = json.loads(copied("history", "--json").stdout)
    assert [(line["operation"], line["blocks"]) for line in lines[:5]] == [
        ("block", "b1"),
        ("unblock", "b2"),
        ("block", "b2"),
        ("block", "m2"),
        ("rollback", None),
    ]
    models = [(line["from"], line["to"]) for line in lines[:5]]
    assert models == [(None, None)] * 4 + [("m2", "m1")], "a block changes no champion"
    for wrong_id in ("v1", "b99", "m1"):
        assert copied("block", wrong_id, "--reason", "why not").exception is not None


def test_rollback_needs_a_reason(copied: Housing) -> None:
    result = copied("rollback")
    assert result.exit_code == 2
    assert "--reason" in result.output


def test_a_batch_is_withdrawn_and_brought_back(copied: Housing) -> None:
    assert "v3 is without b2" in copied("dataset", "withdraw", "b2", "--reason", "polluted").stdout
    again = copied("dataset", "withdraw", "b2", "--reason", "polluted")
    assert isinstance(again.exception, NotPossible)
    assert (
        "v4 has the batches of v2" in copied("dataset", "rollback", "v2", "--reason", "no").stdout
    )
    versions = [json.loads(copied("show", f"v{v}", "--json").stdout) for v in (4, 3, 2, 1)]
    assert [v["batches"] for v in versions] == [["b1", "b2"], ["b1"], ["b1", "b2"], ["b1"]]


def test_an_empty_dataset_names_the_batch_that_was_withdrawn(copied: Housing) -> None:
    from housing.errors import NothingToTrainOn

    copied("dataset", "withdraw", "b2", "--reason", "polluted")
    assert "It is empty" in copied("dataset", "withdraw", "b1", "--reason", "polluted").stdout
    refused = copied("judge", "m1").exception
    assert isinstance(refused, NothingToTrainOn)
    assert "v4 is empty. `housing dataset restore b1 --reason TEXT` restores b1" in str(refused)
    assert ".." not in str(refused)


def test_copies_are_withdrawn_and_restored_with_the_batch_that_they_repeat(
    copied: Housing, tmp_path: Path
) -> None:
    from housing.problems.california.simulated.scenarios import simulate

    table, file = simulate(300, 9), tmp_path / "new.csv"
    table.to_csv(file, index=False)
    ids = tmp_path / "ids.csv"
    table.assign(district_id=[f"d{i}" for i in range(300)]).to_csv(ids, index=False)
    for path in (file, ids):
        assert copied("ingest", str(path)).exit_code == 0
    with open_store(load_settings()) as store:
        datasets.append_waiting(store, reason="run", run=None)
        dataset_steps.split(store, load_settings())
        members = _members(store)
    first, copy = members[-2:]
    done = copied("dataset", "withdraw", f"b{first}", "--reason", "polluted").stdout
    assert f"b{copy} repeats its rows and is withdrawn as well." in done
    mixed = tmp_path / "mixed.csv"
    table.sample(frac=1, random_state=1).to_csv(mixed, index=False)
    held = copied("ingest", str(mixed)).stdout
    assert f"rows of b{first}, which was withdrawn" in " ".join(held.split())
    done = copied("dataset", "restore", f"b{first}", "--reason", "they were right").stdout
    assert f"has b{first} and b{copy} again" in done
    with open_store(load_settings()) as store:
        assert _members(store) == members


def _members(store: Store) -> tuple[int, ...]:
    with store.read() as connection:
        active = datasets.active(connection)
    return () if active is None else active.batches


def test_a_withdrawn_batch_is_restored_and_what_came_meanwhile_is_named(
    copied: Housing, tmp_path: Path
) -> None:
    copied("dataset", "withdraw", "b2", "--reason", "polluted")
    with open_store(load_settings()) as store:
        known = datasets.read(store, 3).drop(columns=["#key", "#test"])
    known.head(50).to_csv(tmp_path / "known.csv", index=False)
    assert copied("ingest", str(tmp_path / "known.csv")).exit_code == 0
    done = " ".join(copied("dataset", "restore", "b2", "--reason", "it was not").stdout.split())
    assert "v4 has b2 again" in done
    assert "The next run adds b4, delivered later: where its rows differ" in done
    newest = json.loads(copied("show", "v4", "--json").stdout)
    assert (newest["operation"], newest["batches"]) == ("restore", ["b1", "b2"])
    assert isinstance(copied("dataset", "restore", "b2", "--reason", "r").exception, NotPossible)


def test_a_batch_that_waits_is_discarded(copied: Housing) -> None:
    def waiting() -> list[str]:
        found = json.loads(copied("status", "--json").stdout)["needs_a_person"]
        return [command for need in found for command in need["commands"]]

    assert {"housing dataset accept b3", "housing dataset discard b3"} <= {*waiting()}
    assert "b3 (c.csv) is discarded" in copied("dataset", "discard", "b3").stdout
    assert not any("b3" in command for command in waiting())
    assert json.loads(copied("show", "b3", "--json").stdout)["status"] == "discarded"
    assert isinstance(copied("dataset", "accept", "b3").exception, NotPossible)
    assert isinstance(copied("dataset", "discard", "b1").exception, NotPossible)


def test_ingest_again_takes_a_known_file_whose_rows_were_corrected(
    copied: Housing, tmp_path: Path
) -> None:
    from housing.problems.california.simulated.scenarios import simulate

    def statuses(*arguments: str) -> list[str]:
        return [row["status"] for row in json.loads(copied("ingest", *arguments, "--json").stdout)]

    table, paths = simulate(200, 9), [str(tmp_path / name) for name in ("a.csv", "b.csv")]
    table.to_csv(paths[0], index=False)
    table.assign(median_income=1.0).to_csv(paths[1], index=False)
    assert statuses(*paths) == ["accepted", "accepted"]
    assert statuses(*paths) == ["superseded", "unchanged"]
    assert statuses("--again", *paths) == ["accepted", "accepted"]
    assert isinstance(copied("ingest", "--again", "--labels", paths[0]).exception, NotPossible)


def test_a_quarantined_batch_can_be_accepted(copied: Housing) -> None:
    assert "b3 (c.csv) is accepted" in copied("dataset", "accept", "b3").stdout
    again = copied("dataset", "accept", "b3")
    assert isinstance(again.exception, NotPossible)


def test_ingest_stores_files_and_names_those_it_cannot_read(
    copied: Housing, tmp_path: Path
) -> None:
    from housing.problems.california.simulated.scenarios import simulate

    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    simulate(200, 9).to_csv(good, index=False)
    bad.write_text("no,table\n")
    result = copied("ingest", str(good), str(bad), str(good), "--json")
    assert result.exit_code == 1
    rows = json.loads(result.stdout)
    assert [row["status"] for row in rows] == ["accepted", "unreadable", "unchanged"]
    assert rows[0]["accepted"] == 200
    missing = copied("ingest", str(tmp_path / "missing.csv"))
    assert missing.exit_code == 1
    assert "missing.csv" in missing.stdout.replace("\n", "")
