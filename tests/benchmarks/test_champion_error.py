"""The corrected error of a champion on paper, in a quick form."""

import pytest

from benchmarks.gate.champion_error import GOAL, RULES, lived
from benchmarks.gate.paper import ON_PAPER


@pytest.mark.parametrize("rule", RULES)
def test_selection_biases_the_shown_error_and_not_the_corrected(rule):
    found = lived(ON_PAPER["one draw a night"], rule, worlds=300, last=10)["10"]
    assert found["shown"] < -2 * GOAL + 0.0005
    assert found["corrected"] == pytest.approx(0, abs=GOAL + 2 * found["se"])
    assert found["coverage"] == pytest.approx(0.95, abs=0.01)
