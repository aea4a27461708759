"""The rule `expected_gain`: its posterior, its memory of luck, its limits and its sentences."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from housing.gate import expected_gain
from housing.gate.check import judge
from housing.gate.evidence import Evidence, HoldoutReuse, Standing, read
from housing.gate.expected_gain import Belief, Noise, initial_belief, next_belief, posterior
from housing.gate.gain_power import chance, selection_bias
from housing.gate.model_checks import NoRegression
from housing.gate.policy import GatePolicy
from housing.problem import MINUS
from tests.housing.gate.conftest import comparison

POLICY = GatePolicy(rule="expected_gain")
NOISE = Noise(test=0.0064, training=0.0028, seeds=0.0025)


def sds(noise):
    return np.sqrt(np.diagonal(initial_belief(noise).covariance))


def observed(challenger, champion):
    """True changes, and those seen out of fold and on test rows, of models (n, 4)."""
    recipe, seeds, training, test = (challenger - champion).T
    return recipe + seeds, recipe + training, recipe + seeds + test


# --- the posterior ------------------------------------------------------------------------------


def test_the_posterior_is_that_of_drawn_models():
    """Regression of drawn true changes on drawn observations has its coefficients and spread."""
    rng = np.random.default_rng(1)
    champion, challenger = sds(NOISE) * rng.standard_normal((2, 200_000, 4))
    true, training, test = observed(challenger, champion)
    known = initial_belief(NOISE)
    at = [posterior(known, NOISE, *seen).change for seen in ((0, 0), (1, 0), (0, 1))]
    X = np.column_stack([training, test])
    slopes, (residual,), *_ = np.linalg.lstsq(X, true, rcond=None)
    assert [at[1] - at[0], at[2] - at[0]] == pytest.approx(slopes, abs=0.01)
    sd = posterior(known, NOISE, 0.0, 0.0).sd
    assert sd == pytest.approx(math.sqrt(residual / len(X)), rel=0.01)


def test_without_out_of_fold_errors_the_test_rows_decide_alone():
    found = posterior(initial_belief(Noise(0.0064)), Noise(0.0064), None, -0.01)
    share = 2 * expected_gain.CHALLENGERS**2 / (2 * expected_gain.CHALLENGERS**2 + 0.0064**2)
    assert found.change == pytest.approx(-0.01 * share, rel=1e-3)


def lived(noise, nights, planted=None, worlds=4_000, policy=POLICY):
    """True changes and posteriors of comparison `nights` with the champion that is left by then.

    The last challenger is truly better or worse by `planted` where that is given.
    """
    rng = np.random.default_rng(3)
    champion = sds(noise) * rng.standard_normal((worlds, 4))
    start = initial_belief(noise)
    known = Belief(np.tile(start.mean, (worlds, 1)), np.tile(start.covariance, (worlds, 1, 1)))
    for night in range(1, nights + 1):
        challenger = sds(noise) * rng.standard_normal((worlds, 4))
        if night == nights and planted is not None:
            error = champion[:, 0] + champion[:, 1] + math.log1p(planted)
            challenger[:, 0] = error - challenger[:, 1]
        true, training, test = observed(challenger, champion)
        found = posterior(known, noise, None if noise.training is None else training, test)
        passed = expected_gain.passes(found, test, policy)
        if night == nights:
            return true, found, passed, champion
        champion = np.where(passed[:, None], challenger, champion)
        known = Belief(
            np.where(passed[:, None], found.challenger.mean, found.champion.mean),
            np.where(passed[:, None, None], found.challenger.covariance, found.champion.covariance),
        )
        known = next_belief(known, noise, 1.0, 1.0)


@pytest.mark.parametrize("night", [1, 10, 40])
def test_the_expected_gain_and_the_probability_hold_on_every_night(night):
    true, found, passed, _ = lived(NOISE, night)
    beyond = (true - found.change) / found.sd
    assert beyond.mean() == pytest.approx(0, abs=4 / len(true) ** 0.5)
    assert beyond.std() == pytest.approx(1, abs=0.08)
    shown = found.probability(0.005)
    middle = (shown > 0.2) & (shown < 0.5)
    rate = np.log(1.005) < true
    assert rate[middle].mean() == pytest.approx(shown[middle].mean(), abs=0.08)
    promoted = true[passed]
    assert promoted.mean() <= -POLICY.cost_of_change
    error = 4 * promoted.std() / len(promoted) ** 0.5
    assert promoted.mean() == pytest.approx(found.change[passed].mean(), abs=error)


def test_what_is_known_of_the_champion_contains_its_luck():
    _, _, _, champion = lived(NOISE, 40)
    assert champion[:, 3].mean() < -0.0005  # selection has left lucky champions
    assert selection_bias(NOISE, POLICY, 39) == pytest.approx(-champion[:, 3].mean(), abs=0.0005)


@given(st.floats(0, 1), st.floats(0, 1))
def test_luck_is_diluted_by_new_rows(training_kept, test_kept):
    known = Belief(np.array([0.001, 0.003, -0.002, -0.004]), 0.3 * initial_belief(NOISE).covariance)
    found = next_belief(known, NOISE, training_kept, test_kept)
    assert found.mean == pytest.approx([0.001, 0.003, -0.002 * training_kept, -0.004 * test_kept])
    own = np.diagonal(initial_belief(NOISE).covariance)
    shares = np.array([training_kept, test_kept])
    assert np.diagonal(found.covariance)[2:] == pytest.approx(
        0.3 * own[2:] * shares**2 + own[2:] * (1 - shares)
    )


@pytest.mark.parametrize("night", [1, 10])
@pytest.mark.parametrize("true", [-0.015, -0.004, 0.0, 0.005])
@pytest.mark.parametrize("training", [None, 0.0028])
def test_predicted_rates_are_those_of_simulated_comparisons(night, true, training):
    noise = replace(NOISE, training=training)
    predicted = chance(noise, POLICY, true, earlier=night - 1)
    passed = lived(noise, night, true)[2]
    error = 4 * (predicted * (1 - predicted) * (1 / 4_000 + 1 / 1_000)) ** 0.5 + 0.002
    assert passed.mean() == pytest.approx(predicted, abs=error)


def test_a_regression_of_the_margin_passes_rarely_and_a_gain_is_found():
    for earlier in (0, 9, 39):
        assert chance(NOISE, POLICY, 0.01, earlier=earlier) <= 0.05
        assert chance(NOISE, POLICY, 0.02, earlier=earlier) <= 0.001
        assert chance(NOISE, POLICY, -0.015, earlier=earlier) >= 0.8


@given(st.floats(1e-4, 0.05), st.one_of(st.none(), st.floats(1e-4, 0.02)), st.integers(0, 3))
def test_a_worse_challenger_never_passes_more_often(test, training, earlier):
    rates = [
        chance(Noise(test, training), POLICY, change, earlier=earlier)
        for change in (-0.05, -0.01, 0.0, 0.01, 0.05)
    ]
    assert rates == sorted(rates, reverse=True)


# --- the check ----------------------------------------------------------------------------------


def of_training(effect, se=0.003):
    return comparison(effect, se, rows=16_000)


def checked(make_evidence, effect=-0.006, training=-0.006, policy=POLICY, **changes):
    evidence = make_evidence(effect, 0.0064, training=of_training(training), **changes)
    return NoRegression().run(evidence, policy)


STANDING = Standing(
    (0.0, 0.0, 0.0, -0.006),
    ((1e-5, 0, 0, 0), (0, 0, 0, 0), (0, 0, 1e-6, 0), (0, 0, 0, 1e-6)),
    16_000, 4_000, 9, 0.006,
)  # fmt: skip


def test_both_sources_count_and_the_three_figures_are_shown(make_evidence):
    result = checked(make_evidence)
    assert result.outcome == "passed"
    figures = result.figures
    assert figures["expected_gain"] >= POLICY.cost_of_change
    assert figures["probability_of_regression"] < 0.05
    assert -0.006 < figures["largest_passing_change"] <= 0
    assert result.message.replace(MINUS, "-") == (
        "The expected gain in RMSE is 0.45 %; the probability of a regression beyond 1 % is below "
        "0.01 %. The RMSE changes by -0.60 % (95 % interval -1.9 to +0.7 %) on 4,000 test "
        "rows and out of fold by -0.60 % (95 % interval -1.2 to 0.0 %) on 16,000 training rows. "
        "It would not pass with a change above 0 % on the test rows."
    )


def test_a_small_gain_is_not_worth_a_change(make_evidence):
    small = checked(make_evidence, -0.002, -0.001)
    assert small.outcome == "failed"
    assert "A change of the champion needs an expected gain of 0.2 %." in small.message
    free = POLICY.model_copy(update={"cost_of_change": 0.0})
    assert checked(make_evidence, -0.002, -0.001, free).outcome == "passed"


def test_an_observed_regression_vetoes_unless_the_policy_lifts_that(make_evidence):
    vetoed = checked(make_evidence, 0.001, -0.012)
    assert vetoed.outcome == "failed"
    assert vetoed.figures["expected_gain"] > POLICY.cost_of_change
    assert "keeps the champion where the challenger's error on the test rows" in vetoed.message
    assert vetoed.figures["largest_passing_change"] == 0.0
    lifted = POLICY.model_copy(update={"regression_veto": False})
    assert checked(make_evidence, 0.001, -0.012, lifted).outcome == "passed"


def test_a_probable_regression_is_inconclusive(make_evidence):
    evidence = make_evidence(-0.01, 0.03, standing=replace(STANDING, challengers=0.02))
    strict = POLICY.model_copy(update={"margin": 0.0, "cost_of_change": 0.0})
    result = NoRegression().run(evidence, strict)
    assert result.outcome == "inconclusive"
    assert "A regression may have a probability of 5 %." in result.message


def test_the_same_figures_pass_against_a_champion_that_was_lucky(make_evidence):
    before = checked(make_evidence, -0.001, -0.004)
    lucky = checked(make_evidence, -0.001, -0.004, standing=STANDING)
    assert lucky.figures["expected_gain"] > before.figures["expected_gain"] + 0.001
    assert (
        "after 9 earlier verdicts the champion's error on test rows is expected to be 0.6 % below "
        "its true error."
    ) in lucky.message


def test_what_would_change_the_verdict_changes_it(make_evidence):
    for effect, training in ((-0.006, -0.006), (-0.004, -0.001), (-0.02, 0.001)):
        highest = checked(make_evidence, effect, training).figures["largest_passing_change"]
        for away, outcome in ((-3e-4, True), (3e-4, False)):
            found = checked(make_evidence, highest + away, training)
            assert (found.outcome == "passed") is outcome
    needs = NoRegression().needs(make_evidence(-0.002, 0.0064), POLICY)
    assert needs.startswith("It would pass with a change of at most")


def test_rows_that_are_used_again_keep_the_rule_superior(make_evidence):
    result = checked(make_evidence, judged_before=(5,))
    assert result.figures["rule"] == "superior"
    assert "expected_gain" not in result.figures


def test_an_old_record_has_no_such_evidence_and_is_judged(make_evidence):
    evidence = make_evidence(-0.03, 0.0064)
    stored = json.loads(TypeAdapter(Evidence).dump_json(evidence))
    del stored["training"], stored["standing"]
    old = read(stored)
    assert (old.training, old.standing) == (None, None)
    assert judge(old, POLICY).outcome == "promote"
    assert judge(old, GatePolicy()).outcome == "promote"


# --- what is known after a verdict --------------------------------------------------------------


def test_a_lucky_promotion_is_known_to_be_lucky(make_evidence):
    evidence = make_evidence(-0.02, 0.0064, training=of_training(-0.002))
    champion, challenger = expected_gain.standings(evidence)
    assert challenger.mean[-1] < -0.002 < 0 < champion.mean[-1]
    assert (challenger.training_rows, challenger.test_rows) == (16_000, 4_000)
    assert challenger.comparisons == 1
    again = make_evidence(0.0, 0.0064, standing=challenger, holdout_reuse=None)
    assert expected_gain.of_evidence(again).change < 0  # an equal error is a better model
    all_new = HoldoutReuse(1, 4_000, None, None, None)
    fresh = make_evidence(0.0, 0.0064, standing=challenger, holdout_reuse=all_new)
    assert expected_gain.of_evidence(fresh).change > expected_gain.of_evidence(again).change


def test_the_spread_of_challengers_is_learnt(make_evidence):
    for effect, wider in ((-0.06, True), (0.0005, False)):
        standing = None
        for _ in range(30):
            evidence = make_evidence(
                effect, 0.004, training=of_training(effect, 0.002), standing=standing
            )
            standing = expected_gain.standings(evidence)[0]
        assert (standing.challengers > expected_gain.CHALLENGERS) == wider
    assert standing.comparisons == 30


def test_models_that_err_alike_are_judged_without_an_error(make_evidence):
    result = NoRegression().run(make_evidence(0.0, 0.0), POLICY)
    assert result.outcome == "failed"
