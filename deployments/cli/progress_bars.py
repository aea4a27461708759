"""Progress on a terminal: one line per running step; steps that report a total get a bar."""

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
from housing import progress


@contextmanager
def progress_bars(*, visible: bool) -> Iterator[None]:
    """Show what is reported to `progress` while the block runs."""
    lines = Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description:<14}", table_column=Column(min_width=14, no_wrap=True)),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", table_column=Column(ratio=1, no_wrap=True)),
        console=errors,
        disable=not visible,
    )
    tasks: dict[str, TaskID] = {}

    def update(step: str, done: int, total: int, message: str) -> None:
        if step not in tasks:
            tasks[step] = lines.add_task(step, total=None, message="")
        text = escape(message[:100])
        lines.update(tasks[step], completed=done, total=total or None, message=text)

    with lines, progress.heard_by(update):
        yield
