"""`housing retrain`: runs the flow with progress bars and prints the verdict."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.markup import escape
from rich.table import Table

from deployments import environment
from deployments.cli.output import console, emit_json, errors, messages
from deployments.processes.prefect_server import temporary_prefect_server
from housing import progress
from housing.errors import SettingsInvalid
from housing.records import RunOutcome
from housing.settings import PREFIX, Settings, load_settings


def run_night(chosen: dict[str, Any], *, as_json: bool, began: float) -> str:
    """Run the flow once; returns the outcome. Errors of the flow are raised here."""
    settings = load_settings()
    check_options(chosen)
    environment.prepare(settings.home, quiet=True)
    with temporary_prefect_server(settings.home) as server:
        from deployments.cli.progress_bars import Bars  # imported while the server is starting
        from housing.store.database.open import open_store

        with open_store(settings):
            pass  # report problems of the store before the server has started
        with errors.status("Starting: loading libraries and the Prefect server ..."):
            from flows.nightly import nightly
            from housing.pipeline.run_context import NightlyParameters

            parameters = NightlyParameters(**chosen)
            if server is not None:
                server.wait_until_ready()
        with without_heartbeats(), Bars(visible=not as_json) as bars, progress.heard_by(bars):
            state = nightly(parameters, return_state=True)
    result: Any = state.result(raise_on_failure=False)
    if isinstance(result, BaseException):
        raise result
    _show(settings, result.run, as_json=as_json, seconds=time.perf_counter() - began)
    return str(result.outcome)


def check_options(chosen: dict[str, Any]) -> None:
    """SettingsInvalid names the options whose values are impossible, before anything starts."""
    search = {name: chosen[name] for name in ("n_trials", "families", "seed") if chosen.get(name)}
    sources = {"names": chosen["source"]} if chosen.get("source") else {}
    try:
        load_settings(search=search, sources=sources)
    except SettingsInvalid as error:
        faults = str(error.facts["faults"]).replace(f"{PREFIX}SOURCES__NAMES", "--source")
        for name in search:
            faults = faults.replace(f"{PREFIX}SEARCH__{name.upper()}", f"--{name}")
        raise SettingsInvalid(faults=faults.replace("--n_trials", "--n-trials")) from error


@contextmanager
def without_heartbeats() -> Iterator[None]:
    """Switch off Prefect's heartbeats: unused here, and stopping them takes a second."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


OUTCOME_STYLE = {
    RunOutcome.PROMOTED: "green",
    RunOutcome.KEPT: "yellow",
    RunOutcome.INCONCLUSIVE: "yellow",
    RunOutcome.BLOCKED: "yellow",
}


def _show(settings: Settings, run: int, *, as_json: bool, seconds: float) -> None:
    from housing.pipeline.notices import notices
    from housing.store import queries
    from housing.store.database.open import open_store
    from housing.store.runs import runs

    with open_store(settings) as store, store.read() as connection:
        found = queries.show_run(connection, run)
        steps = runs.steps(connection, run)
        warnings = list(notices(connection, settings))
    if as_json:
        emit_json({**found, "wall_seconds": seconds, "notices": warnings})
        return
    for notice in warnings:
        console.print(f"[bold yellow]! {escape(notice)}[/]")
    _print_steps([(s.name, s.seconds) for s in steps], seconds)
    _print_intake([*reversed(found["batches"]), *found["skipped_files"]])
    if found["verdict"]:
        _print_checks(found["verdict"])
    style = OUTCOME_STYLE.get(found["outcome"], "cyan")
    console.print(f"[bold {style}]{found['outcome'].upper()}[/]  {escape(found['message'])}")
    console.print(f"champion: {found['champion'] or 'none'}   run: {found['run']}")
    if found["report"]:
        console.print(f"report:   {escape(found['report'])}")


def _print_steps(steps: list[tuple[str, float]], total: float) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("step")
    table.add_column("seconds", justify="right")
    for name, seconds in steps:
        table.add_row(name, f"{seconds:.2f}")
    table.add_row("[bold]all, with start-up[/]", f"[bold]{total:.2f}[/]")
    console.print(table, "")


def _print_intake(batches: list[dict[str, Any]]) -> None:
    if not batches:
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("delivery", overflow="fold", min_width=12)
    table.add_column("status")
    colour = {"accepted": "green", "unreadable": "red", "rejected": "red"}
    for batch in batches:
        style = colour.get(batch["status"], "yellow")
        status = f"[{style}]{batch['status']}[/]"
        table.add_row(escape(batch["name"]), status)
    console.print(table)
    messages(batches)
    console.print()


def _print_checks(verdict: dict[str, Any]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("check", "outcome", "why"):
        table.add_column(heading, overflow="fold")
    colour = {"passed": "green", "failed": "red", "error": "red", "inconclusive": "yellow"}
    for check in verdict["checks"]:
        style = colour.get(check["outcome"], "dim")
        table.add_row(check["name"], f"[{style}]{check['outcome']}[/]", escape(check["message"]))
    console.print(table, "")
