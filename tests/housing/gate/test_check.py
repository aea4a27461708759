"""How outcomes become a verdict, and what no evidence whatever can bring about."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing import schema
from housing.errors import HousingError
from housing.evaluation.spatial_se import spatial_cells
from housing.gate.check import CHECKS, judge
from housing.gate.evidence import LoadCheck, ServingCosts
from housing.gate.measure import Competitors, ModelPredictions, RunFacts, TestRows, measure_evidence
from housing.gate.policy import GatePolicy
from housing.records import CheckResult

POLICY = GatePolicy()
RANK = {"keep": 0, "inconclusive": 1, "promote": 2}
DECIDING = "no-regression"


class Fixed:
    """A check with a fixed outcome, or one that raises."""

    def __init__(self, outcome, name="fixed"):
        self.outcome, self.name = outcome, name

    def run(self, evidence, policy):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return CheckResult(self.name, self.outcome, f"Check {self.name} is {self.outcome}.")

    def needs(self, evidence, policy):
        return "Nothing."


def changed(evidence, who, **facts):
    return replace(evidence, **{who: replace(getattr(evidence, who), **facts)})


# --- each check is in the registry and counts -----------------------------------------------


def test_checks_have_names_of_their_own():
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_a_good_challenger_is_promoted_with_the_result_of_every_check(make_evidence):
    verdict = judge(make_evidence(), POLICY)
    assert verdict.outcome == "promote"
    assert [result.name for result in verdict.checks] == [check.name for check in CHECKS]
    assert {result.outcome for result in verdict.checks} == {"passed"}
    assert verdict.message.startswith("Promote: the challenger's RMSE is $38,400, 4 %")


def test_a_first_challenger_is_decided_by_the_baselines(make_evidence):
    verdict = judge(make_evidence(champion=None), POLICY)
    assert verdict.outcome == "promote"
    assert verdict.message == (
        "Promote: there is no champion yet; the challenger's RMSE is $38,400, 50 % "
        "below the $70,000 of the linear baseline; at least 5 % below is required."
    )
    assert judge(make_evidence(champion=None, baseline_effect=0), POLICY).outcome == "keep"


@pytest.mark.parametrize("champion", [40_000.0, None])
def test_the_first_challenger_needs_every_check_that_applies(make_evidence, champion):
    good = make_evidence(champion=champion)
    for evidence, policy, outcome, culprit in [
        (good, GatePolicy(min_test_rows=4_001), "inconclusive", "test-rows"),
        (changed(good, "challenger", test_overlap=1), POLICY, "keep", "leak-proof"),
        (changed(good, "challenger", training_rows=0), POLICY, "inconclusive", "leak-proof"),
        (changed(good, "challenger", non_finite=1), POLICY, "keep", "sane-predictions"),
        (changed(good, "challenger", digest=""), POLICY, "inconclusive", "identity"),
        (good, GatePolicy(baseline_margin=0.6), "keep", "beats-baseline"),
        (replace(good, baselines={}), POLICY, "inconclusive", "beats-baseline"),
        (replace(good, rejected_rows=400), POLICY, "keep", "rejected-share"),
        (replace(good, costs=ServingCosts(501, None, 1)), POLICY, "keep", "latency"),
        (replace(good, costs=ServingCosts(1, None, 10**9)), POLICY, "keep", "artifact-size"),
        (replace(good, preflight=LoadCheck(0.1, 1)), POLICY, "keep", "preflight"),
        (
            replace(good, preflight=LoadCheck(None, 1, not_run="no process")),
            POLICY,
            "inconclusive",
            "preflight",
        ),
    ]:
        verdict = judge(evidence, policy)
        assert verdict.outcome == outcome
        assert [
            r.name for r in verdict.checks if r.outcome not in ("passed", "not applicable")
        ] == [culprit]


@pytest.mark.parametrize(
    ("evidence", "policy", "outcome"),
    [
        ({"effect": 0.001}, {}, "keep"),
        ({"effect": -0.005, "se": 0.01}, {}, "inconclusive"),
        ({"effect": -0.005, "se": 0.01}, {"margin": 0.02}, "promote"),
        ({"effect": -0.04}, {"min_test_rows": 4_000}, "promote"),
        ({"effect": -0.04, "confidence": 0.9}, {}, "inconclusive"),
        ({"effect": -0.04, "confidence": 0.9}, {"confidence": 0.9}, "promote"),
    ],
)
def test_thresholds_move_the_verdict(make_evidence, evidence, policy, outcome):
    assert judge(make_evidence(**evidence), GatePolicy(**policy)).outcome == outcome


def test_a_model_is_never_compared_with_itself(make_evidence):
    verdict = judge(changed(make_evidence(0.0, 0.0), "challenger", digest="sha256:7"), POLICY)
    assert verdict.outcome == "keep"
    assert "same artifact" in verdict.message


# --- how outcomes combine -------------------------------------------------------------------

OUTCOMES = ("passed", "failed", "not applicable", "error", "inconclusive")


@given(st.lists(st.sampled_from(OUTCOMES), max_size=6), st.sampled_from(OUTCOMES))
def test_outcomes_combine_in_one_way_only(make_evidence, others, deciding):
    checks = (*(Fixed(o, f"c{i}") for i, o in enumerate(others)), Fixed(deciding, DECIDING))
    verdict = judge(make_evidence(), POLICY, checks)
    found = {*others, deciding}
    if "failed" in found:
        assert verdict.outcome == "keep"
    elif found & {"error", "inconclusive"} or deciding != "passed":
        assert verdict.outcome == "inconclusive"
    else:
        assert verdict.outcome == "promote"
    assert verdict.message.lower().startswith(verdict.outcome)


@pytest.mark.parametrize("champion", [40_000.0, None])
@pytest.mark.parametrize("checks", [(), (Fixed("passed"),), (Fixed("not applicable"),)])
def test_nothing_is_promoted_where_the_deciding_check_did_not_run(make_evidence, checks, champion):
    verdict = judge(make_evidence(champion=champion), POLICY, checks)
    assert verdict.outcome == "inconclusive"
    assert "did not pass" in verdict.message


@pytest.mark.parametrize(
    "error", [ValueError("no value"), ZeroDivisionError(), HousingError(message="x")]
)
@pytest.mark.parametrize("place", [0, 6])
def test_a_check_that_raises_never_promotes(make_evidence, error, place):
    checks = (*CHECKS[:place], Fixed(error, "fragile"), *CHECKS[place:])
    verdict = judge(make_evidence(), POLICY, checks)
    assert verdict.outcome == "inconclusive"
    assert len(verdict.checks) == len(CHECKS) + 1
    assert verdict.checks[place].outcome == "error"
    assert "fragile" in verdict.message
    assert type(error).__name__ in verdict.message


def test_a_failed_check_is_decisive_beside_one_that_could_not_run(make_evidence):
    checks = (Fixed(ValueError("x"), "fragile"), *CHECKS)
    verdict = judge(make_evidence(0.05), POLICY, checks)
    assert verdict.outcome == "keep"


def test_every_failed_check_is_named(make_evidence):
    evidence = changed(make_evidence(0.05), "champion", test_overlap=2)
    verdict = judge(evidence, POLICY)
    assert verdict.outcome == "keep"
    assert "2 of the 16,000 training rows of m7" in verdict.message
    assert verdict.message.endswith(
        "3 more failed: no-regression, uncapped-rows, cumulative-regression."
    )


# --- properties -----------------------------------------------------------------------------

effects = st.floats(-0.9, 2, allow_nan=False)
errors = st.floats(1e-6, 0.2, allow_nan=False)  # 0 is a model compared with itself


@given(effects, errors, effects, errors, st.booleans())
def test_a_worse_challenger_never_fares_better(make_evidence, effect, se, more, more_se, first):
    """Worse: a larger effect and no smaller error of it, against champion and baselines alike."""
    champion = None if first else 40_000.0
    worse = max(effect, more), max(se, more_se)
    one, other = (
        judge(make_evidence(e, s, champion=champion, baseline_effect=e, baseline_se=s), POLICY)
        for e, s in ((effect, se), worse)
    )
    assert RANK[other.outcome] <= RANK[one.outcome]


@given(st.integers(0, 2**32 - 1), st.floats(0.8, 1.2), st.floats(1, 1.5))
def test_larger_residuals_on_real_rows_never_fare_better(seed, scale, factor):
    rng = np.random.default_rng(seed)
    n = 600
    actual = rng.uniform(200_000, 500_001, n)
    where = spatial_cells(rng.uniform(-120, -118, n), rng.uniform(33, 35, n), schema.CELL)
    test = TestRows(1, where, actual)
    residuals = rng.normal(0, 30_000, n)
    champion = ModelPredictions(7, "7", actual + residuals, 2_400, 0)
    own = scale * residuals + rng.normal(0, 3_000, n)
    outcomes = []
    for times in (1, factor):
        challenger = ModelPredictions(8, "8", actual + times * own, 2_400, 0)
        baselines = {"median": np.full(n, np.median(actual))}
        evidence = measure_evidence(
            test, challenger, Competitors(champion, baselines), POLICY, RunFacts()
        )
        outcomes.append(RANK[judge(evidence, POLICY).outcome])
    assert outcomes[1] <= outcomes[0]


@given(effects, errors)
def test_without_a_champion_a_comparison_changes_nothing(make_evidence, effect, se):
    stray = make_evidence(effect, se).comparison
    first = make_evidence(champion=None)
    assert judge(replace(first, comparison=stray), POLICY) == judge(first, POLICY)


@given(effects, errors, st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_wider_margin_never_turns_a_promotion_away(make_evidence, effect, se, one, other):
    evidence = make_evidence(effect, se)
    narrow, wide = (judge(evidence, GatePolicy(margin=m)) for m in sorted((one, other)))
    assert RANK[narrow.outcome] <= RANK[wide.outcome]


@given(effects, errors)
def test_only_what_is_not_above_the_champion_and_within_the_margin_is_promoted(
    make_evidence, effect, se
):
    evidence = make_evidence(effect, se)
    allowed = effect <= 0 and evidence.comparison.upper <= POLICY.margin
    assert (judge(evidence, POLICY).outcome == "promote") is allowed


@given(effects, errors)
def test_the_same_evidence_always_gives_the_same_verdict(make_evidence, effect, se):
    evidence = make_evidence(effect, se)
    assert judge(evidence, POLICY) == judge(evidence, POLICY)
    assert evidence == make_evidence(effect, se)
