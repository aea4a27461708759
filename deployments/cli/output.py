"""Output of the command line: tables for people, JSON for programs, errors in one line."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from deployments.repeating import repeated
from housing.problem import MINUS

console = Console()
errors = Console(stderr=True)

FREE_TEXT = frozenset({"name", "value", "message", "reason", "actor"})
"""Columns that are truncated on a narrow terminal; ids, dates and figures are not."""

LEAST_TEXT = 10
"""Characters that a truncated column keeps at least."""

ISO_TIME = re.compile(r"\b(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\dZ")
DIGEST = re.compile(r"[0-9a-f]{64}$")
"""Shown by its first twelve digits; `--json` prints all."""

LABELS = frozenset({"seed", "seq"})
"""Whole numbers that count nothing."""

HEADINGS = {
    "cv_error": "CV error", "test_error": "test error", "seconds": "took",
    "fit_seconds": "fit took", "wall_seconds": "all took", "created_at": "created",
    "started_at": "started", "recorded_at": "recorded", "code": "rule", "at": "time",
}  # fmt: skip

LONGEST_CELL = 60
"""Characters of a cell in a listing; `housing show ID` and `--json` print all."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _given(reason: str) -> str:
    """Raises BadParameter for a blank reason (it is stored permanently)."""
    if not reason.strip():
        raise typer.BadParameter("a reason is required: it is stored permanently.")
    return reason


Reason = Annotated[str, typer.Option(help="Reason; stored permanently.", callback=_given)]
MOST_ROWS = 1_000_000
"""Upper bound of --limit."""

LONGEST_DAYS = 36_500
"""A century; Python's dates reach that far back."""

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST_ROWS, help="Newest N only.")]
All = Annotated[bool, typer.Option("--all", help="All rows, whatever --limit is.")]
LISTED = 50
"""Rows of a listing without --limit."""


_COLOURS = {
    "green": ("passed", "accepted", "promoted", "approved", "calm"),
    "yellow": ("inconclusive", "quarantined", "kept", "blocked", "watching"),
    "red": ("failed", "error", "unreadable", "rejected", "alarm", "damaged"),
}
_COLOUR_OF = {word: colour for colour, words in _COLOURS.items() for word in words}


def coloured(word: str, text: str | None = None, *, other: str = "dim") -> str:
    """An outcome or state, or the `text` for it, in its colour; `other` is that of the rest."""
    return f"[{_COLOUR_OF.get(word, other)}]{text or word}[/]"


@contextmanager
def status(text: str) -> Iterator[None]:
    """Show on standard error what the block does: a spinner, or a line from time to time."""
    if errors.is_terminal:
        with errors.status(text):
            yield
        return
    with repeated(lambda: errors.print(escape(text))):
        yield


def warn(notices: Sequence[str], to: Console = console) -> None:
    """Print what a person should not overlook."""
    for notice in notices:
        to.print(f"[bold yellow]! {escape(notice)}[/]")


def bare_table(*headings: str | Column) -> Table:
    """An empty table without lines; long words are broken and not cut off."""
    columns = [Column(h, overflow="fold") if isinstance(h, str) else h for h in headings]
    return Table(*columns, box=None, header_style="bold", pad_edge=False)


def split_names(text: str | None) -> tuple[str, ...] | None:
    """The names in an option that separates them by commas."""
    return None if text is None else tuple(text.replace(" ", "").split(","))


ID_LETTERS = {
    "model": "m", "champion": "m", "challenger": "m", "rolled_back_to": "m", "run": "r",
    "version": "v", "dataset": "v", "batch": "b",
}  # fmt: skip
"""Fields that hold the number of an id."""


def emit_json(value: Any) -> None:
    """Print a value as JSON and nothing else; numbers of ids get their letter, 7 becomes m7."""
    text = json.dumps(_with_letters(value), indent=2, ensure_ascii=False, default=str)
    sys.stdout.write(text + "\n")


def print_result(
    found: Mapping[str, Any],
    *sentences: str,
    as_json: bool,
    faults: Sequence[str] = (),
    code: int = 0,
) -> None:
    """Print facts as JSON with the sentences that state them, or the sentences alone, unwrapped:
    commands in them can be copied. Faults are red; exits with `code` unless it is 0.
    """
    if as_json:
        emit_json({**found, "messages": [*sentences, *faults]})
    else:
        for text in sentences:
            console.print(escape(text), soft_wrap=True, highlight=False)
        for text in faults:
            console.print(f"[bold red]{escape(text)}[/]", soft_wrap=True, highlight=False)
    if code:
        raise typer.Exit(code)


def _with_letters(value: Any, letter: str = "") -> Any:
    if isinstance(value, Mapping):
        return {k: _with_letters(v, ID_LETTERS.get(k, "")) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_with_letters(one) for one in value]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return f"{letter}{value}" if letter and is_number else value


def listing(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows: all fields as JSON, or the named columns as a table."""
    if as_json:
        emit_json(list(rows))
        return
    if not rows:
        console.print("There are none yet.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for name in columns:
        numeric = all(isinstance(r[name], int | float) or r[name] is None for r in rows)
        table.add_column(
            heading(name),
            justify="right" if numeric else "left",
            no_wrap=name not in FREE_TEXT,
            min_width=LEAST_TEXT if name in FREE_TEXT else None,
        )
    for row in rows:
        metric = row.get("metric", "rmse")
        table.add_row(*(_short(cell(row[name], name, metric=metric)) for name in columns))
    console.print(table)


def messages(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the `message` of each row after its `name`, unwrapped: commands can be copied."""
    for row in rows:
        name, message = str(row["name"]), str(row["message"])
        text = message if message.startswith(name) else f"{name}: {message}"
        console.print(escape(text), soft_wrap=True, highlight=False)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def facts(values: Mapping[str, Any]) -> None:
    """Print a mapping: one line per item, nested items indented."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(heading(name), cell(value, name, metric=values.get("metric", "rmse")))
    console.print(table)


def heading(name: str) -> str:
    """The name of a field as the terminal shows it; `cell` gives its value a unit."""
    return HEADINGS.get(name) or escape(
        name.removeprefix("model__").replace("__", " ").replace("_", " ")
    )


def cell(value: Any, name: str = "", digits: int = 4, metric: str = "rmse") -> str:
    """A value of the field `name` as a table shows it; `digits` are those of other floats, `metric`
    that of errors."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _figure(value, name, digits, metric)
    if isinstance(value, Mapping):
        inner = 3 if name == "parameters" else digits
        by = value.get("metric", "rmse")
        return "\n".join(f"{heading(k)}: {cell(v, k, inner, by)}" for k, v in value.items()) or "-"
    if isinstance(value, list | tuple):
        return _joined(value)
    text = str(value)
    return f"{text[:12]}…" if DIGEST.match(text) else escape(ISO_TIME.sub(r"\1 \2 UTC", text))


def _figure(value: float, name: str, digits: int, metric: str) -> str:
    from housing.formatting import duration, error_amount  # reads HOUSING_PROBLEM, maybe wrong

    if name in ("cv_error", "test_error"):
        return error_amount(value, metric)
    if name.endswith("seconds"):
        return duration(value)
    if isinstance(value, int):
        return str(value) if name in LABELS else f"{value:,}"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    return text.replace("-", MINUS)


def _joined(values: Sequence[Any]) -> str:
    if all(isinstance(v, str) for v in values):
        return ", ".join(escape(v) for v in values) or "-"
    return "\n".join(cell(v).replace("\n", ", ") for v in values) or "-"
