"""The commands of `housing`, put together."""

from typing import Any

import typer
from typer.core import TyperGroup

from deployments.cli import (
    comparison,
    dataset,
    decisions,
    gate,
    maintenance,
    mirror,
    monitor,
    problem,
    replay,
    run,
    serving,
    show,
)


class _Interrupted(BaseException):
    """Ctrl-C in a class that Typer does not catch: it would exit without a message."""


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _Interrupted from error

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except _Interrupted as error:
            raise KeyboardInterrupt from error


app = typer.Typer(
    name="housing",
    help="Retrain nightly, promote only models that do not regress, and serve the champion.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    cls=_Commands,
)
PARTS = (
    run, show, comparison, decisions, dataset, gate, replay, maintenance, mirror, serving, monitor,
    problem,
)  # fmt: skip
for part in PARTS:
    app.registered_commands += part.app.registered_commands
    app.registered_groups += part.app.registered_groups
