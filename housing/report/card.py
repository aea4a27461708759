"""The model card of a model version, in Markdown and HTML.

After Mitchell et al. (2019), "Model Cards for Model Reporting".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt

from housing.formatting import INTERVAL, amount, parameter, value_text, with_unit
from housing.records import Interval, Metrics
from housing.report.monitor_page import page
from housing.schema import CATALOGUE, COORDINATES, FEATURES, LABEL_CAP, LOCATION, WORDING

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
    """The card as Markdown."""
    parts = (
        _head, _summary, _use, _data, _making, _quality, _slices, _drivers, _limits, _identity
    )  # fmt: skip
    return "\n".join(line for part in parts for line in part(facts)) + "\n"


def rendered(facts: CardFacts) -> str:
    """The card as an HTML page; the renderer escapes external text."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown(facts))
    body = body.replace("<p><strong>SIMULATED", '<p class="notice"><strong>SIMULATED', 1)
    body = body.replace("<table>", '<div class="scroll"><table>').replace(
        "</table>", "</table></div>"
    )
    intro, *parts = body.split("</h1>", 1)[1].split("<h2>")
    sections = [f"<section>{intro}</section>", *(f"<section><h2>{p}</section>" for p in parts)]
    return page(f"Model card of {facts.model}", sections)


def _head(f: CardFacts) -> Iterator[str]:
    yield f"# Model card of {f.model}"
    yield ""
    if f.simulated:
        yield (
            f"**SIMULATED {WORDING.rows.upper()}: trained on made-up rows; not valid for real "
            f"{WORDING.rows}.**"
        )
        yield ""


def _summary(f: CardFacts) -> Iterator[str]:
    yield f"{f.model} ({f.role}) predicts {with_unit(WORDING.target)}."
    if f.metrics is not None and f.median_error is not None:
        inside = ""
        if f.coverage is not None and f.nominal is not None:
            inside = (
                f" Each prediction has an interval; {100 * f.coverage.value:.0f} of 100 test "
                f"{WORDING.values} lie in it (nominal: {100 * f.nominal:.0f})."
            )
        yield (
            f"The median absolute error on the test set is {amount(f.median_error)}; of 100 "
            f"predictions {100 * f.metrics.within_10:.0f} are within 10 % of the {WORDING.value} "
            f"and {100 * f.metrics.within_20:.0f} within 20 %.{inside}"
        )
    yield ""


def _use(f: CardFacts) -> Iterator[str]:
    yield "## Intended use"
    yield ""
    for words in WORDING.uses or (
        f"For {WORDING.rows} like those in the training data, to compare and to plan.",
    ):
        yield words
        yield ""
    for words in (
        *WORDING.no_uses,
        "not for lending, insurance, taxation or any other decision about a person",
        f"not for {WORDING.rows} outside the ranges below: such predictions are flagged as "
        "extrapolation",
    ):
        yield f"- {words}"
    yield ""


def _data(f: CardFacts) -> Iterator[str]:
    yield "## Data"
    yield ""
    source = f"simulated {WORDING.rows}" if f.simulated else WORDING.source
    yield (
        f"{f.dataset}: {f.train_rows:,} training and {f.test_rows:,} test {WORDING.rows} "
        f"from {len(f.batches)} deliveries ({', '.join(f.batches[:8])}"
        f"{', ...' if len(f.batches) > 8 else ''}); {source}."
    )
    yield ""
    yield (
        "The split is stratified and permanent; before each comparison the gate verifies that no "
        "test row, nor a near-duplicate of one, was in the training data."
    )
    yield ""
    yield "| field | unit | in the training rows |"
    yield "|---|---|---|"
    for name in FEATURES:
        unit = "" if name in COORDINATES else CATALOGUE[name].unit
        yield f"| {CATALOGUE[name].label} | {unit} | {_in_training(f, name)} |"
    yield ""


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


def _making(f: CardFacts) -> Iterator[str]:
    yield "## Training"
    yield ""
    yield (
        f"{f.family}: {f.explanation}. The best of {f.candidates} candidates, each scored on "
        f"{f.folds} folds of the training side (error {amount(f.cv_rmse)}), fitted again on "
        f"all of it; {f.ensemble_size} model{'s' if f.ensemble_size > 1 else ''}, seed {f.seed}."
    )
    yield ""
    for name, value in f.parameters.items():
        yield f"- `{name}` = {parameter(value)}"
    yield ""


def _quality(f: CardFacts) -> Iterator[str]:
    yield "## Evaluation"
    yield ""
    m = f.metrics
    if m is None:
        yield "It has not been evaluated on a test set."
        yield ""
        return
    yield f"| on unseen {WORDING.rows} | |"
    yield "|---|---:|"
    yield f"| {with_unit('error, RMSE')} [{INTERVAL}] | {_with_limits(m.rmse)} |"
    yield f"| {with_unit('mean absolute error')} | {value_text(m.mae)} |"
    yield f"| within 10 % / 20 % of the {WORDING.value} | {m.within_10:.1%} / {m.within_20:.1%} |"
    yield f"| R2 | {m.r2:.3f} |"
    if f.coverage is not None and f.nominal is not None:
        c = f.coverage
        yield (
            f"| {WORDING.values} inside the interval (nominal {f.nominal:.0%}) | {c.value:.1%} "
            f"[{c.lower:.1%}; {c.upper:.1%}] |"
        )
    yield f"| test {WORDING.rows} | {m.rows:,} |"
    yield ""


def _slices(f: CardFacts) -> Iterator[str]:
    if not f.slices:
        return
    yield "## Error by subset"
    yield ""
    rows = WORDING.rows
    yield f"| {rows} with | test {rows} | {with_unit('error')} | inside the interval |"
    yield "|---|---:|---:|---:|"
    for s in f.slices:
        inside = "" if s.share_inside is None else f"{s.share_inside.value:.0%}"
        label = CATALOGUE[s.column].label
        name = s.name.replace("<", "\\<")
        yield f"| {label} {name} | {s.rows:,} | {_with_limits(s.rmse)} | {inside} |"
    yield ""


def _with_limits(found: Interval) -> str:
    return f"{value_text(found.value)} [{value_text(found.lower)}; {value_text(found.upper)}]"


def _drivers(f: CardFacts) -> Iterator[str]:
    top = [(name, share) for name, share in f.importances.items() if share > 0][:6]
    if not top:
        return
    yield "## Most important inputs"
    yield ""
    for name, share in top:
        yield f"- {CATALOGUE[name].label if name in CATALOGUE else name}: {share:.0%}"
    yield ""


def _limits(f: CardFacts) -> Iterator[str]:
    yield "## Limits"
    yield ""
    if LABEL_CAP is not None and not f.simulated:
        yield (
            f"- The source records every {WORDING.value} above {amount(LABEL_CAP)} as "
            f"{amount(LABEL_CAP)}: higher {WORDING.values} are underestimated by an unknown amount."
        )
    yield "- The interval covers the sampling error, not changes over time: see monitoring."
    if LOCATION:
        yield "- Neighbours are on both sides of the split: the error in new regions is higher."
    yield f"- The artifact contains rows and {WORDING.values} of the training data."
    yield ""


def _identity(f: CardFacts) -> Iterator[str]:
    yield "## Identity"
    yield ""
    yield f"- trained {f.trained_at}, artifact sha256 `{f.artifact}`"
    yield f"- {', '.join(f'{name} {version}' for name, version in f.libraries.items())}"
