"""Plots of a report, as vectors throughout."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from housing.formatting import (
    axis_labels,
    bound,
    change,
    change_labels,
    count,
    error_amount,
    error_label,
    error_text,
    percent,
    share_labels,
    with_unit,
)
from housing.metric import RMSE, metric_named
from housing.records import Comparison, Interval, Trial
from housing.report.data import Column, TestSet
from housing.report.plot_style import (
    LOOK,
    RenderedFigure,
    canvas,
    counts,
    dates,
    dots,
    finished,
    heading,
    height_of_rows,
    interval_lines,
    legend,
    named,
    rows,
    scale,
    thinned,
    wrapped,
)
from housing.schema import CATALOGUE, LABEL_CAP, LOCATION, WORDING
from housing.training.curves import Curve

DASHED = (0, (4, 2))
LABEL_HEIGHT, LABEL_WIDTH = 0.045, 0.032
"""Of a landmark's name and of one character of it, as shares of the map's height and width."""

LEAST_CHANGE = 0.002
"""Length of an axis of relative changes."""


def decision(
    comparisons: Mapping[str, Comparison], limit: float, limit_label: str
) -> RenderedFigure:
    """Each comparison (label -> figures, at least one) against the limit of its upper bound.

    The thick line ends at the one-sided bound, which decides; the thin one is two-sided.
    """
    with canvas(1.3 + 0.7 * len(comparisons)) as (figure, axes):
        ends = [
            v
            for c in comparisons.values()
            for v in (c.interval.lower, c.interval.upper, c.effect, c.upper)
        ]
        scale(axes.xaxis, [*ends, limit, 0.0], change_labels, least=LEAST_CHANGE)
        low, high = axes.get_xlim()
        rows(axes, list(comparisons))
        axes.set_ylim(len(comparisons) - 0.45, -0.65)
        axes.axvspan(low, limit, color=LOOK.good, alpha=0.10, lw=0)
        axes.axvspan(limit, high, color=LOOK.bad, alpha=0.16, lw=0)
        axes.axvline(0, color=LOOK.faint, lw=1)
        axes.axvline(limit, color=LOOK.bad, lw=1.5, ls=DASHED)
        axes.annotate(
            f"{limit_label} {change(limit)}", (limit, 1), (0, 4), ("data", "axes fraction"),
            textcoords="offset points", ha=_side(axes, limit), color=LOOK.bad,
        )  # fmt: skip
        for row, c in enumerate(comparisons.values()):
            _draw_interval(axes, row, c, limit)
        label = metric_named(next(iter(comparisons.values())).metric).label
        axes.set_xlabel(wrapped(f"change of the error ({label}); further left is better"))
        words = "; ".join(
            f"{label} {change(c.effect)}, interval {change(c.interval.lower)} to "
            f"{change(c.interval.upper)}, at worst {bound(c.upper)}".strip()
            for label, c in comparisons.items()
        )
        alt = f"Change of the error: {words}. {limit_label} {change(limit)}."
        return finished(figure, "decision", alt)


def _side(axes: Axes, x: float, line: float | None = None) -> str:
    """Alignment of a text at `x` that keeps it above the plot, and beside a vertical `line`."""
    low, high = axes.get_xlim()
    where = (x - low) / (high - low)
    if line is not None and abs(x - line) < 0.2 * (high - low) and 0.2 < where < 0.8:
        return "right" if x < line else "left"
    return "left" if where < 0.3 else "right" if where > 0.7 else "center"


def _draw_interval(axes: Axes, row: int, c: Comparison, limit: float) -> None:
    color = LOOK.good if c.effect <= 0 and c.upper <= limit else LOOK.bad
    axes.plot([c.interval.lower, c.interval.upper], [row, row], color=color, lw=1.5)
    axes.plot([c.effect, c.upper], [row, row], color=color, lw=6, solid_capstyle="butt")
    axes.plot([c.effect], [row], "o", color=color, ms=9)
    for text, x, lift, weight in (
        (change(c.effect), c.effect, 8, "bold"),
        (f"at worst {bound(c.upper)}", c.upper, -7, "normal"),
    ):
        axes.annotate(
            text, (x, row), (0, lift), textcoords="offset points", fontweight=weight,
            ha=_side(axes, x, limit), va="bottom" if lift > 0 else "top",
        )  # fmt: skip


# --- the search ---------------------------------------------------------------------------


def search(trials: Sequence[Trial], best: int | None, metric: str = RMSE) -> RenderedFigure | None:
    """Error of each candidate that was scored on all folds, with their spread, and the best so far.

    Candidates that failed, were stopped early or are far above the others stand above the axis,
    without a value. None where nothing was scored.
    """
    ordered = sorted(trials, key=lambda trial: trial.candidate.index)
    scored = [t for t in ordered if np.isfinite(t.cv_error)]
    if not scored:
        return None
    edge = _upper_edge([trial.cv_error for trial in scored])
    shown = [trial for trial in scored if trial.cv_error <= edge]
    apart = {
        f"above {axis_labels([edge])[0]}": ("^", [t for t in scored if t.cv_error > edge]),
        "stopped": ("|", [t for t in ordered if t.stopped]),
        "failed": ("x", [t for t in ordered if t.error]),
    }
    with canvas(3.5) as (figure, axes):
        for number, family in enumerate(dict.fromkeys(t.candidate.family for t in shown)):
            _draw_family(axes, number, [t for t in shown if t.candidate.family == family])
        lowest = np.minimum.accumulate([trial.cv_error for trial in shown])
        where = [trial.candidate.index for trial in shown]
        last = ordered[-1].candidate.index
        axes.step(
            [*where, last], [*lowest, lowest[-1]], where="post", color=LOOK.faint, zorder=0,
            label="best so far",
        )  # fmt: skip
        scale(axes.yaxis, [v for t in shown for v in (t.cv_error, *t.fold_errors)], axis_labels)
        counts(axes.xaxis, ordered[0].candidate.index, last)
        _mark_winner(axes, [t for t in shown if t.candidate.index == best], metric)
        levels = _draw_apart(axes, {name: each for name, each in apart.items() if each[1]})
        heading(axes, error_label("cross-validated", metric), levels)
        axes.set_xlabel("trial")
        legend(figure, axes)
        failed, stopped = (len(apart[name][1]) for name in ("failed", "stopped"))
        first = min(scored, key=lambda trial: trial.cv_error)
        alt = (
            f"Scores of {count(len(trials))} trials, of which {failed} failed"
            + (f" and {stopped} were stopped early" if stopped else "")
            + f". The lowest error is {error_amount(first.cv_error, metric)}: trial "
            f"{first.candidate.index}, {first.candidate.family}."
        )
        return finished(figure, "search", alt)


def _draw_family(axes: Axes, number: int, trials: Sequence[Trial]) -> None:
    style = number % len(LOOK.families)
    color, where = LOOK.families[style], [trial.candidate.index for trial in trials]
    ends = np.array([(min(t.fold_errors), max(t.fold_errors)) for t in trials])
    axes.vlines(where, *ends.T, color=color, lw=1.2, alpha=0.4)
    axes.plot(
        where, [trial.cv_error for trial in trials], LOOK.markers[style], color=color, ms=6,
        label=named(trials[0].candidate.family),
    )  # fmt: skip


def _mark_winner(axes: Axes, winners: Sequence[Trial], metric: str) -> None:
    for trial in winners:
        place = (trial.candidate.index, trial.cv_error)
        axes.plot(*place, "o", ms=12, mfc="none", color=LOOK.ink)
        axes.annotate(
            error_text(trial.cv_error, metric), place, (0, -9), textcoords="offset points",
            va="top", ha=_side(axes, trial.candidate.index), fontweight="bold",
        )  # fmt: skip


def _draw_apart(axes: Axes, marked: Mapping[str, tuple[str, Sequence[Trial]]]) -> float:
    """Trials without a value on the axis, one level above it for each reason; the levels' height
    in points.
    """
    height = 14.0
    for level, (name, (marker, trials)) in enumerate(marked.items()):
        lift = (level + 0.6) * height
        up = axes.get_xaxis_transform() + ScaledTranslation(
            0, lift / 72, axes.figure.dpi_scale_trans
        )
        axes.plot(
            [t.candidate.index for t in trials], [1] * len(trials), marker, ms=6,
            color=LOOK.bad if name == "failed" else LOOK.faint, transform=up, clip_on=False,
        )  # fmt: skip
        axes.annotate(
            name, (0, 1), (-4, lift), "axes fraction", textcoords="offset points", ha="right",
            va="center",
        )  # fmt: skip
    return height * len(marked)


def _upper_edge(scores: Sequence[float]) -> float:
    """Error above which a candidate is off the axis, so that outliers do not flatten it."""
    best = min(scores)
    return max(
        best + LOOK.search_range * (float(np.median(scores)) - best),
        best * (1 + LOOK.least_span),
    )


# --- the model ----------------------------------------------------------------------------


def importances(values: Mapping[str, float], unit: str) -> RenderedFigure:
    """The largest importances (at least one) as bars, the largest on top."""
    top = sorted(values.items(), key=lambda item: item[1], reverse=True)[: LOOK.most_bars]
    names = [name for name, _ in top]
    with canvas(0.6 + height_of_rows(names)) as (figure, axes):
        axes.barh(range(len(top)), [value for _, value in top], color=LOOK.good, height=0.6)
        rows(axes, names)
        shares = _LEAST_SHARE <= top[0][1] <= 1 and top[-1][1] >= 0
        labels = share_labels if shares else axis_labels
        scale(axes.xaxis, [value for _, value in top], labels, zero=True)
        axes.set_xlabel(wrapped(unit))
        alt = f"Importances of columns; the most important: {', '.join(map(named, names[:3]))}."
        return finished(figure, "importances", alt)


def predicted_vs_actual(test: TestSet) -> RenderedFigure | None:
    """Predicted against recorded values; on the line a prediction is exact.

    None without a finite prediction.
    """
    actual, predicted, _ = _finite(test)
    if not len(actual):
        return None
    with canvas(4.3) as (figure, axes):
        for axis, word in ((axes.xaxis, "recorded"), (axes.yaxis, "predicted")):
            both = np.concatenate([actual, predicted])
            near_zero = 0 < both.min() < both.max() / 2
            scale(axis, both, axis_labels, zero=bool(near_zero))
            name = with_unit(f"{word} {WORDING.value}")
            axes.set_xlabel(wrapped(name)) if axis is axes.xaxis else heading(axes, name)
        shown = thinned(len(actual))
        x, y = actual[shown], predicted[shown]
        for layer in range(_LAYERS):  # each path covers itself once: layers show how dense it is
            dots(axes, x[layer::_LAYERS], y[layer::_LAYERS], LOOK.good, 2.2, 0.35)
        ends = axes.get_xlim()
        axes.plot(ends, ends, color=LOOK.ink, lw=1, label="exact")
        capped = 0 if LABEL_CAP is None else int(np.sum(actual >= LABEL_CAP))
        if capped and LABEL_CAP is not None:
            axes.axvline(
                LABEL_CAP, color=LOOK.bad, lw=1, ls=DASHED,
                label=f"{count(capped)} at the cap of the records",
            )  # fmt: skip
        axes.set_aspect("equal")
        legend(figure, axes)
        near = np.abs(predicted - actual) <= LOOK.far_off * np.abs(actual)
        alt = (
            f"Predicted against recorded {WORDING.value} of {count(len(actual))} test "
            f"{WORDING.rows}; "
            f"{percent(float(near.mean()), 0)} of them are within {percent(LOOK.far_off, 0)}."
        )
        return finished(figure, "predicted", alt)


_LAYERS = 6

_LEAST_SHARE = 0.001
"""The largest share below which an axis has numbers in place of percent."""


def _finite(test: TestSet) -> tuple[Column, Column, tuple[Column, Column] | None]:
    """The rows whose values are finite: recorded, predicted, coordinates."""
    kept = np.isfinite(test.actual) & np.isfinite(test.predicted)
    where = test.coordinates
    located = None if where is None else (where[0][kept], where[1][kept])
    return test.actual[kept], test.predicted[kept], located


def error_map(test: TestSet) -> RenderedFigure | None:
    """Where the challenger's predictions are too high and too low; one point a test row.

    None for a table without a location, and without a finite prediction.
    """
    actual, predicted, where = _finite(test)
    if where is None or LOCATION is None or not len(actual):
        return None
    relative = _relative_error(predicted, actual)
    far = LOOK.far_off
    classes: tuple[tuple[str, npt.NDArray[np.bool_], str, float], ...] = (
        (f"within {percent(far, 0)}", np.abs(relative) <= far, LOOK.middle, 0.7),
        (f"more than {percent(far, 0)} too low", relative < -far, LOOK.good, 0.9),
        (f"more than {percent(far, 0)} too high", relative > far, LOOK.bad, 0.9),
    )
    shown = np.zeros(len(actual), dtype=bool)
    shown[thinned(len(actual))] = True
    with canvas(5.4) as (figure, axes):
        for name, rows_, color, alpha in classes:
            x, y = (values[rows_ & shown] for values in where)
            dots(axes, x, y, color, 3.2, alpha)
            axes.plot([], [], "o", ms=5, color=color, label=f"{name} ({count(int(rows_.sum()))})")
        on_map(axes, *where)
        legend(figure, axes)
        low, high = (percent(float(np.mean(classes[i][1])), 0) for i in (1, 2))
        alt = (
            f"Map of the errors: {high} of {WORDING.rows} are more than {percent(far, 0)} too "
            f"high, {low} too low."
        )
        return finished(figure, "map", alt)


def on_map(axes: Axes, x: Column, y: Column) -> None:
    """Axes of a map of these coordinates, with the outlines and landmarks of the problem."""
    assert LOCATION is not None
    axes.set_aspect(1 / LOCATION.ratio)
    names = [f"{CATALOGUE[name].label} ({CATALOGUE[name].unit})" for name in LOCATION.columns]
    for axis, values in zip((axes.xaxis, axes.yaxis), (x, y), strict=True):
        scale(axis, values, axis_labels)
    for line in LOCATION.outlines:
        axes.plot(
            *zip(*line, strict=True), color=LOOK.ink, lw=0.7, alpha=0.6, scalex=False, scaley=False,
            label="_outline",
        )  # fmt: skip
    _name_landmarks(axes, LOCATION.landmarks)
    axes.set_xlabel(wrapped(names[0]))
    heading(axes, names[1])


def _name_landmarks(axes: Axes, landmarks: Mapping[str, tuple[float, float]]) -> None:
    """Names away from the nearer edge, or else on the other side; one without room is left out."""
    (west, east), (south, north) = axes.get_xlim(), axes.get_ylim()
    height = LABEL_HEIGHT * (north - south)
    taken: list[tuple[float, float, float]] = []  # left and right end, and the height
    for name, (at, up) in landmarks.items():
        if not (west < at < east and south < up < north):
            continue
        length = len(name) * LABEL_WIDTH * (east - west)
        right_half = at > (west + east) / 2
        for left in (right_half, not right_half):
            ends = (at - length, at) if left else (at, at + length)
            if any(ends[0] < b and a < ends[1] and abs(up - y) < height for a, b, y in taken):
                continue
            taken.append((*ends, up))
            axes.annotate(
                name, (at, up), (-3 if left else 3, 0), textcoords="offset points",
                ha="right" if left else "left", va="center",
            )  # fmt: skip
            break


def _relative_error(predicted: Column, actual: Column) -> Column:
    """(predicted - actual) / |actual|, shape (n,); where actual is 0 infinite, or 0 if exact."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative: Column = (predicted - actual) / np.abs(actual)
    return np.nan_to_num(relative, nan=0.0, posinf=np.inf, neginf=-np.inf)


def curve(found: Curve) -> RenderedFigure:
    """Errors on training and on validation rows at each value, with the spread over the folds."""
    sides = ((found.train, "on the rows of the fit", LOOK.faint),
             (found.validation, "on validation rows", LOOK.good))  # fmt: skip
    with canvas(3.2) as (figure, axes):
        for errors, label, color in sides:
            folds_ = np.array(errors)
            axes.fill_between(
                found.values, folds_.min(axis=1), folds_.max(axis=1), color=color, alpha=0.2, lw=0
            )
            axes.plot(found.values, folds_.mean(axis=1), "o-", ms=4, color=color, label=label)
        scale(axes.xaxis, found.values, axis_labels)
        scale(axes.yaxis, [*found.train, *found.validation], axis_labels)
        axes.set_xlabel(wrapped(found.label))
        heading(axes, error_label("error,", found.metric))
        legend(figure, axes)
        return finished(figure, f"curve-{found.parameter or 'rows'}", found.message)


def history(runs: Sequence[tuple[datetime, Interval]], metric: str = RMSE) -> RenderedFigure:
    """The champion's error per run (at least one), each on that run's test set."""
    ordered = sorted(runs, key=lambda each: each[0])
    days = [day for day, _ in ordered]
    values = np.array([(i.value, i.lower, i.upper) for _, i in ordered])
    with canvas(2.8) as (figure, axes):
        interval_lines(axes, days, values, LOOK.good)
        scale(axes.yaxis, values, axis_labels)
        dates(axes, days)
        last = float(values[-1, 0])
        axes.annotate(
            error_text(last, metric), (1, last), (4, 0), ("axes fraction", "data"), va="center",
            textcoords="offset points", fontweight="bold", annotation_clip=False,
        )  # fmt: skip
        heading(axes, error_label("champion's error,", metric))
        first, end, highest = (
            error_amount(float(v), metric) for v in (values[0, 0], last, values[:, 0].max())
        )
        alt = (
            f"The champion's error over {len(values)} runs: first {first}, last {end}, highest "
            f"{highest}."
        )
        return finished(figure, "history", alt)
