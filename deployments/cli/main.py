"""The command `housing`: its sub-commands, and what becomes of an error."""

import os
import sys

import typer
from rich.markup import escape

from deployments.cli import changes, listings, nights
from deployments.cli.output import errors
from housing.errors import HousingError

app = typer.Typer(
    name="housing",
    help="Nightly retraining that a team can trust to run while it sleeps.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for part in (nights.app, listings.app, changes.app):
    app.registered_commands += part.registered_commands
    app.registered_groups += part.registered_groups


def run() -> None:
    """Entry point: an expected error is one message and an exit code, never a stack trace."""
    try:
        app()
    except HousingError as error:
        errors.print(f"[bold red]{escape(str(error))}[/]", highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors.print(
            "Interrupted. Nothing is half done: the same command goes on where this one stopped."
        )
        sys.exit(130)
    except BrokenPipeError:
        # The reader (`head`, a pager) has gone; that is no fault of ours or theirs.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    run()
