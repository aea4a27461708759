"""Progress on standard error: on a terminal one line per step, with a bar if it reports a total.

Without a terminal a line when a step begins or ends, and every few seconds in between.
"""

import sys
import threading
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

WORKING = "working"
"""What a command does that reports no step."""

QUIET_SECONDS = 1.0
"""Time on a terminal after which that is shown."""

OTHER_COLUMNS = 44
"""Characters of a line beside the message."""


SHOWN = threading.Event()
"""Set while progress is shown: blocks within blocks show it once."""


@contextmanager
def progress_bars() -> Iterator[None]:
    """Show what is reported to `progress` while the block runs, or else that it works."""
    if SHOWN.is_set():
        yield
        return
    SHOWN.set()
    try:
        with _bars() if errors.is_terminal else _lines():
            yield
    finally:
        SHOWN.clear()


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
        redirect_stdout=sys.stdout.isatty(),  # a file or a pipe receives its lines all the same
    )
    tasks: dict[str, TaskID] = {}

    def update(step: str, done: int, total: int, message: str) -> None:
        if WORKING in tasks and step != WORKING:
            lines.remove_task(tasks.pop(WORKING))
        if step not in tasks:
            sys.stderr.write("")  # the line "Loading ..." ends
            lines.start()
            tasks[step] = lines.add_task(step, total=None, message="")
        text = escape(message[:100])
        lines.update(tasks[step], completed=done, total=total or None, message=text)

    def work() -> None:
        if not tasks:
            update(WORKING, 0, 0, "")

    try:
        with repeated(work, QUIET_SECONDS), progress.listening(update):
            yield
    finally:
        if WORKING in tasks:
            lines.remove_task(tasks[WORKING])
        lines.stop()


@contextmanager
def _lines() -> Iterator[None]:
    began, now = time.monotonic(), [WORKING, ""]  # the step, and what it reported last

    def say() -> None:
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        text = now[0] if now[0] == WORKING else f"{now[0]}: {now[1] or 'started'}"
        text = f"{text} ({minutes}:{seconds:02} min)"
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def update(step: str, done: int, total: int, message: str) -> None:
        count = f"{done} of {total}" if total > 1 else ""
        over = "done" if done == total == 1 else ""
        before, now[:] = list(now), (step, ", ".join(filter(None, (count or over, message))))
        if now[0] != before[0] or (over and now != before):
            say()

    with repeated(say), progress.listening(update):
        yield
