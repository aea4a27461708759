"""`housing monitor`: one look at what happened since the last one."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from deployments.cli.output import AsJson, cell, console, emit_json
from housing.settings import load_settings

if TYPE_CHECKING:
    from housing.steps.monitor import Look

app = typer.Typer()

ALARM_CODE = 3
"""Returned where something is an alarm."""


@app.command()
def monitor(
    act: Annotated[
        bool, typer.Option(help="Start the night that the policy asks for, if it asks for one.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Drift, live error, staleness since the last look; told, recorded, acted upon by policy.

    Returns 0 where all is well, 3 where something is an alarm.
    """
    from housing.steps.monitor import monitor as look
    from housing.steps.watch_report import write
    from housing.store.opening import open_store

    settings = load_settings()
    with open_store(settings) as store:
        found = look(store, settings)
        page = write(store, settings)
    alarms = [signal for window in found.windows for signal in window.alarms]
    if as_json:
        emit_json({**asdict(found), "report": str(page)})
    else:
        _show(found)
        console.print(f"report: {escape(str(page))}")
    if found.retrain and act:
        _retrain(as_json=as_json)
    if alarms:
        raise typer.Exit(ALARM_CODE)


def _show(found: "Look") -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("window", "state", "what"):
        table.add_column(heading, overflow="fold")
    for window in found.windows:
        for signal in window.signals:
            state = "alarm" if signal.alarm else "fired" if signal.fired else "calm"
            style = {"alarm": "red", "fired": "yellow", "calm": "green"}[state]
            words = escape(signal.sentence)
            table.add_row(window.source, f"[{style}]{state}[/]", words)
    console.print(table)
    for error in found.errors:
        rmse = error["rmse"]
        console.print(
            f"{error['model']}{' (shadow)' if error['shadow'] else ''}: live error "
            f"{cell(rmse['value'])} [{cell(rmse['lower'])}; {cell(rmse['upper'])}] US dollars on "
            f"{error['rows']:,} prices that came later",
            highlight=False,
        )
    for sentence in found.told:
        console.print(f"[bold yellow]! {escape(sentence)}[/]")


def _retrain(*, as_json: bool) -> None:
    from deployments.cli.retrain import run_night

    run_night({"dry_run": False}, as_json=as_json, began=time.perf_counter())
