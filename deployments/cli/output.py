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

console = Console()
errors = Console(stderr=True)

FREE_TEXT = frozenset({"name", "value", "message", "reason", "actor", "batches"})
"""Columns that are truncated on a narrow terminal; ids, dates and figures are not."""

LEAST_TEXT = 10
"""Characters that a truncated column keeps at least."""

ISO_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\dZ$")

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

Limit = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, max=MOST_ROWS, help="Newest N only.")
]


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


def warn(notices: Sequence[str]) -> None:
    """Print what a person should not overlook."""
    for notice in notices:
        console.print(f"[bold yellow]! {escape(notice)}[/]")


def bare_table(*headings: str | Column) -> Table:
    """An empty table without lines; long words are broken and not cut off."""
    columns = [Column(h, overflow="fold") if isinstance(h, str) else h for h in headings]
    return Table(*columns, box=None, header_style="bold", pad_edge=False)


def split_names(text: str | None) -> tuple[str, ...] | None:
    """The names in an option that separates them by commas."""
    return None if text is None else tuple(text.replace(" ", "").split(","))


def emit_json(value: Any) -> None:
    """Print a value as JSON and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


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
            name.replace("_", " "),
            justify="right" if numeric else "left",
            no_wrap=name not in FREE_TEXT,
            min_width=LEAST_TEXT if name in FREE_TEXT else None,
        )
    for row in rows:
        table.add_row(*(_short(cell(row[name], name)) for name in columns))
    console.print(table)


def messages(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the `message` of each row after its `name`, unwrapped: commands can be copied."""
    for row in rows:
        name, message = str(row["name"]), str(row["message"])
        text = message if message.startswith(name) else f"{name}: {message}"
        console.print(escape(text), soft_wrap=True, highlight=False)


def facts(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a mapping: one line per item, nested items indented."""
    if as_json:
        emit_json(values)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name.replace("_", " "), cell(value, name))
    console.print(table)


def _short(text: str) -> str:
    text = ISO_TIME.sub(r"\1 \2", text)
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def cell(value: Any, name: str = "") -> str:
    """A value of the field `name` as a table shows it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and name.endswith("rmse"):
        from housing.formatting import value_text  # loads the problem, which may be at fault

        return value_text(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return "\n".join(f"{escape(str(k))}: {cell(v, str(k))}" for k, v in value.items()) or "-"
    if isinstance(value, list | tuple):
        return _joined(value)
    return escape(str(value))


def _joined(values: Sequence[Any]) -> str:
    if all(isinstance(v, str) for v in values):
        return ", ".join(escape(v) for v in values) or "-"
    return "\n".join(cell(v).replace("\n", ", ") for v in values) or "-"
