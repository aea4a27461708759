"""The value of a model in money."""

from dataclasses import replace

from housing.gate.evidence import ESTIMATES
from housing.report.worth import worth


def test_without_an_assumption_there_is_no_value(make_report):
    assert worth(make_report().evidence, None, None) == ()


def test_the_value_names_its_assumptions_and_the_best_baseline(make_report):
    evidence = make_report().evidence
    (text,) = worth(evidence, 0.02, 50)
    assert "costs 0.02 US dollars per unit (`HOUSING_VALUE__COST_PER_ERROR`)" in text
    assert "earns $50 (`HOUSING_VALUE__REVENUE`)" in text
    assert "with the median baseline" in text
    ours, theirs = evidence.challenger.metrics, evidence.baselines["median"].metrics
    gain = 1000 * (50 * (ours.within_10 - theirs.within_10) + 0.02 * (theirs.mae - ours.mae))
    assert f"${gain:,.0f} more" in text


def test_existing_estimates_are_compared_on_the_rows_that_have_one(make_report):
    evidence = make_report().evidence
    known = replace(evidence.challenger.metrics, rows=12, mae=7_000.0)
    estimates = replace(evidence.baselines["median"], missing_rows=3, challenger=known)
    baselines = {**evidence.baselines, ESTIMATES: estimates}
    (text,) = worth(replace(evidence, baselines=baselines), 1, None)
    assert "with the existing estimates" in text
    assert "$7,000 against" in text
    assert "on 12 test districts" in text
