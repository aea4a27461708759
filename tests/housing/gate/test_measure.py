"""Measured beside the comparison: subsets, seed variance, former champions, holdout reuse."""

from dataclasses import replace

import numpy as np
import pytest

from housing import schema
from housing.evaluation.compare import compare
from housing.evaluation.metrics import measure
from housing.evaluation.spatial_se import spatial_cells
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, TestRows, measure_evidence
from housing.gate.policy import GatePolicy

POLICY = GatePolicy()
N = 1_000


@pytest.fixture(scope="module")
def models():
    rng = np.random.default_rng(11)
    actual = rng.uniform(300_000, 750_000, N)
    first = np.arange(N) < 300
    rows = TestRows(
        3,
        spatial_cells(rng.uniform(-124, -114, N), rng.uniform(32, 42, N), schema.CELL),
        actual,
        slices={"first": first, "rest": ~first, "nobody": np.zeros(N, dtype=bool)},
        fresh=np.arange(N) >= 850,
        capped=np.arange(N) % 10 == 0,
    )
    errors = rng.normal(0, 40_000, (6, N)) + rng.normal(0, 40_000, N)
    members = tuple(actual + errors[:3] * 0.9)
    challenger = ModelPredictions(8, "8", np.mean(members, axis=0), 4_000, 0, members)
    champion = ModelPredictions(7, "7", actual + errors[3], 4_000, 0)
    return rows, challenger, champion, actual + errors


def gathered(models, former=(), rows=None, **changes):
    test, challenger, champion, _ = models
    competitors = Competitors(champion, {}, former)
    return measure_evidence(
        rows or test, replace(challenger, **changes), competitors, POLICY, RunFacts()
    )


def against(models, rows):
    test, challenger, champion, _ = models
    return compare(
        test.actual[rows], champion.values[rows], challenger.values[rows], test.where.of(rows),
        confidence=POLICY.confidence,
    )  # fmt: skip


def test_each_part_is_a_comparison_on_its_rows(models):
    evidence, rows = gathered(models), models[0]
    slices = {part.name: part for part in evidence.slices}
    assert slices["first"].comparison == against(models, rows.slices["first"])
    assert slices["first"].rows == 300
    assert (slices["nobody"].rows, slices["nobody"].comparison) == (0, None)
    assert evidence.recent.comparison == against(models, rows.fresh)
    assert evidence.uncapped.comparison == against(models, ~rows.capped)


def test_subsets_that_are_unknown_are_not_measured(models):
    bare = replace(models[0], slices={}, fresh=None, capped=None)
    evidence = gathered(models, rows=bare)
    assert (evidence.slices, evidence.recent, evidence.uncapped, evidence.holdout_reuse) == (
        (), None, None, None,
    )  # fmt: skip


def test_the_best_former_champion_is_that_with_the_lowest_error_on_these_rows(models):
    predictions = models[3]
    former = [
        ModelPredictions(
            i, str(i), models[0].actual + f * (predictions[4] - models[0].actual), 4_000, 0
        )
        for i, f in ((3, 1.0), (4, 0.8), (5, 0.9))
    ]
    found = gathered(models, former).former
    assert (found.id, found.among) == (4, 3)
    assert found.error == pytest.approx(measure(models[0].actual, former[1].values).rmse.value)
    broken = replace(former[1], values=np.where(np.arange(N) == 3, np.nan, former[1].values))
    found = gathered(models, [former[0], broken, former[2]]).former
    assert (found.id, found.among) == (5, 2)
    assert gathered(models, [broken]).former is None


def test_seed_variance_is_the_jackknife_of_the_ensemble(models):
    rows, challenger, _, _ = models
    rmse = lambda p: measure(rows.actual, p).rmse.value  # noqa: E731
    variance = gathered(models).seed_variance
    assert variance.errors == pytest.approx([rmse(m) for m in challenger.members])
    pairs = [rmse((challenger.members[a] + challenger.members[b]) / 2) for a, b in
             ((0, 1), (0, 2), (1, 2))]  # fmt: skip
    spread = (2 / 3 * sum((p - np.mean(pairs)) ** 2 for p in pairs)) ** 0.5
    assert variance.spread == pytest.approx(spread / rmse(challenger.values))
    assert gathered(models, members=()).seed_variance is None
    assert gathered(models, members=challenger.members[:1]).seed_variance is None


def test_the_jackknife_is_the_spread_over_other_bags():
    """Over many ensembles of one recipe, its mean is the standard deviation of their errors."""
    rng = np.random.default_rng(5)
    actual, shared = rng.uniform(2e5, 4e5, N), rng.normal(0, 40_000, N)
    where = spatial_cells(rng.uniform(-124, -114, N), rng.uniform(32, 42, N), schema.CELL)
    rows = TestRows(1, where, actual)
    errors, spreads = [], []
    for _ in range(150):
        members = tuple(actual + shared + rng.normal(0, 15_000, (4, N)))
        model = ModelPredictions(8, "8", np.mean(members, axis=0), 1, 0, members)
        evidence = measure_evidence(rows, model, Competitors(), POLICY, RunFacts())
        errors.append(evidence.challenger.metrics.rmse.value)
        spreads.append(evidence.seed_variance.spread)
    truth = np.std(errors) / np.mean(errors)
    assert np.mean(np.square(spreads)) ** 0.5 == pytest.approx(truth, rel=0.2)


def test_reuse_compares_the_champions_error_on_fresh_and_used_rows(models):
    rows, _, champion, _ = models
    reuse = measure_evidence(
        rows, models[1], Competitors(champion), POLICY, RunFacts(decisions=9)
    ).holdout_reuse
    fresh = rows.fresh
    on = [measure(rows.actual[r], champion.values[r]).rmse.value for r in (fresh, ~fresh)]
    assert (reuse.decisions, reuse.fresh_rows) == (9, 150)
    assert (reuse.fresh.rmse.value, reuse.used.rmse.value) == pytest.approx(on)
    assert reuse.difference.value == pytest.approx(on[0] / on[1] - 1)


def test_rows_like_the_others_rarely_seem_to_show_an_overfitted_test_set(models):
    """Also where promotion asks for little confidence: the warning says "beyond chance"."""
    rng, rows = np.random.default_rng(3), models[0]
    policy = POLICY.model_copy(update={"confidence": 0.5})
    alarms = 0
    for _ in range(200):
        errors = 20_000 * rng.standard_t(3, size=N)  # few large errors make most of the RMSE
        champion = replace(models[2], values=rows.actual + errors)
        reuse = measure_evidence(rows, models[1], Competitors(champion), policy, RunFacts())
        alarms += reuse.holdout_reuse.difference.lower > 0
    assert alarms <= 11, "of 2.5 % at most"


def test_too_few_fresh_rows_are_counted_and_not_measured(models):
    few = replace(models[0], fresh=np.arange(N) < 99)
    reuse = gathered(models, rows=few).holdout_reuse
    assert (reuse.fresh_rows, reuse.fresh, reuse.difference) == (99, None, None)


def test_as_many_fresh_rows_as_are_asked_for_are_measured(models):
    enough = replace(models[0], fresh=np.arange(N) < 100)
    assert gathered(models, rows=enough).holdout_reuse.fresh is not None
    used = replace(models[0], fresh=np.arange(N) >= 99)
    assert gathered(models, rows=used).holdout_reuse.used is None, "few of the other kind"


def test_two_members_are_enough_for_a_seed_variance_and_equal_ones_have_none(models):
    rows, challenger, _, _ = models
    two = challenger.members[:2]
    assert gathered(models, members=two).seed_variance.spread > 0
    near = tuple(rows.actual + 1e-3 * (member - rows.actual) / 40_000 for member in two)
    whole = measure(rows.actual, np.mean(near, axis=0)).rmse.value
    assert whole < 1, "dollars"
    variance = gathered(models, members=near).seed_variance
    assert variance.spread == pytest.approx(
        abs(variance.errors[0] - variance.errors[1]) / 2 / whole, rel=1e-3
    )
    assert gathered(models, members=(rows.actual, rows.actual)).seed_variance.spread == 0


def test_an_ensemble_with_one_broken_member_has_no_seed_variance(models):
    one, *others = models[1].members
    broken = np.where(np.arange(N) == 5, np.nan, one)
    assert gathered(models, members=(broken, *others)).seed_variance is None


def test_facts_of_a_run_are_empty_unless_given():
    assert RunFacts() == RunFacts(0, 0, 0, (), None, None)


def test_a_challenger_that_cannot_be_measured_is_compared_with_nothing(models):
    values = np.where(np.arange(N) == 5, np.nan, models[1].values)
    evidence = gathered(models, [models[2]], values=values)
    assert (evidence.mae, evidence.slices, evidence.recent, evidence.former) == (
        None, (), None, None,
    )  # fmt: skip


def test_a_champion_without_error_on_the_fresh_rows_is_no_fault(models):
    rows, challenger, champion, _ = models
    exact = replace(champion, values=np.where(rows.fresh, rows.actual, champion.values))
    reuse = measure_evidence(rows, challenger, Competitors(exact), POLICY, RunFacts()).holdout_reuse
    assert reuse.difference is None
    assert reuse.fresh.rmse.value == 0
