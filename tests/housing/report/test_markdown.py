"""The short text says what matters, and what comes from outside stays text in it."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from housing.records import BatchSummary, CheckResult, Rejection, RunOutcome, Verdict
from housing.report.data import RunReport
from housing.report.markdown import escape, summary

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ATTACK = "|`<img src=x onerror=alert(1)>`| [a](javascript:alert(1)) **b** https://evil.example"


def read(text):
    """The text that a reader shows, and the kinds of inline markup in it."""
    tokens = [t for token in READER.parse(text) for t in (token.children or [token])]
    inline = [t for t in tokens if t.type not in ("paragraph_open", "paragraph_close")]
    return "".join(token.content for token in inline), {token.type for token in inline}


def test_verdict_reason_models_intake_and_the_way_to_the_page(make_report):
    report = make_report()
    text, _ = read(summary(report))
    assert text.startswith("Promoted")
    assert report.message in text
    assert "m8 (boosting)" in text
    for model in (report.evidence.challenger, report.evidence.champion):
        rmse = model.metrics.rmse
        assert f"{rmse.value:,.0f}" in text
        assert f"{rmse.lower:,.0f} to {rmse.upper:,.0f} (95 %)" in text
    assert "15 of the 15 checks that apply passed." in text
    assert "9 rows read: 7 accepted, 2 rejected." in text
    assert "new.csv line 3: 83252" in text
    assert "reports/report-r12.html" in text
    assert len(summary(report)) < 3_000


def test_checks_that_did_not_pass_are_named(make_report):
    report = make_report(1.2)
    text = summary(report)
    assert text.startswith("# Champion kept")
    failed = sum(c.outcome == "failed" for c in report.verdict.checks)
    assert f"{15 - failed} of the 15 checks that apply passed." in text
    assert "**no-regression** (failed)" in text
    assert text.index("| Challenger") < text.index("checks that apply"), "figures before checks"


def test_a_run_with_nothing_new_is_short(make_report):
    report = RunReport(13, make_report().started_at, RunOutcome.NOTHING_NEW, "No new file.")
    assert summary(report) == (
        "# Nothing new\n\nNo new file.\n\n_Nothing to do: No model stays in service._\n\n"
        "No file was read.\n\nRun r13, 2026-11-24 02:00 UTC.\n"
    )


def test_a_first_run_has_one_model(make_report):
    text = summary(make_report(champion=False))
    assert "Champion" not in text
    assert "Challenger m8" in text


def test_a_model_without_finite_predictions(make_report):
    report = make_report()
    ours = replace(report.evidence.challenger, metrics=None, non_finite=1)
    assert "not finite" in summary(
        replace(report, evidence=replace(report.evidence, challenger=ours))
    )


def test_notices_come_before_the_sentence(make_report):
    text = summary(make_report(notices=("Simulated districts.",)))
    assert text.index("> **Notice.** Simulated districts.") < text.index("Promote:")


def test_texts_from_outside_stay_texts(make_report):
    report = make_report(
        message=ATTACK,
        notices=(ATTACK,),
        location=ATTACK,
        challenger=ATTACK,
        verdict=Verdict("keep", ATTACK, (CheckResult("identity", "failed", ATTACK),)),
        batches=(
            BatchSummary(
                1, "landing", ATTACK, "accepted", ATTACK, 2, 1, 1,
                (Rejection(ATTACK, ATTACK, 1, ATTACK),),
            ),
        ),
    )  # fmt: skip
    html = READER.render(summary(report))
    assert "<img" not in html
    assert "<a " not in html
    assert "onerror" in html  # it is there, as text
    rows = [line for line in summary(report).splitlines() if line.startswith("|")]
    assert html.count("<td") == (len(rows) - 2) * 3


@pytest.mark.parametrize(
    "text", ["1. one", "12) two", "# head", "- item", "+ item", "= x", "a_b_c", "~~no~~", "![x](y)"]
)
def test_text_from_outside_begins_no_list_or_heading(text):
    assert read(escape(text)) == (text, {"text"})


@given(st.text())
@example("&amp; &lt; \\* \\\\")
@example("<!-- x -->")
@example("> quoted")
@example("www.evil.example and http://evil.example")
@example("---")
@example("a\n# b\n\n    code")
def test_any_text_reads_as_itself(text):
    shown, kinds = read(escape(text))
    expected = " ".join(text.replace("\0", "\N{REPLACEMENT CHARACTER}").split())
    assert shown == expected
    assert kinds <= {"text", "text_special"}


def test_a_file_name_that_is_no_text_can_be_written(make_report):
    name = b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    report = make_report(batches=(BatchSummary(1, "landing", name, "accepted", "", 1, 1),))
    assert "caf\\udce9.csv" in summary(report).encode("utf-8").decode()
