"""`housing retrain`: runs the flow with progress bars and prints the verdict."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Column

from deployments import environment
from deployments.cli.output import bare_table, coloured, console, emit_json, messages, warn
from deployments.cli.store import opened
from deployments.processes.prefect_server import ServerUnavailable, temporary_prefect_server
from housing import progress
from housing.errors import SettingsInvalid
from housing.settings import PREFIX, Settings, load_settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

HEARTBEAT_SECONDS = 30
"""As of runs of the worker: half of what HOUSING_NOTIFY__SILENT_AFTER_MINUTES can be."""


def run_and_show(chosen: dict[str, Any], *, as_json: bool, began: float) -> str:
    """Run the flow once; returns the outcome. Errors of the flow are raised here."""
    from deployments.cli.progress_bars import progress_bars

    settings = load_settings()
    with progress_bars(), nightly_flow(settings, chosen, deployed=True) as nightly:
        result = nightly()
    if isinstance(result, BaseException):
        raise result
    _show(result.run, as_json=as_json, seconds=time.perf_counter() - began)
    return str(result.outcome)


@contextmanager
def nightly_flow(
    settings: Settings, chosen: dict[str, Any], *, deployed: bool = False
) -> Iterator[Callable[[], Any]]:
    """The flow on a Prefect server, ready to run with these parameters.

    A call runs it once and returns its result, or the error that ended it. With `deployed` it is
    a run of the deployment `nightly`, where the server has one.
    """
    check_options(chosen)
    environment.prepare(settings.home, quiet=True)
    with temporary_prefect_server(settings.home) as server:
        progress.report("start", 0, 0, "loading Prefect and its server")
        with opened(create=True, banner=False):
            pass  # report problems of the store before the server has started
        from httpx import HTTPError
        from prefect.flow_engine import run_flow
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        from flows.nightly import nightly
        from housing.pipeline.run_context import NightlyParameters

        given = {"parameters": NightlyParameters(**chosen)}
        if server is not None:
            server.wait_until_ready()
        progress.report("start", 1, 1)

        def run() -> Any:
            try:
                started = _deployed_run(chosen) if deployed and server is None else None
                # A deployment's run without heartbeats counts as dead; ending them takes a second.
                every = None if started is None else HEARTBEAT_SECONDS
                with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: every}):
                    state: Any = run_flow(nightly, started, given, return_type="state")
                    return state.result(raise_on_failure=False)
            except HTTPError as error:
                raise ServerUnavailable(
                    url=os.environ["PREFECT_API_URL"],
                    why=str(error) or type(error).__name__,
                    next_step="Start it again, or leave it; then `housing retrain` continues.",
                ) from error

        yield run
        progress.report("stop", 0, 0, "the Prefect server")
    progress.report("stop", 1, 1)


def _deployed_run(chosen: dict[str, Any]) -> "FlowRun | None":
    """A new run of the deployment, which this process carries out; None where there is none."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Pending

    from deployments.watchdog.missed_runs import DEPLOYMENT
    from tasks.run_labels import TERMINAL

    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            return None
        return client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"parameters": {k: v for k, v in chosen.items() if v is not None}},
            state=Pending(),  # scheduled, a worker would carry it out
            tags=[TERMINAL],
        )


def check_options(chosen: dict[str, Any]) -> None:
    """SettingsInvalid names the options whose values are impossible, before anything starts."""
    names = ("n_trials", "families", "seed", "strategy")
    search = {name: chosen[name] for name in names if chosen.get(name)}
    sources = {"names": chosen["source"]} if chosen.get("source") else {}
    try:
        load_settings(search=search, sources=sources)
    except SettingsInvalid as error:
        faults = str(error.facts["faults"]).replace(f"{PREFIX}SOURCES__NAMES", "--source")
        for name in search:
            faults = faults.replace(f"{PREFIX}SEARCH__{name.upper()}", f"--{name}")
        raise SettingsInvalid(faults=faults.replace("--n_trials", "--n-trials")) from error


def _show(run: int, *, as_json: bool, seconds: float) -> None:
    from deployments.cli.details import TABLES, print_table
    from housing.pipeline.notices import notices
    from housing.store import queries

    with opened(banner=False) as (store, settings), store.read() as connection:
        found = queries.show_run(connection, run)
        warnings = list(notices(connection, settings))
    if as_json:
        emit_json({**found, "wall_seconds": seconds, "notices": warnings})
        return
    warn(warnings)
    whole = {"step": "all, with start-up", "seconds": seconds}
    print_table(("step", "seconds"), [*found["steps"], whole])
    console.print()
    _print_intake([*reversed(found["batches"]), *found["skipped_files"]])
    if found["verdict"]:
        print_table(TABLES["checks"], found["verdict"]["checks"])
        console.print()
    outcome = coloured(found["outcome"], found["outcome"].upper(), other="cyan")
    console.print(f"[bold]{outcome}[/]  {escape(found['message'])}")
    console.print(f"champion: {found['champion'] or 'none'}   run: {found['run']}")
    if found["report"]:
        console.print(f"report:   {escape(found['report'])}")


def _print_intake(batches: list[dict[str, Any]]) -> None:
    if not batches:
        return
    table = bare_table(Column("delivery", overflow="fold", min_width=12), "status")
    for batch in batches:
        table.add_row(escape(batch["name"]), coloured(batch["status"], other="yellow"))
    console.print(table)
    messages(batches)
    console.print()
