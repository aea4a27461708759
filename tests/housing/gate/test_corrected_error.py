"""A model's error on the test rows with the selection bias removed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from housing.gate.corrected_error import ALL, NOT_SELECTED, UNUSED, with_corrections
from housing.gate.evidence import Evidence, HoldoutReuse, read
from housing.gate.expected_gain import (
    Noise,
    initial_belief,
    on_fresh_rows,
    posterior,
    standings,
)  # fmt: skip
from housing.gate.policy import GatePolicy
from tests.housing.gate.conftest import comparison, metrics

POLICY = GatePolicy()


def corrected(evidence):
    found = with_corrections(evidence, POLICY)
    return found.challenger.corrected, found.champion and found.champion.corrected


def test_the_error_of_a_first_champion_needs_no_correction(make_evidence):
    evidence = make_evidence(champion=None)
    ours, theirs = corrected(evidence)
    assert (ours.error, theirs) == (evidence.challenger.metrics.rmse, None)
    assert (ours.source, ours.bias, ours.verdicts) == (NOT_SELECTED, 0.0, 0)


def test_the_error_of_a_lucky_challenger_is_raised_and_that_of_an_unlucky_champion_lowered(
    make_evidence,
):
    evidence = make_evidence(-0.02, 0.0064, training=comparison(-0.002, 0.003, rows=16_000))
    ours, theirs = corrected(evidence)
    shown = evidence.challenger.metrics.rmse
    assert 1.004 * shown.value < ours.error.value < 1.02 * shown.value
    assert ours.error.value * (1 - ours.bias) == pytest.approx(shown.value)
    assert theirs.error.value < evidence.champion.metrics.rmse.value
    assert theirs.bias < 0
    assert (ours.source, ours.rows, ours.verdicts) == (ALL, 4_000, 1)
    width = (ours.error.upper - ours.error.value) / ours.error.value
    assert 0.04 < width < 0.05  # 5 % around the shown error, of which some is known now


@pytest.mark.parametrize("rule", ["no_regression", "superior", "expected_gain"])
def test_the_rule_does_not_change_it(make_evidence, rule):
    evidence = make_evidence(-0.02, 0.0064)
    found = with_corrections(evidence, GatePolicy(rule=rule))
    assert found == with_corrections(evidence, POLICY)


def test_what_earlier_verdicts_say_is_counted(make_evidence):
    once = make_evidence(-0.02, 0.0064, training=comparison(-0.002, 0.003, rows=16_000))
    lucky = standings(once)[1]
    again = make_evidence(
        0.004, 0.0064, training=comparison(0.0, 0.003, rows=16_000), standing=lucky
    )
    champion = corrected(again)[1]
    assert champion.verdicts == 2
    assert champion.bias > 0.003


def test_enough_rows_that_no_verdict_used_are_taken_alone(make_evidence):
    for fresh, source in ((499, ALL), (500, UNUSED)):
        reuse = HoldoutReuse(12, fresh, metrics(41_000.0, fresh), metrics(39_900.0), None)
        evidence = make_evidence(0.002, 0.0064, holdout_reuse=reuse)
        ours, theirs = corrected(evidence)
        assert (theirs.source, ours.source) == (source, ALL)
    assert theirs.rows == 500
    assert theirs.error.value == pytest.approx(41_000.0, rel=0.003)
    assert theirs.bias > 0  # it stayed, partly as it was lucky on them


def test_the_deviation_on_unused_rows_is_that_of_drawn_models():
    noise, share = Noise(test=0.0064, training=0.0028, seeds=0.0025), 0.2
    rng = np.random.default_rng(1)
    sd = np.sqrt(np.diagonal(initial_belief(noise).covariance))
    champion, challenger = sd * rng.standard_normal((2, 200_000, 4))
    fresh, used = rng.standard_normal((2, 200_000)) * sd[3]
    fresh, used = fresh / share**0.5, used / (1 - share) ** 0.5
    champion[:, 3] = share * fresh + (1 - share) * used
    recipe, seeds, training, test = (challenger - champion).T
    X = np.column_stack([recipe + training, recipe + seeds + test])
    slopes, (residual,), *_ = np.linalg.lstsq(X, fresh, rcond=None)
    seen = [posterior(initial_belief(noise), noise, *x) for x in ((1.0, 0.0), (0.0, 1.0))]
    means, variances = zip(*(on_fresh_rows(each, noise, share) for each in seen), strict=True)
    assert means == pytest.approx(slopes, abs=0.02)
    assert variances[0] == pytest.approx(residual / len(X), rel=0.02)


def test_it_is_recorded_and_an_old_record_has_none(make_evidence):
    evidence = with_corrections(make_evidence(-0.02, 0.0064), POLICY)
    stored = json.loads(TypeAdapter(Evidence).dump_json(evidence))
    assert read(stored) == evidence
    del stored["challenger"]["corrected"]
    assert read(stored).challenger.corrected is None


def test_models_that_err_alike_keep_their_error(make_evidence):
    evidence = make_evidence(0.0, 0.0)
    ours, _ = corrected(evidence)
    assert ours.error.value == pytest.approx(evidence.challenger.metrics.rmse.value)
    worse = replace(evidence, comparison=None)
    assert corrected(worse) == (None, None)
