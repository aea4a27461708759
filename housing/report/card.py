"""The model card: what a version is, how good, where not, in words for who pays for it and who uses
it (after Mitchell et al., 2019, "Model Cards for Model Reporting"). Markdown first; HTML of it.

What is said comes from `CardFacts`; gathering it belongs to `steps.card`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt

from housing.records import Interval, Metrics
from housing.report.monitor_page import page
from housing.schema import CATALOGUE, FEATURES, LABEL_CAP, SOURCE, TARGET

UNIT = CATALOGUE[TARGET].unit


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
    """All that a card says."""

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
    bag: int
    parameters: Mapping[str, Any]
    draws: int
    folds: int
    cv_rmse: float
    metrics: Metrics | None
    median_error: float | None  # half of the prices are predicted nearer than this
    nominal: float | None
    coverage: Interval | None
    slices: Sequence[SliceFigures]
    importances: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    libraries: Mapping[str, str]
    artifact: str


def markdown(facts: CardFacts) -> str:
    """The card as Markdown."""
    parts = (
        _head, _summary, _use, _data, _making, _quality, _slices, _drivers, _limits, _identity
    )  # fmt: skip
    return "\n".join(line for part in parts for line in part(facts)) + "\n"


def rendered(facts: CardFacts) -> str:
    """The card as a page of its own; what came from outside is escaped by the renderer."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown(facts))
    return page(f"Model card of {facts.model}", [body.split("</h1>", 1)[1]])


def _head(f: CardFacts) -> Iterator[str]:
    yield f"# Model card of {f.model}"
    yield ""
    if f.simulated:
        yield "**SIMULATED DISTRICTS: trained on made-up rows; it says nothing of real houses.**"
        yield ""


def _summary(f: CardFacts) -> Iterator[str]:
    yield f"{f.model} ({f.role}) says what the median house of a district costs ({UNIT})."
    if f.metrics is not None and f.median_error is not None:
        inside = ""
        if f.coverage is not None and f.nominal is not None:
            inside = (
                f" It names a range with each price: of 100 districts like these, "
                f"{100 * f.coverage.value:.0f} prices lay in it ({100 * f.nominal:.0f} promised)."
            )
        yield (
            f"Half of the prices it was tested on were predicted to within "
            f"{f.median_error:,.0f} {UNIT}; of 100 districts like these, "
            f"{100 * f.metrics.within_10:.0f} prices lie within 10 % of what it says, and "
            f"{100 * f.metrics.within_20:.0f} within 20 %.{inside}"
        )
    yield ""


def _use(f: CardFacts) -> Iterator[str]:
    yield "## What it is for, and what it must not be used for"
    yield ""
    yield "For: prices of whole districts like those it was trained on, to compare and to plan."
    yield ""
    for words in (
        "not for the value of a single house: it has never seen one",
        "not for lending, insurance, taxation or any other decision about a person",
        "not for places outside the ranges below: such answers are flagged as extrapolation",
        "not for another year than its rows are of: prices move and it does not know",
        "not as a cause: that a district with more income is dearer does not say why",
    ):
        yield f"- {words}"
    yield ""


def _data(f: CardFacts) -> Iterator[str]:
    yield "## Data"
    yield ""
    source = "simulated districts" if f.simulated else SOURCE
    yield (
        f"{f.dataset}: {f.train_rows:,} districts to learn from and {f.test_rows:,} to test on, "
        f"from {len(f.batches)} deliveries ({', '.join(f.batches[:8])}"
        f"{', ...' if len(f.batches) > 8 else ''}); {source}."
    )
    yield ""
    yield (
        "A district is put on one side once and for ever, in strata; no district that it was "
        "tested on was ever one that it learnt from, which is proven before each comparison."
    )
    yield ""
    yield "| field | unit | learnt from | to |"
    yield "|---|---|---:|---:|"
    for name in FEATURES:
        if name in f.ranges:
            low, high = f.ranges[name]
            yield f"| {CATALOGUE[name].label} | {CATALOGUE[name].unit} | {low:,.6g} | {high:,.6g} |"
    yield ""


def _making(f: CardFacts) -> Iterator[str]:
    yield "## How it was made"
    yield ""
    yield (
        f"{f.family}: {f.explanation}. The best of {f.draws} drawn settings, each scored on "
        f"{f.folds} folds of the training side (error {f.cv_rmse:,.0f} {UNIT}), fitted again on "
        f"all of it; {f.bag} model{'s' if f.bag > 1 else ''}, seed {f.seed}."
    )
    yield ""
    for name, value in f.parameters.items():
        yield f"- `{name}` = {value if not isinstance(value, float) else f'{value:.4g}'}"
    yield ""


def _quality(f: CardFacts) -> Iterator[str]:
    yield "## How good it is"
    yield ""
    m = f.metrics
    if m is None:
        yield "It has not been measured on a test set."
        yield ""
        return
    yield "| on unseen districts | |"
    yield "|---|---:|"
    limits = f"[{m.rmse.lower:,.0f}; {m.rmse.upper:,.0f}]"
    yield f"| error (RMSE), {UNIT} | {m.rmse.value:,.0f} {limits} |"
    yield f"| mean absolute error, {UNIT} | {m.mae:,.0f} |"
    yield f"| within 10 % / 20 % of the price | {m.within_10:.1%} / {m.within_20:.1%} |"
    yield f"| R2 | {m.r2:.3f} |"
    if f.coverage is not None and f.nominal is not None:
        c = f.coverage
        yield (
            f"| prices inside the range ({f.nominal:.0%} promised) | {c.value:.1%} "
            f"[{c.lower:.1%}; {c.upper:.1%}] |"
        )
    yield f"| test districts | {m.rows:,} |"
    yield ""


def _slices(f: CardFacts) -> Iterator[str]:
    if not f.slices:
        return
    yield "## Where it is better and where worse"
    yield ""
    yield f"| districts with | test districts | error, {UNIT} | inside the range |"
    yield "|---|---:|---:|---:|"
    for s in f.slices:
        inside = "" if s.share_inside is None else f"{s.share_inside.value:.0%}"
        limits = f"[{s.rmse.lower:,.0f}; {s.rmse.upper:,.0f}]"
        label = CATALOGUE[s.column].label
        name = s.name.replace("<", "\\<")
        yield f"| {label} {name} | {s.rows:,} | {s.rmse.value:,.0f} {limits} | {inside} |"
    yield ""


def _drivers(f: CardFacts) -> Iterator[str]:
    top = [(name, share) for name, share in f.importances.items() if share > 0][:6]
    if not top:
        return
    yield "## What it looks at"
    yield ""
    for name, share in top:
        yield f"- {CATALOGUE[name].label if name in CATALOGUE else name}: {share:.0%}"
    yield ""


def _limits(f: CardFacts) -> Iterator[str]:
    yield "## Limits"
    yield ""
    if LABEL_CAP is not None and not f.simulated:
        yield (
            f"- The source records every price above {LABEL_CAP:,.0f} as {LABEL_CAP:,.0f} {UNIT}: "
            "dearer districts are understated, and it cannot know by how much."
        )
    yield "- The interval holds the luck of districts, not of a world that changes: see monitoring."
    yield "- Neighbouring districts were on both sides: in places it has never seen it is worse."
    yield "- It carries rows and prices that it was trained on; whoever has the file has those."
    yield ""


def _identity(f: CardFacts) -> Iterator[str]:
    yield "## Identity"
    yield ""
    yield f"- trained {f.trained_at}, artifact sha256 `{f.artifact}`"
    yield f"- {', '.join(f'{name} {version}' for name, version in f.libraries.items())}"
