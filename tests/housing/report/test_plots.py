"""Plots are well-formed SVG with the right figures in them, and leave no trace elsewhere."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from housing.problem import Column, Location
from housing.problems.california.outline import OUTLINES
from housing.records import Candidate, Comparison, Interval, Trial
from housing.report import plots
from housing.report.data import TestSet
from housing.report.plot_style import LOOK, thinned


def comparison(effect, upper, half=0.02):
    interval = Interval(effect, effect - half, effect + half)
    return Comparison(4_000, 700, effect, 0.01, 0.009, interval, upper)


def trial(index, rmse, family="boosting", error=""):
    folds = () if error else (rmse - 100, rmse, rmse + 100)
    return Trial(Candidate(index, family, {}), folds, 1.0, error)


def texts(plot):
    root = ElementTree.fromstring(plot.svg)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_decision_shows_effect_bound_and_limit():
    plot = plots.decision({"": comparison(-0.041, -0.0216)}, 0.01, "tolerated up to")
    shown = texts(plot)
    for figure in ("−4.1 %", "at worst −2.1 %", "tolerated up to +1.0 %"):  # noqa: RUF001
        assert figure in shown
    assert "−4.1 %" in plot.alt  # noqa: RUF001


@pytest.mark.parametrize(
    ("effect", "upper", "limit", "good"),
    [
        (-0.04, -0.02, 0.01, True),
        (-0.004, 0.01, 0.01, True),
        (-0.004, 0.011, 0.01, False),
        (0.001, 0.005, 0.01, False),  # within the margin, but above the champion
        (-0.5, -0.4, -0.05, True),
        (-0.06, -0.04, -0.05, False),
    ],
)
def test_the_colour_of_an_interval_is_the_rule(effect, upper, limit, good):
    svg = plots.decision({"": comparison(effect, upper)}, limit, "limit").svg.decode()
    bar = re.search(r"stroke: var\(--(\w+), #\w+\); stroke-width: 6\b", svg)
    assert bar.group(1) == ("good" if good else "bad")


def test_equal_models_have_a_picture_too():
    interval = Interval(0.0, 0.0, 0.0)
    equal = Comparison(4_000, 700, 0.0, 0.0, 0.0, interval, 0.0)
    assert "0 %" in texts(plots.decision({"": equal}, 0.0, "limit"))


def test_baselines_are_named():
    both = {"against median": comparison(-0.6, -0.5), "against linear": comparison(-0.4, -0.3)}
    assert {"against median", "against linear"} <= set(texts(plots.decision(both, -0.05, "limit")))


def test_the_search_marks_the_winner_the_hopeless_and_the_failed():
    trials = [trial(0, 42_000), trial(1, 41_000), trial(2, 90_000), trial(3, 0, "trees", "no")]
    plot = plots.search(trials, best=1)
    shown = texts(plot)
    assert "41,000" in shown
    assert {"boosting", "best so far", "failed"} <= set(shown)
    assert [text for text in shown if re.fullmatch(r"above 4\d\.\d+k", text)]
    assert not [text for text in shown if "90" in text], "it has no place on the axis"
    assert "4 trials, of which 1 failed" in plot.alt


def test_the_best_so_far_only_ever_falls():
    scores = (43_000, 44_000, 42_000, 42_500, 41_000, 43_500)
    svg = plots.search([trial(i, rmse) for i, rmse in enumerate(scores)], best=4).svg.decode()
    lines = re.findall(r'<path d="([^"]+)" clip-path[^>]*--edge', svg)
    heights = [float(point.split()[1]) for point in re.findall(r"[ML] ([^MLz]+)", lines[0])]
    assert len(lines) == 1
    assert heights == sorted(heights)  # downwards in an SVG
    assert heights[-1] > heights[0]


def test_a_search_without_a_score_has_no_picture():
    assert plots.search([trial(0, 0, error="no"), trial(1, 0, error="no")], best=None) is None
    assert plots.search([], best=None) is None


def test_one_draw_is_a_search():
    shown = texts(plots.search([trial(0, 41_000)], best=0))
    assert "41,000" in shown
    assert not [text for text in shown if re.fullmatch(r".?0\.0\d+", text)], "whole numbers"


def test_the_order_in_which_trials_finished_does_not_matter():
    trials = [trial(i, 42_000 - 10 * (i % 4), family="abc"[i % 3]) for i in range(9)]
    # Families keep the order of their first candidate, so the legend may differ; the line may not.
    lines = [plots.search(order, 3).alt for order in (trials, trials[::-1])]
    assert lines[0] == lines[1]


def test_the_most_important_columns_come_first():
    values = {f"column_{i}": float(i) for i in range(30)}
    plot = plots.importances(values, "share")
    shown = [text for text in texts(plot) if text.startswith("column")]
    assert shown == [f"column {i}" for i in range(29, 29 - LOOK.most_bars, -1)]
    assert "column 29, column 28, column 27" in plot.alt


@pytest.fixture
def cloud():
    rng = np.random.default_rng(1)
    actual = np.full(1_000, 100_000.0)
    predicted = actual * np.repeat([1.3, 1.1, 0.75, 1.0], 250)
    x, y = rng.uniform(-124, -114, 1_000), rng.uniform(32, 42, 1_000)
    return TestSet(actual, predicted, (x, y))


def test_words_for_who_does_not_see_the_clouds(cloud):
    assert "50 % of them are within 20 %" in plots.predicted_vs_actual(cloud).alt
    alt = plots.error_map(cloud).alt
    assert "25 % of districts are more than 20 % too high, 25 % too low" in alt


def test_the_cap_is_shown_where_there_are_capped_rows(cloud):
    assert not [text for text in texts(plots.predicted_vs_actual(cloud)) if "cap" in text]
    actual = cloud.actual.copy()
    actual[:7] = 500_001
    shown = texts(plots.predicted_vs_actual(replace(cloud, actual=actual)))
    assert "7 at the cap of the records" in shown


def test_rows_without_a_location_have_no_map(cloud):
    assert plots.error_map(replace(cloud, coordinates=None)) is None


def test_a_map_shows_the_outlines_and_names_of_what_lies_in_it(cloud):
    shown = texts(plots.error_map(cloud))
    assert {"Los Angeles", "Sacramento"} <= set(shown)
    x, y = cloud.coordinates
    south = replace(cloud, coordinates=(x, np.minimum(y, 33.0)))
    assert "Sacramento" not in texts(plots.error_map(south))
    paths = plots.error_map(cloud).svg.count(b"clip-path")
    bare = replace(plots.LOCATION, outlines=(), landmarks={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "LOCATION", bare)
        assert plots.error_map(cloud).svg.count(b"clip-path") == paths - len(OUTLINES)


def test_a_recorded_zero_is_an_error_beyond_the_scale_and_no_warning(cloud):
    actual, predicted = cloud.actual.copy(), cloud.predicted.copy()
    actual[:500], predicted[:250] = 0.0, 0.0
    alt = plots.error_map(replace(cloud, actual=actual, predicted=predicted)).alt
    assert "25 % of districts are more than 20 % too high, 25 % too low" in alt


@pytest.mark.parametrize(("scale", "offset"), [(1e-7, 0), (1e-7, -0.01), (1.0, 0), (1e-5, 1_000)])
def test_small_and_negative_values_have_axes_that_can_be_read(cloud, scale, offset):
    actual, predicted = (values * scale + offset for values in (cloud.actual, cloud.predicted))
    shown = texts(plots.predicted_vs_actual(replace(cloud, actual=actual, predicted=predicted)))
    ticks = [text for text in shown if re.fullmatch(r"[\u2212\d.,]+[kM]?", text)]
    assert len(ticks) >= 6
    assert all(ticks.count(tick) <= 2 for tick in ticks), "one an axis"


def test_planar_coordinates_have_the_units_of_their_columns(cloud, monkeypatch):
    names = ("easting", "northing")
    columns = {name: Column(name, "number", "m", "") for name in names}
    monkeypatch.setattr(plots, "LOCATION", Location(names, cell=5.0, kind="planar", unit="m"))
    monkeypatch.setattr(plots, "CATALOGUE", columns)
    assert {"easting (m)", "northing (m)"} <= set(texts(plots.error_map(cloud)))


@pytest.mark.parametrize("rows", [0, 1, 19_999, 20_000, 20_001, 400_000])
def test_a_large_cloud_is_thinned_evenly_and_a_small_one_not_at_all(rows):
    kept = range(rows)[thinned(rows)]
    assert len(kept) <= LOOK.most_points
    assert len(kept) == rows or (rows > LOOK.most_points and len(kept) > LOOK.most_points / 3)


def test_history_ends_with_this_run():
    runs = [
        (datetime(2026, 11, day, tzinfo=UTC), Interval(value, value - 1_000, value + 1_000))
        for day, value in ((3, 41_000.0), (1, 42_000.0), (2, 43_000.0))
    ]
    plot = plots.history(runs)
    assert "41,000" in texts(plot)
    assert "first $42,000, last $41,000, highest $43,000" in plot.alt


@pytest.mark.parametrize("apart", [timedelta(0), timedelta(microseconds=3), timedelta(seconds=2)])
def test_runs_by_hand_within_seconds_have_a_picture_without_a_warning(apart):
    first = datetime(2026, 3, 1, 2, tzinfo=UTC)
    interval = Interval(40_000.0, 39_000.0, 41_000.0)
    plot = plots.history([(first, interval), (first + apart, interval)])
    assert b"run, 1 March 2026 (UTC)" in plot.svg


def test_names_stay_text():
    name = '<script>"1"</script> $x$ &amp;'
    for plot in (
        plots.importances({name: 1.0}, name),
        plots.search([trial(0, 1_000.0, family=name)], 0),
        plots.decision({name: comparison(-0.1, -0.05)}, 0.01, name),
    ):
        assert b"<script" not in plot.svg
        assert any(name in text for text in texts(plot))


def test_a_long_name_leaves_room_for_the_picture():
    name = "a very long name of a column " * 9
    shown = texts(plots.importances({name: 1.0}, "share"))
    assert "a very long name of" in shown
    assert "a column a very…" in shown
    plots.search([trial(0, 1_000.0, family=name), trial(1, 1_000.0, family="b" * 300)], 0)


def test_the_same_figures_give_the_same_bytes_and_ids_of_their_own(cloud):
    one, other = plots.error_map(cloud), plots.error_map(cloud)
    assert one == other
    ids = re.findall(rb'\bid="([^"]+)"', one.svg)
    assert len(ids) == len(set(ids))
    assert all(name.startswith(b"map-") for name in ids)
    for target in re.findall(rb'href="#([^"]+)"|url\(#([^)]+)\)', one.svg):
        assert (target[0] or target[1]) in ids


def test_drawing_changes_no_global_state(cloud):
    before = dict(mpl.rcParams)
    plots.predicted_vs_actual(cloud)
    assert dict(mpl.rcParams) == before


@pytest.mark.system
def test_pyplot_is_not_needed():
    code = "import sys, housing.report.run_page; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_stopped_candidate_is_not_plotted_and_never_the_best():
    stopped = Trial(Candidate(1, "forest", {}), (40_000.0,), 1.0, stopped=True)
    plot = plots.search([trial(0, 42_000), stopped], best=0)
    assert "1 were stopped" in plot.alt
    assert re.search(r"lowest error is \$42\D?000", plot.alt)
    assert "inf" not in plot.alt
