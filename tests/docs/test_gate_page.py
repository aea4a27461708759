"""docs/gate.md says what was measured, and nothing else."""

import re

from benchmarks.gate import results
from benchmarks.gate.page import DOCS, page, pictures, reuse_rates
from housing.gate.check import CHECKS


def test_the_page_is_made_from_the_kept_figures() -> None:
    assert (DOCS / "gate.md").read_text() == page(), "run `python -m benchmarks.gate.page`"


def test_no_figure_is_missing_and_every_check_is_named() -> None:
    text = (DOCS / "gate.md").read_text()
    assert "{{" not in text
    for check in CHECKS:
        assert f"| `{check.name}` |" in text


def test_every_picture_of_the_page_is_there_and_has_a_line_in_it() -> None:
    text = (DOCS / "gate.md").read_text()
    made = dict(pictures())
    for name in re.findall(r"\(gate/([^)]+)\)", text):
        assert (DOCS / "gate" / name).read_bytes() == made[name].svg


def test_the_goals_are_met_by_what_was_measured() -> None:
    nights = results.load("nights")["bag_3"]["changes"]
    worlds = results.load("simulated")["changes"]
    for figures, rate in (
        (nights, lambda row: row["promote"]["rate"]),
        (worlds, lambda row: row["measured"]),
    ):
        assert rate(figures["0.01"]["no_regression"]) <= 0.05
        assert rate(figures["0.02"]["no_regression"]) <= 0.001
        assert rate(figures["-0.015"]["no_regression"]) >= 0.8
    assert nights["0"]["nights"] >= 200
    speed = results.load("speed")
    for clock in ("processor", *(["wall"] if speed["quiet"] else [])):
        took = {rows: speed["verdict"][rows][clock]["median"] for rows in speed["goals"]}
        assert all(took[rows] <= goal for rows, goal in speed["goals"].items()), took
    for row in results.load("coverage")["coverage"]:
        if row["length"] <= 20:  # km; beyond it the page says what is missed
            assert 0.93 <= row["rmse"] <= 0.97, row


def test_later_nights_pass_as_often_as_the_gate_says_of_them() -> None:
    figures = results.load("reuse")
    assert max(rate.away for rate in reuse_rates(figures)) < 4
    tenth = figures["nights"]["no_regression"]["10"]
    assert abs(tenth["bias"] + tenth["shown"]) < 0.001
