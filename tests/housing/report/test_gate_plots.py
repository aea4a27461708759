"""Pictures of the gate: what is in them, and what they do without."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from housing import formatting
from housing.gate.evidence import HoldoutReuse, SubsetComparison
from housing.gate.policy import GatePolicy
from housing.gate.power import earlier_comparisons, operating_characteristic
from housing.records import CheckResult, Interval
from housing.report import gate_plots, wording
from housing.report.markdown import summary
from housing.report.run_page import render

START = datetime(2026, 11, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def report(make_report):
    return make_report(0.99)


def test_the_forest_shows_every_part_that_is_large_enough(report):
    rows = gate_plots.forest_rows(report.evidence, report.policy)
    assert [name for name, _, _ in rows[:4]] == [
        "all rows", "all rows, MAE", "never-used rows", "rows below the cap",
    ]  # fmt: skip
    assert len(rows) == 4 + 6, "the slice of three rows is left out"
    assert {margin for _, _, margin in rows[4:]} == {report.policy.slice_margin}
    policy = report.policy
    tolerated = [policy.margin, None, policy.recent_margin, policy.uncapped_margin]
    assert [margin for _, _, margin in rows[:4]] == tolerated, "no check asks about the MAE"
    superior = gate_plots.forest_rows(report.evidence, GatePolicy(rule="superior"))
    assert superior[0][2] == 0
    few = SubsetComparison("never-used rows", 99, report.evidence.recent.comparison)
    fewer = gate_plots.forest_rows(replace(report.evidence, recent=few), report.policy)
    assert len(fewer) == len(rows) - 1


def test_the_forest_names_the_worst_part(report):
    rows = gate_plots.forest_rows(report.evidence, report.policy)
    worst = max(rows, key=lambda row: row[1].effect)
    plot = gate_plots.forest(report.evidence, report.policy)
    assert worst[0] in plot.alt
    assert formatting.change(worst[1].effect) in plot.alt


def test_a_first_run_has_no_forest_and_no_drift(make_report):
    first = make_report(champion=False)
    assert gate_plots.forest(first.evidence, first.policy) is None
    assert gate_plots.drift_effects(first.evidence.drift, first.policy) is None
    page = render(first)
    assert "Change of the error by subset" not in page
    assert "Power of the gate" not in page
    assert "Reuse of the test set" not in page


def test_the_two_numbers_stand_in_page_and_summary(report):
    earlier = earlier_comparisons(report.evidence)
    assert earlier == report.evidence.holdout_reuse.decisions - 1 > 0
    could = operating_characteristic(report.evidence.comparison, report.policy, earlier=earlier)
    assert f"These rates hold for comparison {earlier + 1} on these rows" in could.message
    assert could.message.replace(" %", "\N{NO-BREAK SPACE}%") in render(report)
    assert could.message.replace("_", "\\_") in summary(report)
    assert gate_plots.characteristic(could, -0.002).alt == could.message


def test_seed_variance_is_shown_beside_the_interval(report):
    page = render(report)
    assert "other seeds of its 3 members would change its error by about" in page
    assert "Champion: not measured, since it is one model" in page
    assert wording.seed_variance(report.evidence.seed_variance, "rmse") in summary(report)


def test_drift_is_shown_by_column_and_by_share(report):
    found = report.evidence.drift[0]
    column = max(found.columns, key=lambda c: c.effect)
    plot = gate_plots.drift_effects(report.evidence.drift, report.policy)
    assert f"{column.column.replace('_', ' ')}: {column.effect:.2f}" in plot.alt
    for number, each in enumerate(found.columns):
        assert each.column.replace("_", " ") in gate_plots.drift_shares(each, found, number).alt


def test_reuse_of_the_test_set_is_plotted_from_two_runs_on(report):
    wear = report.evidence.holdout_reuse
    runs = [(START + timedelta(days=i), replace(wear, decisions=i)) for i in range(3)]
    assert gate_plots.holdout_reuse(runs[:1]) is None
    assert "2 decisions served" in gate_plots.holdout_reuse(runs).alt
    unmeasured = [(day, HoldoutReuse(1, 3, None, None, None)) for day, _ in runs]
    assert gate_plots.holdout_reuse(unmeasured) is not None
    assert "Reuse of the test set over 3 runs" in render(replace(report, holdout_reuse=tuple(runs)))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("no_regression", "the dot must not lie right of zero, nor the thick bar reach beyond"),
        ("superior", "the thick bar must not reach beyond"),
        ("non_inferior", "the thick bar must not reach beyond"),
    ],
)
def test_the_caption_names_what_the_rule_requires(report, rule, words):
    page = render(replace(report, policy=GatePolicy(rule=rule)))
    assert words in " ".join(page.split())
    assert ("must end below" in page) is (rule == "superior")


def test_checks_that_did_not_pass_come_first(report):
    mixed = [
        CheckResult(name, outcome, "Found.")
        for name, outcome in (
            ("a", "passed"), ("b", "not applicable"), ("c", "inconclusive"), ("d", "failed"),
            ("e", "passed"), ("f", "error"),
        )
    ]  # fmt: skip
    assert [c.name for c in wording.by_urgency(tuple(mixed))] == ["d", "f", "c", "a", "e", "b"]


def test_old_evidence_has_no_clustered_interval():
    assert formatting.limits(None) == "not measured"
    assert formatting.limits(Interval(1.0, 1000.0, 2000.0)) == "1,000 to 2,000 (95 %)"
