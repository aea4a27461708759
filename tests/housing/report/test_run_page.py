"""The page is complete, whole without any part, and never more than text to what is outside."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from housing.records import (
    BatchSummary,
    Candidate,
    CheckResult,
    Rejection,
    RunOutcome,
    StepTime,
    Trial,
    Verdict,
)
from housing.report.data import QuarantinedRow, RunReport, TestSet
from housing.report.run_page import render

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails on a tag that is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.fixture(scope="module")
def promoted(make_report):
    return render(make_report())


def test_the_page_reads_in_the_order_of_what_matters(make_report, promoted):
    report, text = make_report(), Page(promoted).text
    order = [
        "Promoted",
        report.message,
        "The decision",
        "The models",
        "Checks",
        "no-regression",
        "Change of the error by subset",
        "The search",
        "Ingested rows",
        "Rejected rows",
        "Predicted and recorded prices",
        "Map of errors",
        "Feature importance",
        "Lineage",
        "total_rooms, households ratios ratios__rooms_per_house",
        "Duration by step",
        "Earlier runs",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_both_models_stand_side_by_side_with_their_intervals(make_report, promoted):
    text = Page(promoted).text
    for model in (make_report().evidence.challenger, make_report().evidence.champion):
        for figure in (model.metrics.rmse.value, model.metrics.rmse.lower, model.metrics.mae):
            assert f"{figure:,.0f}" in text
    assert "m8 (boosting)" in text
    assert "m7 (forest)" in text


def test_rejected_rows_are_listed_with_code_and_line(promoted):
    text = Page(promoted).text
    assert "9 rows read: 7 accepted, 2 rejected." in text
    assert "range median_income: 2 rows, e.g. new.csv line 3: 83252" in text
    assert "slow.csv waiting" in text


def test_the_page_shows_step_times_and_row_totals(promoted):
    text = Page(promoted).text
    assert "took 1 min 16 s" in text
    assert "search 1 min 15 s" in text


def test_one_file_without_script_or_outside_resource(promoted):
    page = Page(promoted)
    assert "script" not in page.tags
    assert "link" not in page.tags
    for tag, name, value in page.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("#", "data:image/png")), (tag, name, value)
    assert "@import" not in promoted
    assert set(re.findall(r"url\((.)", promoted)) == {"#"}
    assert "default-src 'none'" in promoted
    assert len(promoted) < 1_000_000


def test_every_picture_has_words_and_ids_are_unique(promoted):
    page = Page(promoted)
    plots = [value for _, name, value in page.attributes if (name, value) == ("class", "plot")]
    labels = [value for _, name, value in page.attributes if name == "aria-label"]
    assert len(plots) == len(labels) == 10
    assert all(len(label) > 20 for label in labels)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_same_report_gives_the_same_page(make_report, promoted):
    assert render(make_report()) == promoted


# --- runs with parts missing --------------------------------------------------------------


def bare(make_report, **facts):
    whole = make_report()
    return RunReport(run=13, started_at=whole.started_at, **facts)


@pytest.mark.usefixtures("quick_pictures")
def test_a_run_with_nothing_new(make_report):
    text = Page(
        render(bare(make_report, outcome=RunOutcome.NOTHING_NEW, message="No new file."))
    ).text
    assert "Nothing new No new file." in text
    assert "No file was read." in text
    for part in ("The decision", "Checks", "The models", "The search", "Identifiers"):
        assert part not in text


@pytest.mark.usefixtures("quick_pictures")
def test_a_first_run_is_judged_by_the_baselines(make_report):
    page = render(make_report(champion=False))
    text = Page(page).text
    assert "There is no champion yet" in text
    assert "against median" in text
    assert "m7" not in text


@pytest.mark.usefixtures("quick_pictures")
def test_the_page_of_a_failed_search_names_the_errors(make_report):
    trials = tuple(Trial(Candidate(i, "trees", {}), (), 1.0, f"reason {i}") for i in range(3))
    report = bare(
        make_report, outcome=RunOutcome.KEPT, message="All 3 trials failed.", trials=trials
    )
    text = Page(render(report)).text
    assert "3 of 3 trials failed. The first: trial 0, trees: reason 0" in text


@pytest.mark.usefixtures("quick_pictures")
def test_the_page_of_a_dry_run_says_that_nothing_was_changed(make_report):
    assert (
        "Dry run: nothing was changed" in Page(render(make_report(outcome=RunOutcome.DRY_RUN))).text
    )


@pytest.mark.usefixtures("quick_pictures")
@pytest.mark.parametrize(
    "part",
    [
        "evidence", "policy", "verdict", "test", "dataset", "best",
        "trials", "batches", "quarantine", "steps", "history", "importances", "settings",
    ],
)  # fmt: skip
def test_any_part_may_be_missing(make_report, part):
    empty = () if part in ("trials", "batches", "quarantine", "steps", "history") else None
    empty = {} if part in ("importances", "settings") else empty
    light = {"test": None, "trials": make_report().trials[:1], "history": ()}
    text = Page(render(make_report(**{**light, part: empty}))).text
    assert "Promoted" in text
    assert "None" not in text.replace("None of the", "")


@pytest.mark.usefixtures("quick_pictures")
def test_a_challenger_without_finite_predictions(make_report):
    report = make_report()
    ours = replace(report.evidence.challenger, metrics=None, non_finite=4)
    evidence = replace(
        report.evidence,
        challenger=ours,
        comparison=None,
        baselines={n: replace(b, comparison=None) for n, b in report.evidence.baselines.items()},
    )
    for champion in (evidence.champion, None):
        run = replace(
            report, evidence=replace(evidence, champion=champion), outcome=RunOutcome.KEPT
        )
        text = Page(render(run)).text
        assert "not finite" in text
        assert "The decision" not in text


@pytest.mark.usefixtures("quick_pictures")
@pytest.mark.parametrize("factor", [1.1, 1.0, 0.9])
def test_every_verdict_of_the_gate_has_a_page(make_report, factor):
    report = make_report(factor)
    assert report.message in Page(render(report)).text


@pytest.mark.usefixtures("quick_pictures")
def test_notices_have_the_role_of_alerts(make_report):
    page = Page(render(make_report(notices=("These districts are simulated.",))))
    assert "Notice. These districts are simulated." in page.text
    assert ("p", "role", "alert") in page.attributes


@pytest.mark.usefixtures("quick_pictures")
def test_simulated_batches_are_marked(make_report):
    batch = BatchSummary(1, "simulated", "run 1", "accepted", "", 5, 5, simulated=True)
    assert "run 1 simulated" in Page(render(make_report(batches=(batch,)))).text


def test_a_large_test_set_keeps_the_page_small(make_report):
    rng = np.random.default_rng(3)
    n = 200_000
    actual = rng.uniform(50_000, 500_001, n)
    coordinates = (rng.uniform(-124, -114, n), rng.uniform(32, 42, n))
    big = TestSet(actual, actual * rng.uniform(0.5, 2, n), coordinates)
    assert len(render(make_report(test=big))) < 2_000_000


# --- what comes from outside ----------------------------------------------------------------

ATTACK = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}</style></svg>"


def test_texts_from_outside_stay_texts(make_report):
    report = make_report(
        message=ATTACK,
        notices=(ATTACK,),
        challenger=ATTACK,
        champion=ATTACK,
        verdict=Verdict("keep", ATTACK, (CheckResult(ATTACK, "failed", ATTACK),)),
        trials=(
            Trial(Candidate(0, ATTACK, {ATTACK: ATTACK}), (4e4, 4.1e4), 1.0),
            Trial(Candidate(1, ATTACK, {}), (), 1.0, ATTACK),
        ),
        best=0,
        importances={ATTACK: 1.0},
        batches=(
            BatchSummary(
                1, ATTACK, ATTACK, "accepted", ATTACK, 2, 1, 1,
                (Rejection(ATTACK, ATTACK, 1, ATTACK),),
            ),
        ),
        quarantine=(QuarantinedRow(ATTACK, 1, ATTACK, ATTACK, ATTACK),),
        steps=(StepTime(ATTACK, 1.0, ATTACK),),
        settings={ATTACK: ATTACK},
    )  # fmt: skip
    harmless, page = Page(render(make_report())), Page(render(report))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert set(page.tags) <= set(harmless.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    shown = page.text.count(ATTACK)
    assert shown >= 20


@pytest.mark.usefixtures("quick_pictures")
def test_a_file_name_that_is_no_text_can_be_written(make_report):
    name = b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    report = make_report(batches=(BatchSummary(1, "landing", name, "accepted", "", 1, 1),))
    assert "caf\\udce9.csv" in render(report).encode("utf-8").decode()


def test_a_parameter_has_three_digits(make_report):
    won = Trial(Candidate(0, "boosting", {"rate": 0.06369677643354621, "leaves": 32}), (1.0,), 1.0)
    page = render(make_report(trials=(won,), best=0))
    assert "boosting, rate 0.0637, leaves 32." in page
