"""The operating characteristic against simulated comparisons, and the two numbers in words."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from housing.gate import decision_rule
from housing.gate.policy import GatePolicy
from housing.gate.power import (
    chance,
    earlier_comparisons,
    largest_passing_change,
    operating_characteristic,
    rows_for,
    selection_bias,
)
from tests.housing.gate.conftest import comparison

RULES = ("no_regression", "superior", "non_inferior")


def at(effect, se, clusters=700):
    found = comparison(effect, se)
    return replace(found, clusters=clusters, upper=effect + t.ppf(0.95, clusters - 1) * se)


@pytest.mark.parametrize("rule", RULES)
@given(st.floats(-0.05, 0.05), st.floats(1e-4, 0.05))
def test_a_change_passes_exactly_up_to_the_largest_passing_change(rule, effect, se):
    policy, found = GatePolicy(rule=rule), at(effect, se)
    most = largest_passing_change(found, policy)
    if abs(effect - most) > 1e-9:
        assert (decision_rule.outcome(found, policy) == "passed") is (
            effect <= largest_passing_change(found, policy)
        )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("true", [-0.015, -0.004, 0.0, 0.004, 0.01])
@pytest.mark.parametrize("se", [0.003, 0.006])
def test_the_predicted_rate_is_that_of_simulated_comparisons(rule, true, se):
    policy = GatePolicy(rule=rule)
    effects = np.random.default_rng(3).normal(true, se, 4_000)
    rate = np.mean([decision_rule.outcome(at(e, se), policy) == "passed" for e in effects])
    predicted = chance(at(0.0, se), policy, true)
    assert rate == pytest.approx(predicted, abs=4 * (predicted * (1 - predicted) / 4_000) ** 0.5)


def test_seed_variance_adds_to_the_standard_error_of_the_curve():
    found, policy = at(0.0, 0.003), GatePolicy()
    assert chance(found, policy, 0.01, seed_spread=0.004) == chance(at(0.0, 0.005), policy, 0.01)


def test_the_message_names_both_error_rates():
    found = operating_characteristic(at(-0.01, 0.003), GatePolicy())
    assert found.passes == pytest.approx(chance(at(0, 0.003), GatePolicy(), 0.01))
    assert chance(at(0, 0.003), GatePolicy(), -found.gain_needed) == pytest.approx(0.8)
    assert found.no_change == pytest.approx(0.5)
    assert found.message == (
        "On 4,000 test rows the rule no_regression lets a 1 % regression of the RMSE through in "
        "0.043 % of runs and needs a 0.25 % gain to be promoted in 80 % of runs. These rates hold "
        "for the first comparison on these rows; how many there were before is not recorded."
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("se", [0.003, 0.009])
def test_the_gain_that_is_needed_is_found_four_times_of_five(rule, se):
    found = operating_characteristic(at(0.0, se), GatePolicy(rule=rule))
    if rule == "non_inferior" and se == 0.003:  # an equal challenger passes more often than that
        assert found.gain_needed is None
        assert found.no_change > 0.8
    else:
        assert chance(at(0.0, se), GatePolicy(rule=rule), -found.gain_needed) == pytest.approx(0.8)


@pytest.mark.parametrize(("margin", "asked"), [(0.02, 0.02), (0.0, 0.01), (0.004, 0.004)])
def test_the_regression_that_is_asked_about_is_the_margin(margin, asked):
    found = operating_characteristic(at(0.0, 0.003), GatePolicy(rule="superior", margin=margin))
    assert found.regression == asked
    assert found.passes == chance(at(0.0, 0.003), GatePolicy(rule="superior"), asked)


def test_the_curve_reaches_the_gain_that_it_marks():
    found = operating_characteristic(at(0, 0.04), GatePolicy())
    changes, rates = zip(*found.curve, strict=True)
    assert -0.05 > -found.gain_needed > changes[0]
    assert list(changes) == sorted(changes)
    assert np.interp(-found.gain_needed, changes, rates) == pytest.approx(0.8, abs=0.02)


def test_the_curve_goes_from_five_percent_better_to_five_percent_worse():
    changes = [change for change, _ in operating_characteristic(at(0, 0.003), GatePolicy()).curve]
    assert changes == pytest.approx(np.arange(-20, 21) * 0.0025)


@pytest.mark.parametrize(
    ("passes", "words"),
    [(0.0001, "in 0.01 % of"), (0.00009, "in fewer than 0.01 % of"), (1.0, "in 100 % of")],
)
def test_chances_are_written_in_words(passes, words):
    found = replace(operating_characteristic(at(0, 0.003), GatePolicy()), passes=passes)
    assert words in found.message
    assert "lets a 9.9 % regression of the RMSE through" in replace(found, regression=0.099).message
    assert "needs a 9.9 % gain" in replace(found, gain_needed=0.099).message
    certain = replace(found, gain_needed=None, no_change=0.996)
    assert "and promotes an equal challenger in 100 % of runs. " in certain.message


@pytest.mark.parametrize("rule", RULES)
@given(st.floats(1e-4, 0.05))
def test_a_worse_challenger_never_passes_more_often(rule, se):
    curve = operating_characteristic(at(0.0, se), GatePolicy(rule=rule)).curve
    rates = [rate for _, rate in curve]
    assert rates == sorted(rates, reverse=True)


def test_without_any_noise_the_rule_is_a_step():
    found = operating_characteristic(comparison(-0.01, 0.0), GatePolicy())
    assert {rate for change, rate in found.curve if change > 0} == {0.0}
    assert {rate for change, rate in found.curve if change <= 0} == {1.0}
    assert found.gain_needed is None


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gain", [0.004, 0.015])
def test_with_the_rows_it_asks_for_the_gain_is_found(rule, gain):
    found, policy = at(0.0, 0.01), GatePolicy(rule=rule)
    needed = rows_for(found, policy, gain)
    for times, enough in ((1.001, True), (0.99, False)):
        shrunk = at(0.0, 0.01 * (found.rows / (times * needed)) ** 0.5)
        assert (chance(shrunk, policy, -gain) >= 0.8) is enough


def test_no_number_of_rows_finds_a_gain_that_is_none():
    assert rows_for(at(0.0, 0.01), GatePolicy(), 0.0) is None
    assert rows_for(at(0.0, 0.01), GatePolicy(rule="superior"), -0.01) is None


# --- later comparisons on the same rows ---------------------------------------------------------


def champions(policy, se, earlier, worlds=4_000):
    """Selection bias of the champion on many test sets, after comparisons with equal models."""
    rng = np.random.default_rng(5)
    champion = rng.normal(0, se / 2**0.5, worlds)
    for _ in range(earlier):
        challenger = rng.normal(0, se / 2**0.5, worlds)
        passed = challenger - champion <= largest_passing_change(at(0.0, se), policy)
        champion = np.where(passed, challenger, champion)
    return champion, rng.normal(0, se / 2**0.5, worlds)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("earlier", [1, 9, 39])
@pytest.mark.parametrize("true", [-0.015, -0.005, 0.0, 0.005])
def test_later_comparisons_on_the_same_rows_are_predicted_too(rule, earlier, true):
    policy, se = GatePolicy(rule=rule), 0.0065
    champion, challenger = champions(policy, se, earlier)
    rate = np.mean(challenger + true - champion <= largest_passing_change(at(0.0, se), policy))
    predicted = chance(at(0.0, se), policy, true, earlier=earlier)
    assert rate == pytest.approx(predicted, abs=4 * (predicted * (1 - predicted) / 4_000) ** 0.5)
    bias = selection_bias(at(0.0, se), policy, earlier)
    assert -champion.mean() == pytest.approx(bias, abs=4 * champion.std() / 4_000**0.5)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=20)
@given(st.floats(1e-4, 0.05), st.integers(0, 60), st.floats(-0.03, 0.03))
def test_each_comparison_makes_the_next_one_harder(rule, se, earlier, change):
    policy, found = GatePolicy(rule=rule), at(0.0, se)
    now, next_ = (chance(found, policy, change, earlier=n) for n in (earlier, earlier + 1))
    assert next_ <= now + 1e-6
    assert selection_bias(found, policy, earlier) >= -1e-9


def test_the_message_names_the_comparisons_for_which_its_rates_hold():
    first, tenth = (
        operating_characteristic(at(0.0, 0.0065), GatePolicy(), earlier=n) for n in (0, 9)
    )
    assert first.message.endswith("These rates hold for the first comparison on these rows.")
    assert first.curve == first.first_curve == tenth.first_curve
    assert dict(tenth.curve)[0.0] < dict(tenth.first_curve)[0.0] / 5
    assert tenth.gain_needed > 1.5 * first.gain_needed
    assert tenth.message.endswith(
        "These rates hold for comparison 10 on these rows, if earlier challengers were as good as "
        "the champion. The expected selection bias of the error of the champion is "
        "\N{MINUS SIGN}0.7 %."
    )


@pytest.mark.parametrize(("decisions", "earlier"), [(0, 0), (1, 0), (2, 1), (12, 11)])
def test_the_first_decision_on_the_rows_compared_with_no_champion(
    make_evidence, decisions, earlier
):
    evidence = make_evidence()
    worn = replace(evidence, holdout_reuse=replace(evidence.holdout_reuse, decisions=decisions))
    assert earlier_comparisons(worn) == earlier
    assert earlier_comparisons(replace(evidence, holdout_reuse=None)) is None


@pytest.mark.parametrize("rule", RULES)
def test_more_rows_are_needed_on_rows_that_were_used(rule):
    found, policy = at(0.0, 0.0065), GatePolicy(rule=rule)
    needed = [rows_for(found, policy, 0.01, earlier=n) for n in (0, 9, 39)]
    assert needed == sorted(set(needed))
    shrunk = at(0.0, 0.0065 * (found.rows / needed[1]) ** 0.5)
    assert chance(shrunk, policy, -0.01, earlier=9) == pytest.approx(0.8, abs=0.005)
