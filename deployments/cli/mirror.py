"""The command mirror."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from deployments.cli.output import AsJson, print_result
from deployments.cli.store import opened

app = typer.Typer()


@app.command()
def mirror(
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Send nothing older, now and later; recorded. All is sent if never given.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option(help="Send everything again, also what was changed or deleted there.")
    ] = False,
    check: Annotated[
        bool, typer.Option(help="Count the differences there; send and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy runs, models and promotions to the MLflow server of HOUSING_MIRROR__URL.

    Sends what was not sent yet. Returns 1 if something could not be sent, or --check finds
    differences.
    """
    from housing.operations.mirror.check import check as compare
    from housing.operations.mirror.drain import mirror as send

    if check and (again or since):
        raise typer.BadParameter("--check sends nothing: leave out --again and --since.")
    with opened() as (store, settings):
        if check:
            found = compare(store, settings)
            print_result(
                asdict(found), found.message, as_json=as_json,
                faults=found.differences, code=1 if found.differences else 0,
            )  # fmt: skip
            return
        start = None if since is None else since.replace(tzinfo=UTC)
        done = send(store, settings, since=start, again=again)
    print_result(
        asdict(done), done.summary, as_json=as_json,
        faults=done.errors, code=1 if done.errors else 0,
    )  # fmt: skip
