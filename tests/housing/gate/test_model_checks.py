"""How the challenger predicts: each limit from both sides, and the sentences people read."""

from dataclasses import replace

import pytest

from housing.gate.decision_rule import evenly_spaced, rows_needed
from housing.gate.evidence import Baseline
from housing.gate.model_checks import BeatsBaseline, NoRegression, SanePredictions
from housing.gate.policy import GatePolicy

POLICY = GatePolicy()


def unmeasured(evidence):
    """The same evidence with a challenger whose predictions are not all finite."""
    ours = replace(evidence.challenger, metrics=None, non_finite=2)
    blind = {name: replace(b, comparison=None) for name, b in evidence.baselines.items()}
    return replace(evidence, challenger=ours, comparison=None, baselines=blind)


# --- sane predictions -----------------------------------------------------------------------


@pytest.mark.parametrize(("count", "outcome"), [(0, "passed"), (1, "failed")])
def test_a_single_prediction_that_is_not_finite_fails(make_evidence, count, outcome):
    evidence = make_evidence()
    ours = replace(evidence.challenger, non_finite=count)
    result = SanePredictions().run(replace(evidence, challenger=ours), POLICY)
    assert result.outcome == outcome
    assert result.figures == {"non_finite": count}


# --- better than nothing --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "se", "outcome"),
    [
        (-0.5, 0.01, "passed"),
        (-0.0501, 0.0, "passed"),
        (-0.05, 0.0, "passed"),
        (-0.06, 0.02, "inconclusive"),
        (-0.05, 0.02, "inconclusive"),
        (-0.0499, 0.0, "failed"),
        (0.1, 0.01, "failed"),
    ],
)
def test_each_baseline_is_beaten_by_the_margin(make_evidence, effect, se, outcome):
    evidence = make_evidence(baseline_effect=effect, baseline_se=se)
    policy = GatePolicy(baseline_margin=0.05)
    assert BeatsBaseline().run(evidence, policy).outcome == outcome


def test_the_nearest_baseline_decides_whatever_their_order(make_evidence):
    evidence = make_evidence(baseline_effect=0.01)
    backwards = dict(reversed(evidence.baselines.items()))
    for baselines in (evidence.baselines, backwards):
        result = BeatsBaseline().run(replace(evidence, baselines=baselines), POLICY)
        assert result.outcome == "failed"
        assert "linear baseline" in result.message
        assert set(result.figures) == {"linear", "median", "decided_by", "failed"}
        assert result.figures["decided_by"] == "linear"


def test_no_baseline_is_no_proof_of_skill(make_evidence):
    with pytest.raises(ValueError, match="no baseline"):
        BeatsBaseline().run(make_evidence(baselines={}), POLICY)


# --- no regression --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "se", "outcome"),
    [
        (-0.04, 0.005, "passed"),
        (0.0, 0.0, "passed"),
        (-0.005, 0.009, "passed"),  # upper bound 0.0098
        (-0.005, 0.0095, "inconclusive"),  # upper bound 0.0106
        (-0.001, 0.02, "inconclusive"),
        (0.0001, 0.0, "failed"),  # above, though within the margin
        (0.005, 0.001, "failed"),
        (0.03, 0.05, "failed"),
    ],
)
def test_the_rule_decides_by_effect_and_bound(make_evidence, effect, se, outcome):
    result = NoRegression().run(make_evidence(effect, se), GatePolicy(margin=0.01))
    assert result.outcome == outcome


def test_a_bound_equal_to_the_margin_passes(make_evidence):
    evidence = make_evidence(-0.005, 0.009)
    upper = evidence.comparison.upper
    assert NoRegression().run(evidence, GatePolicy(margin=upper)).outcome == "passed"
    assert NoRegression().run(evidence, GatePolicy(margin=upper - 1e-9)).outcome == "inconclusive"


@pytest.mark.parametrize(
    ("effect", "se", "rows"), [(-0.005, 0.0095, 4_341), (-0.04, 0.005, None), (0.03, 0.005, None)]
)
def test_only_an_inconclusive_outcome_names_the_rows_that_would_decide_it(
    make_evidence, effect, se, rows
):
    result = NoRegression().run(make_evidence(effect, se), POLICY)
    assert result.figures.get("rows_needed") == rows
    assert ("would decide it" in result.message) is (rows is not None)


def test_the_clustered_bound_decides_not_the_independent_one(make_evidence):
    evidence = make_evidence(-0.005, 0.0095)
    narrow = replace(evidence.comparison, se_independent=1e-6)
    result = NoRegression().run(replace(evidence, comparison=narrow), POLICY)
    assert result.outcome == "inconclusive"


def test_without_a_champion_no_comparison_is_read(make_evidence):
    worse = make_evidence(0.3).comparison
    for comparison in (None, worse):
        evidence = make_evidence(champion=None, comparison=comparison)
        assert NoRegression().run(evidence, POLICY).outcome == "not applicable"


@pytest.mark.parametrize("check", [BeatsBaseline(), NoRegression()])
def test_models_without_finite_errors_are_not_compared(make_evidence, check):
    result = check.run(unmeasured(make_evidence()), POLICY)
    assert result.outcome == "not applicable"


@pytest.mark.parametrize("check", [BeatsBaseline(), NoRegression()])
def test_a_missing_measurement_is_a_fault(make_evidence, check):
    evidence = make_evidence()
    unknown = replace(evidence, challenger=replace(evidence.challenger, metrics=None))
    with pytest.raises(ValueError, match="not measured"):
        check.run(unknown, POLICY)


def test_a_champion_without_finite_predictions_is_not_replaced_by_default(make_evidence):
    evidence = make_evidence()
    broken = replace(evidence.champion, metrics=None, non_finite=9)
    with pytest.raises(ValueError, match="m7, gives no finite predictions"):
        NoRegression().run(replace(evidence, champion=broken, comparison=None), POLICY)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rows": 3_999}, "compared on 3999 rows, not all 4000"),
        ({"effect": float("nan")}, "not finite"),
        ({"upper": float("inf")}, "not finite"),
    ],
)
@pytest.mark.parametrize("check", [BeatsBaseline(), NoRegression()])
def test_a_comparison_of_another_kind_is_refused(make_evidence, check, change, why):
    evidence = make_evidence()
    wrong = replace(evidence.comparison, **change)
    baselines = {"linear": Baseline(evidence.baselines["linear"].metrics, wrong)}
    with pytest.raises(ValueError, match=why):
        check.run(replace(evidence, comparison=wrong, baselines=baselines), POLICY)


@pytest.mark.parametrize("check", [BeatsBaseline(), NoRegression()])
def test_a_comparison_at_another_confidence_is_refused(make_evidence, check):
    with pytest.raises(ValueError, match=r"confidence of 0\.9, not 0\.95"):
        check.run(make_evidence(confidence=0.9), POLICY)
    assert check.run(make_evidence(confidence=0.9), GatePolicy(confidence=0.9)).outcome == "passed"


def test_a_comparison_that_was_not_made_is_refused(make_evidence):
    with pytest.raises(ValueError, match="were not compared"):
        NoRegression().run(make_evidence(comparison=None), POLICY)


# --- how many rows it would take ------------------------------------------------------------


def test_the_same_effect_passes_with_the_named_number_of_rows(make_evidence):
    evidence = make_evidence(-0.002, 0.02)
    needed = rows_needed(evidence.comparison, POLICY.margin)
    assert needed > evidence.test_rows
    shrunk = 0.02 * (evidence.test_rows / needed) ** 0.5
    assert NoRegression().run(make_evidence(-0.002, shrunk * 0.9999), POLICY).outcome == "passed"
    assert (
        NoRegression().run(make_evidence(-0.002, shrunk * 1.001), POLICY).outcome == "inconclusive"
    )


def test_some_changes_cannot_be_decided_by_any_number_of_rows(make_evidence):
    evidence = make_evidence(0.0, 0.02)
    assert rows_needed(evidence.comparison, 0.0) is None
    result = NoRegression().run(evidence, GatePolicy(margin=0))
    assert result.outcome == "inconclusive"
    assert "no number of test rows" in result.message


# --- what people read -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "se", "message"),
    [
        (
            -0.041,
            0.005,
            "The challenger's RMSE is $38,360, 4.1 % below the champion's $40,000; with "
            "95 % confidence it is at least 3.2 % better, where up to 1 % worse is tolerated.",
        ),
        (
            -0.005,
            0.009,
            "The challenger's RMSE is $39,800, 0.5 % below the champion's $40,000; with "
            "95 % confidence it is at most 1 % worse, where up to 1 % worse is tolerated.",
        ),
        (
            0.018,
            0.006,
            "The challenger's RMSE is $40,720, 1.8 % above the champion's $40,000 "
            "(95 % interval +0.6 to +3.0 %).",
        ),
        (
            -0.003,
            0.0121,
            "The challenger's RMSE is $39,880, 0.3 % below the champion's $40,000, but "
            "on 4,000 test rows it may still be 1.7 % worse, where up to 1 % is tolerated; about "
            "9,400 test rows would decide it.",
        ),
        (
            0.0,
            0.0,
            "The challenger's RMSE is $40,000, exactly the champion's $40,000; with "
            "95 % confidence it is not worse, where up to 1 % worse is tolerated.",
        ),
    ],
)
def test_each_outcome_has_its_message(make_evidence, effect, se, message):
    assert NoRegression().run(make_evidence(effect, se), POLICY).message == message


def test_the_sentence_about_baselines(make_evidence):
    assert BeatsBaseline().run(make_evidence(), POLICY).message == (
        "The challenger's RMSE is $38,400, 50 % below the $70,000 of the linear "
        "baseline; at least 5 % below is required."
    )


# --- how far back the ratchet looks ---------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "chosen"),
    [
        (0, []),
        (1, [0]),
        (2, [0, 9]),
        (4, [0, 3, 6, 9]),
        (10, list(range(10))),
        (99, list(range(10))),
    ],
)
def test_evenly_spaced_former_champions_include_both_ends(most, chosen):
    assert evenly_spaced(list(range(10)), most) == chosen


def test_a_history_is_spread_to_the_nearest_champion():
    assert evenly_spaced(list(range(4)), 3) == [0, 2, 3]
