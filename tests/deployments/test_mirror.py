"""`housing mirror`, where no server works; tests/housing/operations has those with one."""

import json

import pytest

from housing.errors import NotPossible
from tests.deployments.conftest import Housing
from tests.deployments.test_decisions import copied as copied
from tests.fixtures.dask_cluster import free_port


def test_without_a_server_it_names_the_setting(copied: Housing) -> None:
    for option in ((), ("--check",), ("--again",)):
        refused = copied("mirror", *option).exception
        assert isinstance(refused, NotPossible)
        assert "HOUSING_MIRROR__URL is not set. Set it to the address" in str(refused)


def test_a_server_that_is_away(copied: Housing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSING_MIRROR__URL", f"http://ann:secret@127.0.0.1:{free_port()}")
    done = copied("mirror", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["sent"], found["waiting"], found["failures"]) == (1, 0, 4, 1)
    assert "The next attempt sends what is left" in found["errors"][0]
    assert "secret" not in done.output
    later = json.loads(copied("mirror", "--since", "2999-01-01", "--json").stdout)
    assert later["waiting"] == 0
    checked = json.loads(copied("mirror", "--check", "--json").stdout)
    assert (checked["runs"], checked["waiting"], checked["differences"]) == (0, 0, [])
    assert copied("mirror", "--check", "--again").exit_code == 2
