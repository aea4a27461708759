"""Entry point of the command `housing`: turns errors into messages and exit codes.

An expected error is one message and an exit code, never a stack trace. Everything else is
imported inside the functions, so that Ctrl-C during an import gives no stack trace either.
"""

import gc
import os
import sys

INTERRUPTED = 130
"""Exit code by convention of a program interrupted by Ctrl-C."""


def run() -> None:
    """Run the command line and exit."""
    try:
        from deployments.cli.loading import loading

        with loading():
            try:
                _run()
            finally:
                gc.freeze()  # collecting garbage at the end would keep the prompt waiting
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. Nothing is half done: the same command continues.\n")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader (`head`, a pager) has closed the pipe: no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _run() -> None:
    # Imports allocate much and free nothing: garbage collection would take a fifth of the time.
    gc.disable()
    from rich.markup import escape

    from deployments.cli.output import errors
    from housing.errors import HousingError

    if sys.argv[1:3] == ["problem", "new"]:
        # Works without a problem in force: HOUSING_PROBLEM may name the package that it writes.
        os.environ["HOUSING_PROBLEM"] = "housing.problems.template"
    try:
        from deployments.cli.main import app  # raises ProblemInvalid

        gc.enable()
        app()
    except HousingError as error:
        errors.print(f"[bold red]{escape(str(error))}[/]", highlight=False)
        sys.exit(error.exit_code)
    except PermissionError as error:
        if error.filename is None:
            raise
        what = escape(f"{error.filename} cannot be used: {error.strerror}.")
        errors.print(f"[bold red]{what} Check the path and its permissions.[/]", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    run()
