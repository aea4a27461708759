"""Progress on a terminal: one line per running step."""

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


class Bars:
    """One line per running step; steps that report a total get a bar."""

    def __init__(self, *, visible: bool) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description:<14}", table_column=Column(min_width=14, no_wrap=True)),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[message]}", table_column=Column(ratio=1, no_wrap=True)),
            console=errors,
            disable=not visible,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, step: str, done: int, total: int, message: str) -> None:
        """Receive `progress.report`."""
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=None, message="")
        self._progress.update(
            self._tasks[step], completed=done, total=total or None, message=escape(message[:100])
        )
