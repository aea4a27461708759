"""Commands retrain, ingest and up."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from deployments.cli import BEGAN
from deployments.cli.output import AsJson, console, listing, messages, split_names
from deployments.cli.store import opened
from housing.errors import NotPossible
from housing.records import RunOutcome
from housing.settings import load_settings

app = typer.Typer()


@app.command()
def retrain(
    source: Annotated[
        str | None, typer.Option(help="Sources to read, separated by commas.")
    ] = None,
    n_trials: Annotated[int | None, typer.Option(min=1, help="Trials of the search.")] = None,
    strategy: Annotated[
        str | None, typer.Option(help="`random` candidates, or every one of a `grid`.")
    ] = None,
    families: Annotated[
        str | None, typer.Option(help="Model families to sample from, separated by commas.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the search.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Judge the challenger; promote nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the pipeline now: ingest, search, compare, promote if nothing regresses.

    Returns 0 promoted or nothing new, 3 kept the champion, 4 inconclusive, 6 awaiting approval,
    1 failed, 2 wrong usage, 5 something is corrupt.
    """
    from deployments.cli.retrain import run_and_show

    chosen = {
        "source": source,
        "n_trials": n_trials,
        "strategy": strategy,
        "families": split_names(families),
        "seed": seed,
        "dry_run": dry_run,
    }
    outcome = run_and_show(chosen, as_json=as_json, began=BEGAN)
    raise typer.Exit(RunOutcome(outcome).exit_code)


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files.")],
    labels: Annotated[
        bool, typer.Option("--labels", help="The files hold labels for earlier predictions.")
    ] = False,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit", help="The files are labelling samples that a person has completed."
        ),
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Read known files again if the dataset lacks their rows."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ingest files; the next run adds them to the dataset.

    With --labels only the true values, joined to earlier predictions: each row has its id, or the
    columns that identify it, and the target.
    """
    from housing.operations.labels import ingest_audit, ingest_labels
    from housing.pipeline.ingest import ingest_files

    if labels and audit:
        raise NotPossible(what="--labels with --audit", why="give one of them.")
    if again and (labels or audit):
        raise NotPossible(what="--again with --labels or --audit", why="leave out --again.")
    ingestion = (
        ingest_labels if labels else ingest_audit if audit else partial(ingest_files, again=again)
    )
    with opened(create=True) as (store, settings):
        summary = ingestion(store, settings, files)
    shown = ("name", "status", "read", "accepted", "rejected", "message")
    rows = [
        {"batch": b.id and f"b{b.id}", **{name: getattr(b, name) for name in shown}}
        for b in summary.batches
    ]
    listing(rows, ("batch", "name", "status", "accepted", "rejected"), as_json=as_json)
    messages(() if as_json else rows)
    if any(b.status in ("unreadable", "rejected") for b in summary.batches):
        raise typer.Exit(1)


@app.command()
def up(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of the Prefect UI; HOUSING_PREFECT_PORT if left out."
        ),
    ] = None,
    api_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of the prediction API; HOUSING_SERVE__PORT if left out."
        ),
    ] = None,
) -> None:
    """Run Prefect server, worker, watchdog and prediction API on loopback; Ctrl-C stops them all.

    A service that crashes is restarted. A second Ctrl-C does not wait for a run in progress.
    """
    from deployments import environment
    from deployments.processes.supervisor import up as run_until_stopped

    settings = load_settings()
    environment.prepare(settings.home)
    run_until_stopped(
        settings.home,
        port or settings.prefect_port,
        api_port or settings.serve.port,
        lambda text: console.print(escape(text), soft_wrap=True),
    )


@app.command()
def watchdog(
    once: Annotated[bool, typer.Option("--once", help="One round, for a cron job.")] = False,
    beat: Annotated[
        Path | None, typer.Option(help="File that is touched after each good round.")
    ] = None,
) -> None:
    """Watch the runs of the Prefect server that PREFECT_API_URL names, until SIGTERM.

    Restarts missed runs, marks dead runs as crashed, sends alerts, and installs the automations.
    """
    from deployments.watchdog.main import run

    if not run(beat, once=once):
        raise typer.Exit(1)
