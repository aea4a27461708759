"""The model card of a model version, in Markdown and HTML.

After Mitchell et al. (2019), "Model Cards for Model Reporting".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from housing import schema
from housing.formatting import group_in_words, unbroken
from housing.gate.evidence import CorrectedError
from housing.problem import significant
from housing.records import Interval, Metrics, UnseenPlaces
from housing.report.run_page import environment, page
from housing.schema import CATALOGUE, CATEGORIES, COORDINATES, LOCATION, WORDING

TABLE = re.compile("<table.*?</table>", re.DOTALL)
HEADING = re.compile("<th[^>]*>(.*?)</th>")
WIDE = 4
"""Columns of a table from which a phone is too narrow for it."""

LISTED_CATEGORIES = 12
"""Categories of a field that the card names; of more it gives the number."""


@dataclass(frozen=True)
class SliceFigures:
    """One group of test rows."""

    column: str
    name: str
    rows: int
    error: Interval  # by the metric that decides
    share_inside: Interval | None  # of the prediction interval
    within_10: float  # share of rows predicted within 10 % of the value
    against_rest: Interval | None  # relative difference of the error from that of the other rows

    @property
    def label(self) -> str:
        """Column and group, for Markdown."""
        field, name = CATALOGUE[self.column], self.name
        if self.column not in CATEGORIES:
            name = group_in_words(name) + (f" ({field.unit})" if field.unit else "")
        return f"{field.label} {name}".replace("<", "\\<")


@dataclass(frozen=True)
class Example:
    """One test row and its prediction; values in the target's unit."""

    worst: bool  # else typical
    actual: float
    predicted: float
    base: float  # mean prediction for typical rows, from which contributions lead to `predicted`
    contributions: Mapping[str, float]  # the largest, by feature and its value in words
    neighbours: Sequence[tuple[float, float]]  # value and distance of the nearest training rows


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
    metric: str  # by which it was searched
    cv_error: float
    metrics: Metrics | None
    corrected: CorrectedError | None  # by its newest verdict
    corrected_metric: str
    median_error: float | None  # median absolute error
    nominal: float | None
    coverage: Interval | None
    slices: Sequence[SliceFigures]
    examples: Sequence[Example]
    unseen: UnseenPlaces | None
    worth: Sequence[str]  # sentences about the value of the model in use
    importances: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]  # of each number with a value
    seen: Mapping[str, Sequence[str]]  # categories that occur
    libraries: Mapping[str, str]
    artifact: str

    @property
    def compared(self) -> list[SliceFigures]:
        """Groups compared with the other rows, by falling difference."""
        found = [(s.against_rest.value, s) for s in self.slices if s.against_rest]
        return [s for _, s in sorted(found, key=lambda pair: -pair[0])]

    @property
    def worse(self) -> list[SliceFigures]:
        """Groups with a larger error than the other rows, beyond chance."""
        return [s for s in self.compared if s.against_rest and s.against_rest.lower > 0]


def markdown(facts: CardFacts, template: str = "card.md") -> str:
    """The card as Markdown, or a part of it; the layout is in `templates/`."""
    layout = environment().overlay(autoescape=False).get_template(template)
    values = {"rows": WORDING.rows, "values": WORDING.values}
    return layout.render(f=facts, schema=schema, in_training=_in_training, **values) + "\n"


def what_to_expect(facts: CardFacts) -> str:
    """The part of the card on single predictions, groups and places, as HTML."""
    return _html(markdown(facts, "expectations.md"))


def rendered(facts: CardFacts) -> str:
    """The card as an HTML page; the renderer escapes external text."""
    body = _html(markdown(facts))
    body = body.replace("<p><strong>SIMULATED", '<p class="notice"><strong>SIMULATED', 1)
    intro, *parts = body.split("</h1>", 1)[1].split("<h2>")
    sections = [f"<section>{intro}</section>", *(f"<section><h2>{p}</section>" for p in parts)]
    whole = Markup("".join(sections))  # noqa: S704 - of the renderer
    return page(f"Model card of {facts.model}", body=whole)


def _html(text: str) -> str:
    """Markdown as HTML, in which wide tables scroll; on a phone their rows are blocks."""
    body: str = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = TABLE.sub(_stacked, unbroken(body))
    return TABLE.sub(lambda table: f'<div class="scroll">{table[0]}</div>', body)


def _stacked(table: re.Match[str]) -> str:
    """A table that a phone is too narrow for, with the heading of each cell beside it."""
    heads = HEADING.findall(table[0])
    if len(heads) < WIDE:
        return table[0]
    labels = cycle(heads)
    cells = re.sub("<td", lambda _: f'<td data-label="{next(labels)}"', table[0])
    return cells.replace("<table", '<table class="stack"', 1)


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
    return significant(value)
