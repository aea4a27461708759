"""No plot misleads: ticks are distinct, labels lie inside, limits contain what is drawn."""

import re
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.text import Text

from housing.evaluation.drift_policy import DriftPolicy
from housing.gate.evidence import HoldoutReuse
from housing.gate.policy import GatePolicy
from housing.gate.power import OperatingCharacteristic
from housing.records import Candidate, ColumnDrift, Comparison, DriftReport, Interval, Trial
from housing.report import gate_plots, monitor_page, plots
from housing.report.data import TestSet
from housing.report.design.palette import DARK, LIGHT
from housing.report.plot_style import LOOK, canvas, dates, standalone

START = datetime(2026, 2, 27, 22, 59, tzinfo=UTC)
RUNS = st.sampled_from([1, 2, 3, 40, 300])
APART = st.sampled_from(
    [timedelta(0), timedelta(microseconds=3), timedelta(seconds=20), timedelta(minutes=7),
     timedelta(hours=11), timedelta(days=1), timedelta(days=31), timedelta(days=400)]
)  # fmt: skip
MAGNITUDE = st.sampled_from([1e-12, 1e-7, 0.01, 1.0, 36_000.0, 4e8, 1e15])
SPREAD = st.sampled_from([0.0, 1e-9, 1e-4, 0.1, 3.0])
SIGN = st.sampled_from([-1.0, 1.0])
checked = settings(
    max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # a plot takes too long to look for a smaller case
)  # fmt: skip


@contextmanager
def inspected():
    """Within it, each figure is checked before it is written."""
    seen = []

    def save(figure, buffer, **_):
        figure.draw_without_rendering()
        check(figure)
        seen.append(figure)
        buffer.write(b"<svg ></svg>")

    with mock.patch.object(Figure, "savefig", save):
        yield seen
    assert seen, "nothing was drawn"


def check(figure):
    whole, hidden = figure.bbox, beyond_limits(figure)
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text() and text not in hidden:
            box = text.get_window_extent()
            inside = box.x0 >= -1 and box.y0 >= -1
            inside &= box.x1 <= whole.x1 + 1 and box.y1 <= whole.y1 + 1
            assert inside, f"{text.get_text()!r} at {box} leaves {whole}"
            assert text.get_fontsize() >= LOOK.font_size
    for axes in figure.axes:
        assert axes.get_xlabel()
        for axis in (axes.xaxis, axes.yaxis):
            check_ticks(axis)
        check_points(axes)


def beyond_limits(figure):
    """Labels of ticks that matplotlib keeps and does not draw."""
    axes = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    drawn = {id(tick) for axis in axes for tick in axis._update_ticks()}
    ticks = [tick for axis in axes for tick in axis.get_major_ticks() + axis.get_minor_ticks()]
    return [label for t in ticks if id(t) not in drawn for label in (t.label1, t.label2)]


def check_ticks(axis):
    ticks = [t for t in axis._update_ticks() if t.label1.get_text()]
    labels = [tick.label1.get_text() for tick in ticks]
    assert labels
    assert len(set(labels)) == len(labels), labels
    boxes = [tick.label1.get_window_extent() for tick in ticks if not tick.label1.get_rotation()]
    for one, other in pairwise(boxes):
        assert not one.shrunk(0.95, 0.85).overlaps(other.shrunk(0.95, 0.85)), labels


def check_points(axes):
    """All that is drawn of the data lies within the limits; a coast goes on beyond them."""
    for line in axes.lines:
        if line.get_transform() == axes.transData and line.get_label() != "_outline":
            contained(line.get_xdata(orig=False), axes.get_xlim())
            contained(line.get_ydata(orig=False), axes.get_ylim())
    for patch in (p for p in axes.patches if isinstance(p, PathPatch)):
        contained(patch.get_path().vertices[:, 0], axes.get_xlim())
        contained(patch.get_path().vertices[:, 1], axes.get_ylim())


def contained(values, limits):
    low, high = sorted(limits)
    slack = 1e-9 * max(abs(low), abs(high), high - low)
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    assert (values >= low - slack).all(), (values.min(), limits)
    assert (values <= high + slack).all(), (values.max(), limits)


def numbers(n, magnitude, spread, sign=1.0):
    noise = np.random.default_rng(n).normal(0, 1, n)
    return sign * magnitude * (1 + spread * noise)


def days(n, apart):
    return [START + i * apart for i in range(n)]


def intervals(values, wide=0.05):
    return [Interval(v, v - wide * abs(v), v + wide * abs(v)) for v in map(float, values)]


@checked
@given(RUNS, APART, MAGNITUDE, SPREAD)
@example(1, timedelta(0), 36_000.0, 0.0)
@example(3, timedelta(hours=11), 36_000.0, 1e-9)
def test_the_history_and_live_error_plots_draw_any_figures(n, apart, magnitude, spread):
    values = intervals(abs(numbers(n, magnitude, spread)))
    with inspected():
        plots.history(list(zip(days(n, apart), values, strict=True)))
        monitor_page.live(
            [
                (day, f"m{i % 3}", {"value": v.value, "lower": v.lower, "upper": v.upper})
                for i, (day, v) in enumerate(zip(days(n, apart), values, strict=True))
            ]
        )


@checked
@given(RUNS, APART, st.sampled_from([0.0, 1e-6, 0.4, 1.0, 90.0]), SPREAD, st.booleans())
def test_the_signal_and_reuse_plots_draw_any_figures(n, apart, magnitude, spread, measured):
    values = numbers(n, magnitude, spread)
    windows = [
        (day, {f"{'a long name of a signal ' * 3}{i}": float(v) for i in range(6)})
        for day, v in zip(days(n, apart), values, strict=True)
    ]
    runs = [
        (day, HoldoutReuse(i, 3, None, None, v if measured else None))
        for i, (day, v) in enumerate(zip(days(n, apart), intervals(values), strict=True))
    ]
    with inspected():
        monitor_page.distance(windows)
        gate_plots.holdout_reuse(runs)


def trials_of(n, magnitude, spread, stopped=0.0, failed=0.0):
    rng = np.random.default_rng(n)
    found = []
    for i, value in enumerate(abs(numbers(n, magnitude, spread))):
        folds = tuple(value * (1 + 0.02 * rng.normal(0, 1, 3)))
        fate = rng.random() if i else 1.0
        candidate = Candidate(i, f"family number {i % 4}", {})
        if fate < failed:
            found.append(Trial(candidate, (), 1.0, error="no"))
        elif fate < failed + stopped:
            found.append(Trial(candidate, folds[:1], 1.0, stopped=True))
        else:
            found.append(Trial(candidate, folds, 1.0))
    return found


@checked
@given(RUNS, MAGNITUDE, SPREAD, st.sampled_from([0.0, 0.6]), st.sampled_from([0.0, 0.3]))
@example(3, 36_000.0, 0.0, 0.0, 0.0)
def test_the_search_plot_draws_any_figures(n, magnitude, spread, stopped, failed):
    trials = trials_of(n, magnitude, spread, stopped, failed)
    winner = min(trials, key=lambda t: t.cv_error)
    with inspected() as seen:
        plots.search(trials, winner.candidate.index)
    axes = seen[0].axes[0]
    lowest = next(line for line in axes.lines if line.get_label() == "best so far").get_ydata()
    assert lowest[-1] == winner.cv_error
    assert (np.diff(lowest) <= 0).all()
    in_data = [line for line in axes.lines if line.get_transform() == axes.transData]
    drawn = [float(v) for line in in_data for v in np.atleast_1d(line.get_ydata())]
    complete = {t.cv_error for t in trials if np.isfinite(t.cv_error)}
    assert set(drawn) <= complete, "only what was scored on all folds has a place on the axis"
    assert min(drawn) == winner.cv_error


@checked
@given(st.sampled_from([1, 2, 800]), MAGNITUDE, SPREAD, SIGN, st.booleans())
def test_the_prediction_plot_and_error_map_draw_any_figures(n, magnitude, spread, sign, located):
    actual = numbers(n, magnitude, spread, sign)
    rng = np.random.default_rng(n)
    where = (rng.uniform(-124, -114, n), rng.uniform(32, 42, n)) if located else None
    test = TestSet(actual, actual * (1 + 0.1 * rng.normal(0, 1, n)), where)
    with inspected():
        plots.predicted_vs_actual(test)
        assert (plots.error_map(test) is None) is not located


def test_a_prediction_that_is_not_finite_has_no_point():
    test = TestSet(np.array([1.0, 2.0]), np.array([np.nan, 3.0]), (np.zeros(2), np.ones(2)))
    with inspected():
        assert "1 test" in plots.predicted_vs_actual(test).alt
    none = replace(test, predicted=np.full(2, np.inf))
    assert plots.predicted_vs_actual(none) is None
    assert plots.error_map(none) is None


def comparison(effect, half, upper, rows=500):
    return Comparison(
        rows, 50, effect, half, half, Interval(effect, effect - half, effect + half), upper
    )


CHANGE = st.sampled_from([-0.9, -0.02, 0.0, 1e-6, 0.004, 0.3, 40.0])


@checked
@given(st.integers(1, 4), CHANGE, st.sampled_from([0.0, 1e-7, 0.02, 3.0]), CHANGE)
@example(1, 0.0, 0.0, 0.0)
def test_the_decision_plot_draws_any_figures(n, effect, half, limit):
    found = {
        f"against {'a long name ' * 5}{i}": comparison(effect, half, effect + 0.7 * half)
        for i in range(n)
    }
    with inspected():
        plots.decision(found, limit, "tolerated up to")


@checked
@given(CHANGE, st.sampled_from([0.0, 0.02, 3.0]))
def test_the_forest_plot_draws_any_figures(effect, half):
    names = ["all rows", "ocean proximity NEAR OCEAN", "x" * 60]
    rows = [
        (name, comparison(effect / (i + 1), half, effect), 0.05) for i, name in enumerate(names)
    ]
    with mock.patch.object(gate_plots, "forest_rows", return_value=rows), inspected():
        gate_plots.forest(None, None)


@checked
@given(st.sampled_from([1, 2, 12, 30]), MAGNITUDE, st.sampled_from([0.0, 0.3, 2.0]))
def test_the_importance_plot_draws_any_figures(n, magnitude, spread):
    values = {f"column {i} {'long ' * 9}": v for i, v in enumerate(numbers(n, magnitude, spread))}
    with inspected():
        plots.importances(values, "increase of the squared error (US dollars squared), in all")


@checked
@given(
    st.sampled_from([1, 2, 30, 200]), st.sampled_from(["number", "category", "missing"]),
    st.sampled_from([0.0, 1e-9, 0.2, 1.0]),
)  # fmt: skip
def test_the_drift_plots_draw_any_figures(n, kind, effect):
    shares = tuple(np.full(n, 1 / n))
    groups = tuple(f"{-1e9 * i:,.0f} to {-1e9 * (i + 1):,.0f}" if kind == "number"
                   else f"level {i} {'long ' * 9}" for i in range(n))  # fmt: skip
    columns = tuple(
        ColumnDrift(
            f"column_{i}_of_two_lines", kind, 9, 9, effect, 0.1, 0.1, None, groups, shares, shares
        )
        for i in range(min(n, 12))
    )
    drift = DriftReport("training rows of m7", "rows of this run", 9, 9, columns)
    policy = mock.Mock(spec=GatePolicy, drift=DriftPolicy())
    with inspected():
        gate_plots.drift_effects([drift, replace(drift, current="active dataset")], policy)
        gate_plots.drift_shares(columns[0], drift, 0)


@checked
@given(st.sampled_from([1e-5, 0.05, 2.0]), st.sampled_from([None, 1e-6, 0.02]), st.booleans())
def test_the_power_plot_draws_any_figures(reach, gain, earlier):
    x = np.linspace(-reach, reach, 41)
    curve = [(float(v), float(1 / (1 + np.exp(9 * v / reach)))) for v in x]
    found = mock.Mock(
        metric="rmse",
        spec=OperatingCharacteristic, curve=curve, first_curve=curve, earlier=int(earlier),
        regression=0.01, passes=0.2, gain_needed=gain, message="",
    )  # fmt: skip
    with inspected():
        gate_plots.characteristic(found, 0.4 * reach)


def test_a_picture_alone_has_the_colours_of_both_modes_and_a_background():
    svg = standalone(plots.importances({"a": 1.0}, "share")).decode()
    light, dark = svg.split("prefers-color-scheme:dark")[0], svg.split("prefers-color-scheme")[1]
    assert f"--ink:{LIGHT['ink']};" in light
    assert "background:var(--panel)" in light
    assert f"--ink:{DARK['ink']};" in dark
    assert f"--panel:{DARK['panel']};" in dark


def test_every_colour_of_a_plot_is_the_pages(make_report):
    report = make_report()
    drawn = [
        plots.search(report.trials, report.best),
        plots.error_map(report.test),
        plots.predicted_vs_actual(report.test),
        gate_plots.forest(report.evidence, report.policy),
        gate_plots.drift_effects(report.evidence.drift, report.policy),
    ]
    for plot in drawn:
        fixed = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", plot.svg.decode()))
        assert not fixed, f"{plot.alt} has colours that no mode changes"
        assert b"<image" not in plot.svg


def test_rounding_errors_of_equal_values_do_not_look_like_differences():
    equal = [36_000.0, 36_000.0 + 1e-9, 36_000.0]
    runs = [(day, Interval(v, v, v)) for day, v in zip(days(3, timedelta(1)), equal, strict=True)]
    with inspected() as seen:
        plots.history(runs)
    low, high = seen[0].axes[0].get_ylim()
    assert high - low >= LOOK.least_span * 36_000


@pytest.mark.system
def test_a_date_axis_of_any_length_has_a_few_distinct_ticks() -> None:
    for seconds in np.geomspace(1, 20 * 365 * 86_400, 400):
        with canvas(2.0) as (_, axes):
            dates(axes, [START, START + timedelta(seconds=float(seconds))])
            places = axes.xaxis.get_major_locator()()
            labels = axes.xaxis.get_major_formatter().format_ticks(places)
        assert 1 <= len(set(labels)) == len(labels) <= 8, timedelta(seconds=float(seconds))
