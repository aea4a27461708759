"""What would change a check's mind: the figures in the words, on both sides of each limit."""

from dataclasses import replace

import pytest

from housing.formatting import signed
from housing.gate.check import CHECKS, with_default_thresholds
from housing.gate.data_checks import DriftFound, RejectedShare, TestRowCount
from housing.gate.evidence import BestFormerChampion, ServingCosts
from housing.gate.model_checks import BeatsBaseline, NoRegression
from housing.gate.policy import GatePolicy
from housing.gate.service_checks import ArtifactSize, Latency
from housing.gate.subset_checks import NoCumulativeRegression, RecentRows, Slices, UncappedRows
from tests.housing.gate.conftest import column, comparison, drift, part

POLICY = with_default_thresholds(GatePolicy())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("champion", [40_000.0, None])
def test_every_check_states_what_it_needs(make_evidence, check, champion):
    assert check.needs(make_evidence(champion=champion), POLICY).endswith(".")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (490, "It passes with 10 more test rows."),
        (499, "It passes with 1 more test rows."),
        (500, "It fails with 1 fewer test rows."),
        (509, "It fails with 10 fewer test rows."),
    ],
)
def test_test_row_count_names_the_missing_rows(make_evidence, rows, words):
    assert TestRowCount().needs(make_evidence(rows=rows), GatePolicy(min_test_rows=500)) == words


def test_rejected_share_names_the_largest_number_of_rejected_rows(make_evidence):
    evidence = make_evidence(read_rows=500, rejected_rows=4)
    words = RejectedShare().needs(evidence, GatePolicy(max_rejected_share=0.2))
    assert words == "It passes with at most 100 of 500 rows rejected."


def test_drift_names_the_largest_effect(make_evidence):
    found = drift(column(0.07), column(0.09, name="households"), column(0.02, name="total_rooms"))
    words = DriftFound().needs(make_evidence(drift=(found,)), POLICY)
    assert words.startswith("A finding requires 200 rows, an effect of 0.1 and an adjusted p-value")
    assert words.endswith("The largest effect is households's: 0.09.")
    assert "largest" not in DriftFound().needs(make_evidence(drift=()), POLICY)


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (-0.2, "It fails if the error rises by about 15 % of the baseline; at the present "
               "error about 2 test rows are enough."),
        (-0.05, "It fails if the error rises by about 0 % of the baseline; at the present "
                "error no number of test rows is enough."),
        (0.0, "It passes if the error falls by about 5 % of the baseline; at the present error "
              "no number of test rows would decide it."),
    ],
)  # fmt: skip
def test_beats_baseline_names_the_required_change(make_evidence, effect, words):
    evidence = make_evidence(baseline_effect=effect, baseline_se=0.0)
    assert BeatsBaseline().needs(evidence, POLICY) == words


def test_beats_baseline_names_the_rows_that_would_decide_it(make_evidence):
    words = BeatsBaseline().needs(make_evidence(baseline_effect=-0.06, baseline_se=0.02), POLICY)
    assert "falls by about 2.3 % of the baseline" in words
    assert "about 44,000 test rows would decide it" in words


@pytest.mark.parametrize(
    ("rule", "effect", "most"),
    [
        ("no_regression", -0.005, "\N{MINUS SIGN}0.64"),
        ("no_regression", -0.1, "\N{MINUS SIGN}0.64"),
        ("superior", -0.005, "\N{MINUS SIGN}1.64"),
        ("non_inferior", 0.02, "\N{MINUS SIGN}0.64"),
    ],
)
def test_the_change_that_would_pass(make_evidence, rule, effect, most):
    words = NoRegression().needs(make_evidence(effect, 0.01), GatePolicy(rule=rule))
    assert f"measured change is at most {most} %; it was {signed(100 * effect)} %." in words
    unsure = rule == "superior" or effect == -0.005
    assert ("would decide it; there are 4,000" in words) is unsure
    failed = rule == "non_inferior"
    assert ("no number of test rows is enough; there are 4,000" in words) is failed


@pytest.mark.parametrize(
    ("effect", "rule", "rows"),
    [
        (-0.01, "no_regression", "about 680 test rows are enough; there are 4,000."),
        (-0.02, "superior", "about 680 test rows are enough; there are 4,000."),
        (-0.1, "no_regression", "about 23 test rows are enough; there are 4,000."),
    ],
)
def test_the_rows_that_a_passing_change_takes(make_evidence, effect, rule, rows):
    words = NoRegression().needs(make_evidence(effect, 0.005), GatePolicy(rule=rule))
    assert words.endswith(rows)


def test_a_narrow_bound_leaves_only_the_sign(make_evidence):
    words = NoRegression().needs(make_evidence(-0.005, 0.001), POLICY)
    assert "at most 0 %" in words
    rule = GatePolicy(rule="non_inferior")
    assert "at most +0.84 %" in NoRegression().needs(make_evidence(-0.005, 0.001), rule)


def test_slices_name_the_slice_nearest_to_failing(make_evidence):
    parts = (part(0.0, 0.02, 400, "far"), part(0.08, 0.02, 300, "near"), part(0.3, 0.2, 49, "few"))
    words = Slices().needs(make_evidence(slices=parts), POLICY)
    assert "the nearest is that of near, 0.13 (change +8.0 %" in words
    assert "at or below 0.05" in words
    assert words.endswith("At this change about 520 such rows fail it.")
    calm = (part(-0.04, 0.02, 400, "far"), part(-0.01, 0.02, 300, "near"))
    words = Slices().needs(make_evidence(slices=calm), POLICY)
    assert "that of near, 1 (" in words, "corrected p-values of 1 still have an order"
    assert words.endswith("At this change no number of such rows fails it.")
    small = make_evidence(slices=(part(rows=49),))
    assert Slices().needs(small, POLICY) == "It needs a slice of at least 50 test rows."


@pytest.mark.parametrize(
    ("check", "where", "limit"), [(RecentRows(), "recent", 100), (UncappedRows(), "uncapped", 50)]
)
def test_the_change_that_would_be_evidence(make_evidence, check, where, limit):
    policy = GatePolicy(recent_margin=0.02, uncapped_margin=0.02)
    enough = make_evidence(**{where: part(0.01, 0.02, limit)})
    assert check.needs(enough, policy) == (
        "It fails if the change on them is above about +5.3 %; it was +1.0 %. At this change no "
        "number of such rows fails it."
    )
    above = make_evidence(**{where: part(0.04, 0.02, 400)})
    assert check.needs(above, policy) == (
        "It fails if the change on them is above about +5.3 %; it was +4.0 %. At this change "
        "about 1,100 such rows fail it."
    )
    few = make_evidence(**{where: part(0.01, 0.02, limit - 1)})
    needs = f"It needs {limit} such rows to be judged; there are {limit - 1}."
    assert check.needs(few, policy) == needs
    assert check.needs(make_evidence(**{where: None}), policy).endswith("there are 0.")


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (-0.02, "It fails if the error rises by about 3 % of m5's."),
        (0.01, "It fails if the error rises by about 0 % of m5's."),
        (0.03, "It passes if the error falls by about 2 % of m5's."),
    ],
)
def test_cumulative_regression_names_the_required_change(make_evidence, effect, words):
    evidence = make_evidence(former=BestFormerChampion(5, 1, 1.0, comparison(effect, 0.01)))
    assert NoCumulativeRegression().needs(evidence, POLICY) == words
    none = replace(evidence, former=None)
    assert "needs a former champion" in NoCumulativeRegression().needs(none, POLICY)


def test_latency_and_size_name_the_factor_to_their_budgets(make_evidence):
    evidence = make_evidence(costs=ServingCosts(50.0, None, 2_000_000))
    policy = GatePolicy(latency_budget_ms=100, thresholds={"artifact-size": 10})
    assert "is 2 times the measured time" in Latency().needs(evidence, policy)
    assert "is 5 times the present size" in ArtifactSize().needs(evidence, policy)
    small = make_evidence(costs=ServingCosts(0.5, None, 25_000))
    assert "is 200 times the measured time" in Latency().needs(small, policy)
    assert "is 400 times the present size" in ArtifactSize().needs(small, policy)


def test_one_training_row_is_enough_to_prove_something(make_evidence):
    from housing.gate.data_checks import LeakProof

    evidence = make_evidence()
    one = replace(evidence, challenger=replace(evidence.challenger, training_rows=1))
    assert LeakProof().run(one, POLICY).outcome == "passed"
