"""The report as separate artifacts for a UI: pictures and a table of models."""

from collections.abc import Iterator
from dataclasses import dataclass

from housing.report import plots
from housing.report.data import RunReport
from housing.report.plot_style import RenderedFigure, standalone
from housing.report.run_page import decision, model_rows, models


@dataclass(frozen=True)
class Picture:
    """A picture for a UI."""

    key: str  # lower case, for addresses
    title: str
    svg: bytes  # with a background, in light and dark mode


def pictures(report: RunReport) -> Iterator[Picture]:
    """The available pictures, the most informative first."""
    drawn: tuple[tuple[str, str, RenderedFigure | None], ...] = (
        ("decision", "The decision", decision(report)),
        ("search", "The search", plots.search(report.trials, report.best, report.search_metric)),
        *(
            (
                f"curve-{number}",
                "Learning curve" if not c.parameter else "Validation curve",
                plots.curve(c),
            )
            for number, c in enumerate(report.curves)
        ),
        (
            "predicted-vs-actual",
            "Predicted and actual",
            plots.predicted_vs_actual(report.test) if report.test else None,
        ),
        ("error-map", "Where it errs", plots.error_map(report.test) if report.test else None),
        (
            "history",
            "The champion's error over time",
            plots.history(report.history, report.metric) if len(report.history) > 1 else None,
        ),
    )
    for key, title, plot in drawn:
        if plot is not None:
            yield Picture(key, f"{title}: {plot.alt}", standalone(plot))


def models_table(report: RunReport) -> list[dict[str, str]]:
    """One row per figure, one column per model; empty if nothing was measured."""
    names = [f"{role.lower()} {name}" for role, name, _ in models(report)]
    return [
        {"figure": label, **dict(zip(names, texts, strict=True))}
        for label, texts in model_rows(report)
        if names
    ]
