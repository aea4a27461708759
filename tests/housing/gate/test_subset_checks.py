"""Slices, recent rows, capped labels and the ratchet: each limit from both sides."""

from dataclasses import replace

import pytest
from scipy import stats

from housing.evaluation.compare import holm, regression_p_value
from housing.gate.decision_rule import rows_to_show
from housing.gate.evidence import BestFormerChampion, SubsetComparison
from housing.gate.policy import GatePolicy
from housing.gate.subset_checks import NoCumulativeRegression, RecentRows, Slices, UncappedRows
from tests.housing.gate.conftest import comparison, part
from tests.housing.gate.test_model_checks import unmeasured

POLICY = GatePolicy()
CLUSTERS = 700
PARTS = [(RecentRows(), "recent", "recent_margin"), (UncappedRows(), "uncapped", "uncapped_margin")]


def effect_with(p_value, margin, se):
    """The effect whose one-sided p-value against a margin is as given."""
    return margin + stats.t.isf(p_value, CLUSTERS - 1) * se


def slices(make_evidence, *effects, se=0.02, rows=400):
    parts = tuple(part(e, se, rows, f"slice {i}") for i, e in enumerate(effects))
    return make_evidence(slices=parts)


# --- slices ---------------------------------------------------------------------------------


def test_p_values_are_students(make_evidence):
    found = comparison(0.09, 0.02)
    assert regression_p_value(found, 0.05) == pytest.approx(stats.t.sf(2, CLUSTERS - 1))
    assert regression_p_value(comparison(0.05, 0.0), 0.05) == 1
    assert regression_p_value(comparison(0.051, 0.0), 0.05) == 0


def test_holm_correction_agrees_with_a_hand_calculation():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(("p_value", "outcome"), [(0.049, "failed"), (0.051, "passed")])
def test_one_slice_alone_needs_no_correction(make_evidence, p_value, outcome):
    evidence = slices(make_evidence, effect_with(p_value, 0.05, 0.02))
    assert Slices().run(evidence, GatePolicy(slice_margin=0.05)).outcome == outcome


@pytest.mark.parametrize(("p_value", "outcome"), [(0.0124, "failed"), (0.0126, "passed")])
def test_four_slices_share_the_chance_of_a_false_alarm(make_evidence, p_value, outcome):
    evidence = slices(make_evidence, -0.04, effect_with(p_value, 0.05, 0.02), -0.04, 0.0)
    result = Slices().run(evidence, GatePolicy(slice_margin=0.05))
    assert result.outcome == outcome
    assert "slice 1" in result.message


def test_the_margin_and_the_confidence_move_it(make_evidence, monkeypatch):
    evidence = slices(make_evidence, 0.09)  # two standard errors above 5 %: p = 0.023
    assert Slices().run(evidence, GatePolicy(slice_margin=0.07)).outcome == "passed"
    assert Slices().run(evidence, POLICY).outcome == "failed"
    monkeypatch.setattr("housing.gate.subset_checks.EVIDENCE_CONFIDENCE", 0.98)
    assert Slices().run(evidence, POLICY).outcome == "passed"


def test_a_p_value_on_the_limit_is_evidence(make_evidence, monkeypatch):
    monkeypatch.setattr("housing.gate.subset_checks.EVIDENCE_CONFIDENCE", 0.5)
    policy = GatePolicy(slice_margin=0.05, recent_margin=0.05)
    on_it = slices(make_evidence, 0.05)  # as likely above the margin as below
    assert Slices().run(on_it, policy).outcome == "failed"
    assert RecentRows().run(make_evidence(recent=part(0.05)), policy).outcome == "failed"


@pytest.mark.parametrize(("effect", "outcome"), [(-0.01, "passed"), (0.3, "failed")])
def test_a_slice_by_a_number_is_named_in_words(make_evidence, effect, outcome):
    evidence = make_evidence(slices=(part(effect, name="income <=1.5"),))
    result = Slices().run(evidence, POLICY)
    assert result.outcome == outcome
    for text in (result.message, Slices().needs(evidence, POLICY)):
        assert "income at most 1.5" in text
        assert "<=" not in text
    assert set(result.figures) == {"income <=1.5"}, "evidence keeps the stored name"


def test_the_worst_slice_is_named_first(make_evidence):
    result = Slices().run(slices(make_evidence, 0.2, 0.4, 0.3), POLICY)
    assert [result.message.index(f"slice {i} {w}") for i, w in ((1, 40), (2, 30), (0, 20))] == (
        sorted(result.message.index(f"slice {i}") for i in range(3))
    )


@pytest.mark.parametrize("effect", [0.08, 0.12])
@pytest.mark.parametrize("level", [0.05, 0.01, 0.0125])
def test_on_the_rows_that_are_named_the_same_change_is_evidence(level, effect):
    few = comparison(effect, 0.04, rows=100)
    rows = rows_to_show(few, 0.05, level)
    enough = replace(few, se=few.se * (few.rows / rows) ** 0.5)
    short = replace(few, se=few.se * (few.rows / (0.99 * rows)) ** 0.5)
    assert regression_p_value(enough, 0.05) <= level < regression_p_value(short, 0.05)
    assert rows_to_show(comparison(0.05, 0.04), 0.05, level) is None


@pytest.mark.parametrize(("rows", "outcome"), [(50, "failed"), (49, "not applicable")])
def test_a_small_slice_is_not_judged(make_evidence, rows, outcome):
    result = Slices().run(slices(make_evidence, 0.5, rows=rows), GatePolicy(slice_min_rows=50))
    assert result.outcome == outcome
    assert ("not judged" in result.message) is (rows < 50)


def test_small_slices_are_counted_in_the_sentence(make_evidence):
    result = Slices().run(make_evidence(), POLICY)
    assert result.outcome == "passed"
    assert "No evidence in 2 slices" in result.message
    assert "1 with fewer than 50 rows" in result.message


def test_slices_at_another_confidence_are_refused(make_evidence):
    evidence = make_evidence(slices=(part(confidence=0.9),))
    with pytest.raises(ValueError, match=r"confidence of 0\.9"):
        Slices().run(evidence, POLICY)


# --- some of the rows -----------------------------------------------------------------------


@pytest.mark.parametrize(("check", "where", "margin"), PARTS)
@pytest.mark.parametrize(("p_value", "outcome"), [(0.049, "failed"), (0.051, "passed")])
def test_a_part_blocks_on_evidence(make_evidence, check, where, margin, p_value, outcome):
    found = part(effect_with(p_value, 0.03, 0.02), 0.02)
    evidence = make_evidence(**{where: found})
    result = check.run(evidence, GatePolicy(**{margin: 0.03}))
    assert result.outcome == outcome
    assert "3 % higher" in result.message
    assert check.run(evidence, GatePolicy(**{margin: 0.2})).outcome == "passed"


@pytest.mark.parametrize(
    ("check", "where", "limit"), [(RecentRows(), "recent", 100), (UncappedRows(), "uncapped", 50)]
)
@pytest.mark.parametrize("below", [True, False])
def test_a_small_part_is_not_judged(make_evidence, check, where, limit, below):
    found = part(0.5, rows=limit - below)
    result = check.run(make_evidence(**{where: found}), POLICY)
    assert result.outcome == ("not applicable" if below else "failed")


@pytest.mark.parametrize(("check", "where", "_margin"), PARTS)
def test_rows_that_cannot_be_compared_at_all(make_evidence, check, where, _margin):
    evidence = make_evidence(**{where: SubsetComparison("few rows", 1, None)})
    assert check.run(evidence, POLICY).outcome == "not applicable"
    assert check.needs(evidence, POLICY)


# --- ratchet --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "outcome"), [(0.01, "passed"), (0.0101, "failed"), (-0.2, "passed")]
)
def test_cumulative_regression_compares_with_the_best_former_champion(
    make_evidence, effect, outcome
):
    former = BestFormerChampion(5, 3, 39_000.0, comparison(effect, 0.05))
    result = NoCumulativeRegression().run(
        make_evidence(former=former), GatePolicy(cumulative_margin=0.01)
    )
    assert result.outcome == outcome
    assert "of m5, the best of 3 former champions" in result.message


def test_cumulative_regression_is_judged_on_all_test_rows(make_evidence):
    former = BestFormerChampion(5, 3, 39_000.0, comparison(0.0, 0.05, rows=10))
    with pytest.raises(ValueError, match="compared on 10 rows"):
        NoCumulativeRegression().run(make_evidence(former=former), POLICY)


# --- what all have in common ----------------------------------------------------------------

ALL = [Slices(), RecentRows(), UncappedRows(), NoCumulativeRegression()]


@pytest.mark.parametrize("check", ALL)
def test_cumulative_regression_does_not_apply_without_a_former_champion(make_evidence, check):
    assert check.run(make_evidence(champion=None), POLICY).outcome == "not applicable"


@pytest.mark.parametrize("check", ALL)
def test_a_missing_measurement_never_passes(make_evidence, check):
    evidence = make_evidence(slices=(), recent=None, uncapped=None, former=None)
    assert check.run(evidence, POLICY).outcome == "not applicable"


@pytest.mark.parametrize("check", ALL)
def test_a_challenger_without_finite_predictions(make_evidence, check):
    assert check.run(unmeasured(make_evidence()), POLICY).outcome == "not applicable"
    unknown = make_evidence()
    unknown = replace(unknown, challenger=replace(unknown.challenger, metrics=None))
    with pytest.raises(ValueError, match="not measured"):
        check.run(unknown, POLICY)
