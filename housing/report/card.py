"""The model card of a model version, in Markdown and HTML.

After Mitchell et al. (2019), "Model Cards for Model Reporting".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from housing import schema
from housing.records import Interval, Metrics
from housing.report.run_page import environment, page
from housing.schema import COORDINATES, LOCATION

LISTED_CATEGORIES = 12
"""Categories of a field that the card names; of more it gives the number."""


@dataclass(frozen=True)
class SliceFigures:
    """One group of test rows."""

    column: str
    name: str
    rows: int
    rmse: Interval
    share_inside: Interval | None  # of the prediction interval


@dataclass(frozen=True)
class CardFacts:
    """The facts of a card."""

    model: str
    role: str  # champion, former champion, challenger
    family: str
    explanation: str
    trained_at: str
    dataset: str
    simulated: bool
    train_rows: int
    test_rows: int
    batches: Sequence[str]
    seed: int
    ensemble_size: int
    parameters: Mapping[str, Any]
    candidates: int
    folds: int
    cv_rmse: float
    metrics: Metrics | None
    median_error: float | None  # median absolute error
    nominal: float | None
    coverage: Interval | None
    slices: Sequence[SliceFigures]
    importances: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]  # of each number with a value
    seen: Mapping[str, Sequence[str]]  # categories that occur
    libraries: Mapping[str, str]
    artifact: str


def markdown(facts: CardFacts) -> str:
    """The card as Markdown; the layout is in `templates/card.md`."""
    template = environment().overlay(autoescape=False).get_template("card.md")
    return template.render(f=facts, schema=schema, in_training=_in_training) + "\n"


def rendered(facts: CardFacts) -> str:
    """The card as an HTML page; the renderer escapes external text."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown(facts))
    body = body.replace("<p><strong>SIMULATED", '<p class="notice"><strong>SIMULATED', 1)
    body = body.replace("<table>", '<div class="scroll"><table>').replace(
        "</table>", "</table></div>"
    )
    intro, *parts = body.split("</h1>", 1)[1].split("<h2>")
    sections = [f"<section>{intro}</section>", *(f"<section><h2>{p}</section>" for p in parts)]
    whole = Markup("".join(sections))  # noqa: S704 - of the renderer
    return page(f"Model card of {facts.model}", body=whole)


def _in_training(f: CardFacts, name: str) -> str:
    """The range of a number, or the categories that occur."""
    if name in f.ranges:
        return " to ".join(_value(name, limit) for limit in f.ranges[name])
    seen = f.seen.get(name, ())
    more = f" and {len(seen) - LISTED_CATEGORIES} more" if len(seen) > LISTED_CATEGORIES else ""
    return (", ".join(seen[:LISTED_CATEGORIES]) + more) or "no value"


def _value(name: str, value: float) -> str:
    if LOCATION is not None and name in COORDINATES:
        return LOCATION.written(name, value)
    return f"{value:,.6g}"
