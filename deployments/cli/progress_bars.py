"""Progress on standard error: on a terminal one line per step, with a bar if it reports a total.

Without a terminal a line when a step begins or ends, and every few seconds in between.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

from deployments.cli.output import errors
from deployments.repeating import repeated
from housing import progress

OTHER_COLUMNS = 44
"""Characters of a line beside the message."""


@contextmanager
def progress_bars(*, visible: bool) -> Iterator[None]:
    """Show what is reported to `progress` while the block runs."""
    if not visible:
        yield
        return
    with _bars() if errors.is_terminal else _lines():
        yield


@contextmanager
def _bars() -> Iterator[None]:
    rest = max(10, errors.width - OTHER_COLUMNS)
    lines = Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description:<15}", table_column=Column(min_width=15, no_wrap=True)),
        BarColumn(bar_width=10),
        MofNCompleteColumn(table_column=Column(min_width=5, no_wrap=True)),
        TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),
        TextColumn("{task.fields[message]}", table_column=Column(width=rest, no_wrap=True)),
        console=errors,
    )
    tasks: dict[str, TaskID] = {}

    def update(step: str, done: int, total: int, message: str) -> None:
        if step not in tasks:
            tasks[step] = lines.add_task(step, total=None, message="")
        text = escape(message[:100])
        lines.update(tasks[step], completed=done, total=total or None, message=text)

    with lines, progress.heard_by(update):
        yield


@contextmanager
def _lines() -> Iterator[None]:
    began, now = time.monotonic(), ["", ""]  # the step, and what it reported last

    def say() -> None:
        if not now[0]:
            return
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        text = f"{now[0]}: {now[1] or 'started'} ({minutes}:{seconds:02} min)"
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def update(step: str, done: int, total: int, message: str) -> None:
        count = f"{done} of {total}" if total > 1 else ""
        over = "done" if done == total == 1 else ""
        before, now[:] = list(now), (step, ", ".join(filter(None, (count, message or over))))
        if now[0] != before[0] or (over and now != before):
            say()

    with repeated(say), progress.heard_by(update):
        yield
