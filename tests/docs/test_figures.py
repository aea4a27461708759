"""The pages of docs say what was measured, and nothing else."""

import re

import pytest

from benchmarks import gate_page, pages, performance_page, results
from benchmarks.__main__ import BENCHMARKS
from benchmarks.markdown import MARK
from housing.gate.check import CHECKS


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_is_made_from_the_kept_figures(name) -> None:
    made = pages.page(name)
    assert (pages.DOCS / name).read_text() == made, "run `python -m benchmarks pages`"


@pytest.mark.parametrize("name", pages.PAGES)
def test_no_line_begins_with_a_figure(name) -> None:
    """Markdown would take the line for HTML and end the paragraph before it."""
    text = (pages.DOCS / name).read_text()
    assert re.findall(r"^[ -]*<!-- figure .*", text, re.MULTILINE) == []


@pytest.mark.parametrize("name", pages.PAGES)
def test_every_figure_stands_in_a_page(name) -> None:
    facts = pages.PAGES[name]
    wherever = [other for other in pages.PAGES if pages.PAGES[other] is facts]
    text = "".join((pages.DOCS / other).read_text() for other in wherever)
    assert {found[1] for found in MARK.findall(text)} == set(facts())


def test_every_picture_is_what_the_figures_give() -> None:
    made = dict(pages.pictures())
    named = set()
    for folder in pages.PICTURES:
        for page in (pages.DOCS / f"{folder}.md", *(pages.DOCS / folder).glob("*.md")):
            links = re.findall(r"\(([^)]+\.svg)\)", page.read_text())
            named |= {(page.parent / link).resolve() for link in links}
    assert named <= set(made)
    for path, svg in made.items():
        assert path.read_bytes() == svg


def test_a_figure_that_changes_changes_the_page(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    nothing = performance_page.goals()
    assert nothing.count("**not measured yet**") == len(performance_page.ORDER)
    results.show("split", [results.Row("all", 31.0, 20.0, "ms", False, "1.3 x")])
    assert "| 31 ms | 20 | 1.550 x | 1.3 x: **missed** |" in performance_page.goals()
    results.show("split", [results.Row("all", 22.0, 20.0, "ms", True, "1.3 x")])
    assert "| 22 ms | 20 | 1.100 x | 1.3 x: met |" in performance_page.goals()


@pytest.mark.parametrize("command", performance_page.ORDER.values())
def test_every_command_of_the_performance_page_exists(command) -> None:
    assert command.split()[0] in BENCHMARKS


def test_the_gate_page_names_every_check() -> None:
    text = (pages.DOCS / "gate.md").read_text()
    assert [check.name for check in CHECKS if f"| `{check.name}` |" not in text] == []


def test_the_goals_of_the_gate_are_met_by_what_was_measured() -> None:
    nights = results.load("gate-nights")["bag_3"]["changes"]
    worlds = results.load("gate-simulated")["changes"]
    for figures, rate in (
        (nights, lambda row: row["promote"]["rate"]),
        (worlds, lambda row: row["measured"]),
    ):
        assert rate(figures["0.01"]["no_regression"]) <= 0.05
        assert rate(figures["0.02"]["no_regression"]) <= 0.001
        assert rate(figures["-0.015"]["no_regression"]) >= 0.8
    assert nights["0"]["nights"] >= 200


def test_a_verdict_takes_no_longer_than_its_goal() -> None:
    speed = results.load("gate-speed")
    for clock in ("processor", *(["wall"] if speed["quiet"] else [])):
        took = {rows: speed["verdict"][rows][clock]["median"] for rows in speed["goals"]}
        assert all(took[rows] <= goal for rows, goal in speed["goals"].items()), took


def test_the_interval_holds_the_true_change_up_to_20_km() -> None:
    """Beyond 20 km the page says what is missed."""
    for row in results.load("gate-coverage")["coverage"]:
        if row["length"] <= 20:
            assert 0.93 <= row["rmse"] <= 0.97, row


def test_each_deciding_metric_has_its_coverage_and_power() -> None:
    """The page names each line outside the goal, and the pinball loss as what is decided worst."""
    figures = results.load("gate-metrics")
    assert figures["draws"] >= 900
    for row in figures["cases"]:
        assert set(row["metrics"]) == {"rmse", "mae", "rmsle", "pinball:0.9"}
        for name, found in row["metrics"].items():
            assert 0.92 <= found["coverage"] <= 0.985, (name, row["length"])
            if name != "pinball:0.9":
                assert found["changes"]["0.02"]["rate"] <= 0.02
                for rate in found["changes"].values():
                    assert abs(rate["rate"] - rate["predicted"]) < 0.05, (name, rate)
    assert "by the pinball loss at 0.9 a true change of" in gate_page.worst_rate(figures)


def test_later_comparisons_pass_as_often_as_the_gate_predicts() -> None:
    figures = results.load("gate-reuse")
    assert max(rate.away for rate in gate_page.reuse_rates(figures)) < 4
    tenth = figures["nights"]["no_regression"]["10"]
    assert abs(tenth["bias"] + tenth["shown"]) < 0.001


def test_a_short_trial_never_stands_as_the_figure() -> None:
    soak, drift = results.load("serving-soak"), results.load("drift")
    assert soak["seconds"] > 595
    assert soak["failed"] == soak["wrong"] == 0
    assert drift["years"] >= 2
    assert drift["repeats"] >= 3


def test_false_alarms_were_measured_on_enough_champions() -> None:
    found = results.load("alarms")
    assert found["champions"] >= 500
    hourly = {case["labels"] for case in found["cases"] if case["cadence"] == "hourly"}
    assert hourly == {50, 300, 1000, 3000}
    assert all(case["alarms"] <= found["goal"] * found["champions"] for case in found["cases"])
