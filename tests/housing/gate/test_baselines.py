"""A baseline that fails protects nobody from a good model, and lets no bad one through."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from housing import schema
from housing.evaluation.compare import bounded_errors, compare, compare_by_halves
from housing.evaluation.spatial_se import row_cells, spatial_cells
from housing.gate.check import judge
from housing.gate.evidence import Evidence, read
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, TestRows, measure_evidence
from housing.gate.policy import GatePolicy
from housing.keys import row_keys
from housing.records import Candidate
from housing.training.candidates import BASELINES
from housing.training.families import ModelFamily
from housing.training.fit import predict_baselines
from housing.training.split import SplitRule, assign, strata
from tests.housing.training.families import fit

POLICY = GatePolicy(preflight=False)
N = 600


def models(seed, skill=0.8):
    """Test rows, a challenger, and two baselines; the line's errors are `skill` above its own."""
    rng = np.random.default_rng(seed)
    actual = rng.uniform(50_000, 500_000, N)
    where = spatial_cells(rng.uniform(-124, -114, N), rng.uniform(32, 42, N), schema.CELL)
    test = TestRows(1, where, actual)
    errors = rng.normal(0, 40_000, N)
    line = actual + errors * (1 + skill) + rng.normal(0, 15_000, N)
    baselines = {"linear": line, "median": np.full(N, np.median(actual))}
    challenger = ModelPredictions(8, "8", np.maximum(actual + errors, 1.0), 2_000, 0)
    return test, challenger, baselines


def outcome(test, challenger, baselines, failed=None):
    competitors = Competitors(None, baselines, failed_baselines=failed or {})
    evidence = measure_evidence(test, challenger, competitors, POLICY, RunFacts())
    return {r.name: r for r in judge(evidence, POLICY).checks}["beats-baseline"]


SEVERITY = ("passed", "inconclusive", "failed")


@settings(max_examples=40)
@given(
    st.integers(0, 30),
    st.sampled_from(["linear", "median"]),
    st.floats(1.0, 1e6),
    st.floats(0.001, 1.0),
    st.sampled_from(["scaled", "nan", "inf"]),
)
def test_no_error_of_a_baseline_turns_a_pass_into_another_outcome(seed, name, factor, share, how):
    rng = np.random.default_rng(seed)
    # The line is so near that the limit is often close by.
    test, challenger, baselines = models(seed, skill=rng.uniform(0.05, 0.2))
    before = outcome(test, challenger, baselines).outcome
    rows = rng.random(N) < share
    wild = {"nan": np.nan, "inf": -np.inf}.get(how)
    worse = test.actual + factor * (baselines[name] - test.actual) if wild is None else wild
    changed = {**baselines, name: np.where(rows, worse, baselines[name])}
    after = outcome(test, challenger, changed).outcome
    assert SEVERITY.index(after) <= SEVERITY.index(before)


def test_a_single_wild_prediction_leaves_a_good_model_its_promotion():
    test, challenger, baselines = models(3)
    assert outcome(test, challenger, baselines).outcome == "passed"
    baselines["linear"][17] = 6e6
    theirs = compare(
        test.actual,
        baselines["linear"],
        challenger.values,
        test.where,
        confidence=POLICY.confidence,
    )
    assert theirs.upper > 0, "the plain interval does not decide this case"
    assert outcome(test, challenger, baselines).outcome == "passed"


@pytest.mark.parametrize("wild", [1e12, np.nan])
def test_an_exploding_baseline_hides_no_challenger_that_another_beats(wild):
    """With the highest bound deciding alone, the wide one of the explosion was `inconclusive`."""
    test, _, baselines = models(4)
    bad = ModelPredictions(
        9, "9", test.actual + 1.3 * np.abs(baselines["linear"] - test.actual), 9, 0
    )
    exploded = np.full(N, float(np.median(test.actual)))
    exploded[:3] = wild
    result = outcome(test, bad, {"linear": baselines["linear"], "median": exploded})
    assert (result.outcome, result.figures["decided_by"]) == ("failed", "linear")


def test_one_extreme_prediction_of_a_baseline_lets_no_worse_challenger_pass():
    """A challenger worse than the line fails, however far the line is off on one row."""
    test, _, baselines = models(5)
    bad = ModelPredictions(9, "9", np.maximum(test.actual + 90_000, 1.0), 9, 0)
    assert outcome(test, bad, baselines).outcome == "failed"
    baselines["linear"][0] = 1e12
    assert outcome(test, bad, baselines).outcome == "failed"


def test_a_baseline_that_predicts_nothing_is_named_and_does_not_count():
    test, challenger, baselines = models(6)
    result = outcome(test, challenger, {**baselines, "linear": np.full(N, np.nan)})
    assert result.outcome == "passed"
    assert "the linear baseline failed (no prediction is finite)" in result.message
    assert result.figures["failed"] == {"linear": "no prediction is finite"}


def test_no_challenger_passes_if_every_baseline_fails():
    test, challenger, _ = models(7)
    result = outcome(test, challenger, {}, {"linear": "LinAlgError: x", "median": "ValueError: y"})
    assert result.outcome == "error"
    assert "the median baseline failed (ValueError: y)" in result.message


class _Broken:
    def fit(self, X, y):
        raise RuntimeError("no convergence")

    get_params = dict


class _Short:
    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X) - 1)

    get_params = dict


def test_a_baseline_that_raises_is_reported_and_the_others_are_fitted(monkeypatch):
    for name, kind in (("broken", _Broken), ("short", _Short)):
        monkeypatch.setitem(BASELINES, name, ModelFamily(name, lambda _, kind=kind: kind(), "none"))
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.uniform(1, 2, 40) for name in schema.FEATURES})
    frame["ocean_proximity"] = "INLAND"
    found = predict_baselines(frame, rng.uniform(1, 2, 40), frame.iloc[:7], seed=1)
    assert set(found.values) == set(BASELINES) - {"broken", "short"}
    assert found.failed["broken"] == "RuntimeError: no convergence"
    assert found.failed["short"].startswith("ValueError")


def test_the_first_ten_thousand_lines_of_the_real_table_get_a_champion(census_path):
    """There the line is 5 million dollars off on one district."""
    frame = pd.read_csv(census_path).astype(schema.dtypes()).iloc[:10_000]
    side = assign(row_keys(frame), strata(frame), {}, SplitRule(0.2, 42))
    train, test = frame[~side].reset_index(drop=True), frame[side].reset_index(drop=True)
    X, y = train[list(schema.FEATURES)], train[schema.TARGET]
    parameters = {"model__max_iter": 150, "model__learning_rate": 0.1}
    model = fit(X, y, Candidate(0, "boosting", parameters), seed=42)
    baselines = predict_baselines(X, y, test, seed=42)
    assert baselines.values["linear"].max() > 3e6, "the case is the one that is meant"
    rows = TestRows(1, row_cells(test), test[schema.TARGET].to_numpy())
    challenger = ModelPredictions(1, "1", model.predict(test[list(schema.FEATURES)]), len(train), 0)
    evidence = measure_evidence(
        rows, challenger, Competitors(None, baselines.values), POLICY, RunFacts()
    )
    verdict = judge(evidence, POLICY)
    assert verdict.outcome == "promote", verdict.message
    assert evidence.baselines["linear"].bounded_rows == 1
    assert evidence.baselines["linear"].metrics.rmse.value < 80_000


# --- the bound itself ------------------------------------------------------------------------


def test_the_bound_holds_its_share_of_equal_models_and_is_not_too_wide():
    rng, covered, widths = np.random.default_rng(0), [], []
    for _ in range(200):
        codes = np.repeat(np.arange(120), 6)
        town = rng.normal(0, 20_000, (2, 120))[:, codes]
        one, other = rng.normal(0, 40_000, (2, len(codes))) + town
        truth = np.linspace(0, 1e6, len(codes))
        where = spatial_cells(50.0 * codes, np.zeros(len(codes)), 0.1)
        halves = compare_by_halves(truth, truth + one, truth + other, where, confidence=0.95)
        plain = compare(truth, truth + one, truth + other, where, confidence=0.95)
        covered.append(halves.upper >= 0)
        widths.append((halves.upper - halves.effect) / (plain.upper - plain.effect))
    assert 0.91 <= np.mean(covered) <= 0.99
    assert 0.8 <= np.median(widths) <= 1.2


def test_too_few_cells_use_the_worse_half():
    codes = np.repeat([0, 1], 50)
    truth = np.linspace(0, 100, 100)
    theirs, ours = np.where(codes == 0, 2.0, 1.0), np.full(100, 1.0)
    where = spatial_cells(50.0 * codes, np.zeros(100), 0.1)
    found = compare_by_halves(truth, truth + theirs, truth + ours, where, confidence=0.95)
    assert found.upper == pytest.approx(0.0), "equal in the second place, half in the first"


def test_errors_are_bounded_by_the_range_of_the_labels():
    actual = np.array([100.0, 200.0, 300.0])
    predicted = np.array([1e9, np.nan, -np.inf])
    np.testing.assert_array_equal(bounded_errors(actual, predicted), [200.0, 200.0, -200.0])


def judged_with(estimates, facts=None):
    test, challenger, baselines = models(3)
    competitors = Competitors(None, baselines, estimates=estimates(test, challenger))
    evidence = measure_evidence(test, challenger, competitors, POLICY, facts or RunFacts())
    verdict = judge(evidence, POLICY)
    return evidence, {r.name: r for r in verdict.checks}["beats-baseline"], verdict


def some(values, rows):
    return np.where(np.arange(N) < rows, values, np.nan)


def test_existing_estimates_are_compared_on_the_rows_that_have_one():
    def estimates(test, challenger):
        return some(test.actual + 2 * (challenger.values - test.actual), 400)

    evidence, check, verdict = judged_with(estimates)
    found = evidence.baselines["existing estimates"]
    assert (found.comparison.rows, found.missing_rows) == (400, 200)
    assert check.outcome == "passed"
    assert "200 of 600 test rows are missing among the existing estimates" in check.message
    stored = TypeAdapter(Evidence).dump_python(evidence, mode="json")
    assert judge(read(json.loads(json.dumps(stored))), POLICY) == verdict


def test_better_estimates_keep_the_challenger_out_whatever_the_other_rows():
    def estimates(test, challenger):
        return some(test.actual + 0.9 * (challenger.values - test.actual), 400)

    _, check, verdict = judged_with(estimates)
    assert (check.outcome, verdict.outcome) == ("failed", "keep")
    assert "of the existing estimates baseline" in check.message


def test_too_few_estimates_are_named_and_left_out():
    _, check, _ = judged_with(lambda test, challenger: some(test.actual, 49))
    assert check.outcome == "passed"
    assert "only 49 of 600 test rows have one, 50 are required" in check.message


def test_estimates_that_cannot_be_read_decide_nothing():
    facts = RunFacts(failed={"beats-baseline": "gone.csv does not exist"})
    _, check, verdict = judged_with(lambda test, challenger: None, facts)
    assert (check.outcome, verdict.outcome) == ("error", "inconclusive")
    assert "gone.csv does not exist" in check.message
