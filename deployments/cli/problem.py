"""`housing problem`: a package for a table of one's own, drafted and checked."""

import os
import re
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.markup import escape

from deployments.cli.output import AsJson, console, emit_json, errors, print_result
from housing.schema import MODULE, VARIABLE
from housing.settings import PREFIX

ROWS = 600
"""Rows that a check uses, at random from the first of the file."""

problem = typer.Typer(
    help="Draft and check the package that describes a table of your own.", no_args_is_help=True
)
app = typer.Typer()
app.add_typer(problem, name="problem")


@problem.command()
def new(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file of rows, with the target.")],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    name: Annotated[str, typer.Option(help="Name of the package; default: the file's.")] = "",
    folder: Annotated[Path, typer.Option("--to", help="Folder for the package.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a package for the table in FILE: columns, ranges, categories, strata and models.

    What is guessed is marked EDIT in the package.
    """
    from housing.operations.problem_draft import write_draft

    chosen = name or re.sub(r"\W+", "_", file.stem.lower())
    draft = write_draft(file, target, chosen, folder)
    commands = (
        f"export HOUSING_PROBLEM={chosen} PYTHONPATH={folder.resolve()}",
        f"housing problem check {file}",
    )
    print_result(
        {**asdict(draft), "commands": commands},
        f"{draft.folder} is written, from {draft.rows:,} rows.",
        *(f"  {note}" for note in draft.notes),
        "Look for EDIT in it, then:",
        *(f"  {command}" for command in commands),
        as_json=as_json,
    )


@problem.command()
def check(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet file of rows to try it on.", exists=True, dir_okay=False
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Try the package that HOUSING_PROBLEM names: a whole run on 600 rows, in a scratch folder.

    One line for each part: rows, split, search, gate, report, model families, pages, predictions.
    """
    from deployments.cli.progress_bars import progress_bars
    from housing.operations.problem_draft import read_sample

    errors.print("Checking the package on a few rows; this takes about half a minute ...")
    rows, parts = read_sample(file, text=True), []
    with TemporaryDirectory(prefix="housing-check-") as home:
        _use_scratch_home(Path(home))
        rows.sample(min(ROWS, len(rows)), random_state=0).to_csv(
            Path(home) / "landing" / "rows.csv", index=False
        )
        from housing.operations.problem_check import check_problem

        with progress_bars():
            for part in check_problem():
                parts.append(part)
                if as_json:
                    continue
                mark = "[green]passed[/]" if part.passed else "[red]failed[/]"
                console.print(f"{mark} {part.name}: {escape(part.message)}", highlight=False)
        os.chdir("/")  # the folder is about to go
    if as_json:
        emit_json({"parts": [asdict(part) for part in parts]})
    if not all(part.passed for part in parts):
        raise typer.Exit(1)


def _use_scratch_home(home: Path) -> None:
    """Set the environment of this process to an empty home and the smallest search."""
    for name in [n for n in os.environ if n.startswith(PREFIX) and n != VARIABLE]:
        del os.environ[name]
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths if path),
        VARIABLE: MODULE,
        "HOUSING_HOME": str(home),
        "HOUSING_SOURCES__NAMES": "landing",
        "HOUSING_SOURCES__SETTLE_SECONDS": "0",
        "HOUSING_SEARCH__N_TRIALS": "1",
        "HOUSING_SEARCH__FOLDS": "2",
        "HOUSING_SEARCH__ENSEMBLE_SIZE": "2",
        "HOUSING_GATE__MIN_TEST_ROWS": "50",
        "HOUSING_GATE__LATENCY_BUDGET_MS": "60000",  # a busy machine is no fault of a problem
    }
    (home / "landing").mkdir()
    os.chdir(home)  # no `.env` with an address of the team in it
