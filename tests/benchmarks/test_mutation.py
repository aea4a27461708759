"""Which tests a mutant of a module meets, and how survivors are counted."""

import pytest

from benchmarks import mutation


def test_a_module_is_tested_by_its_mirrored_file() -> None:
    assert mutation.tests_of("housing/training/split") == ["tests/housing/training/test_split.py"]


def test_tests_that_name_a_module_run_if_it_has_no_mirrored_test_file() -> None:
    """The one that names it most is first."""
    tests = mutation.tests_of("housing/gate/decision_rule")
    assert tests
    assert all(test.startswith("tests/housing/gate/") for test in tests)


def test_a_module_that_no_test_names_is_refused() -> None:
    with pytest.raises(SystemExit, match="name some with TESTS="):
        mutation.tests_of("housing/gate/nothing_of_that_name")


def test_a_survivor_with_a_reason_is_no_missing_test(monkeypatch) -> None:
    monkeypatch.setattr(mutation, "EQUIVALENT", {("a/b", "x <= 1"): "x is never 1"})
    diff = "--- mutation diff ---\n--- a/b.py\n+++ b/b.py\n@@\n context\n-    x < 1\n+    x <= 1"
    known = mutation.survivor("a/b", 3, "core/Replace_Lt_LtE", diff)
    unknown = mutation.survivor("a/c", 3, "core/Replace_Lt_LtE", diff)
    assert (known["before"], known["after"]) == ("x < 1", "x <= 1")
    figures = {"mutants": 9, "sample": 2, "noticed": 0, "timed_out": 0}
    found = {"a/b": {**figures, "survivors": [known, unknown]}}
    assert mutation.counts(found).splitlines()[-1] == "| `a/b` | 9 | 2 | 0 | 0 | 1 | 1 |"
    assert "x is never 1" in mutation.survivors(found)
    assert "**a test is missing**" in mutation.survivors(found)
