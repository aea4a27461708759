"""Commands monitor, card and export."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from deployments.cli.id_parsing import Id, id_argument, id_option, parse_id
from deployments.cli.output import (
    AsJson,
    bare_table,
    coloured,
    console,
    emit_json,
    print_result,
    warn,
)
from deployments.cli.store import opened
from housing.errors import NotPossible
from housing.formatting import amount, limits
from housing.records import Interval
from housing.schema import WORDING

if TYPE_CHECKING:
    from housing.operations.monitor import MonitorRun

app = typer.Typer()

ALARM_CODE = 3
"""Exit code of `housing monitor` if there is an alarm."""


@app.command()
def monitor(
    act: Annotated[
        bool, typer.Option(help="Start the retraining that the policy asks for, if any.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Check drift, live error and staleness since the last monitor run; record, alert and act.

    Returns 3 if a signal is an alarm, else 0.
    """
    from housing.operations.monitor import monitor as look
    from housing.operations.monitor_report import write

    with opened() as (store, settings):
        found = look(store, settings)
        page = write(store, settings)
    alarms = [signal for window in found.windows for signal in window.alarms]
    if as_json:
        emit_json({**asdict(found), "report": str(page)})
    else:
        _show(found)
        console.print(f"report: {escape(str(page))}")
    if found.retrain and act:
        from deployments.cli.retrain import run_and_show

        run_and_show({"dry_run": False}, as_json=as_json, began=time.perf_counter())
    if alarms:
        raise typer.Exit(ALARM_CODE)


def _show(found: "MonitorRun") -> None:
    from housing.monitoring.live_error import ASSUMED
    from housing.monitoring.signals import state

    table = bare_table("window", "state", "what")
    for window in found.windows:
        for signal in window.signals:
            shown = coloured(state(signal.fired, signal.alarm))
            table.add_row(window.source, shown, escape(signal.text))
    console.print(table)
    for error in found.errors:
        rmse, shadow = Interval(**error["rmse"]), " (shadow)" if error["shadow"] else ""
        console.print(
            f"{error['model']}{shadow}: live RMSE {amount(rmse.value)}, {limits(rmse)}, on "
            f"{error['rows']:,} {WORDING.values} that arrived later; {ASSUMED}",
            highlight=False,
        )
    warn(found.alerts)


@app.command()
def card(
    model: Annotated[
        Id | None, id_argument("m", "A model, e.g. m7; the champion if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a model card as Markdown and HTML: data, metrics, limits."""
    from housing.operations.predict import champion_of
    from housing.pipeline.model_card import write

    with opened() as (store, settings):
        chosen = champion_of(store, "Writing a card") if model is None else model
        text, page, facts = write(store, settings, chosen)
    found = {"model": chosen, "markdown": str(text), "html": str(page), **asdict(facts)}
    print_result(found, f"m{chosen}: {text}", f"    {page}", as_json=as_json)


@app.command()
def export(
    what: Annotated[
        str, typer.Argument(metavar="ID", help="A model, m7, a dataset version, v3, or windows.")
    ],
    to: Annotated[
        str | None,
        typer.Option(
            help="Of a model: skops (if left out), onnx or web. Of v3 and windows: parquet."
        ),
    ] = None,
    public: Annotated[
        bool,
        typer.Option("--public", help="Of a model: one without target values of training rows."),
    ] = False,
    runtime: Annotated[
        Path | None,
        typer.Option(help="Folder of onnxruntime-web, for web; the installed one if left out."),
    ] = None,
    features: Annotated[
        bool, typer.Option("--features", help="Of v3: also the features that a model is given.")
    ] = False,
    model: Annotated[
        Id | None, id_option("m", "Whose features, e.g. m7; the champion's if left out.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; export-m7 if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export a stored model, the rows of a dataset version, or the monitor's windows, as files.

    A model is loaded again and checked. Rows are in rows.parquet with key and side, features in
    features.parquet, all columns in dictionary.json.
    """
    from housing.operations import export_data
    from housing.operations.export import export as write

    letter, number = ("", 0) if what == "windows" else parse_id(what, allowed="mv")
    kind = to or ("skops" if letter == "m" else "parquet")
    if letter != "m" and kind != "parquet":
        raise NotPossible(what=f"Exporting {what} to {kind}", why="rows are exported to parquet.")
    if features and letter != "v":
        why = "features are those of a dataset version: `housing export v3 --features --model m7`."
        raise NotPossible(what=f"Exporting features of {what}", why=why)
    folder = output or Path(f"export-{what}")
    with opened() as (store, _):
        notice = ""
        if letter == "m":
            done = write(store, number, kind, folder, public=public, runtime=runtime)
            files, notice = done.files, done.notice
        elif letter == "v":
            files = export_data.export_dataset(
                store, number, folder, features=features, model=model
            )
        else:
            files = export_data.export_windows(store, folder)
    names = [str(file) for file in files]
    facts = {"exported": what, "format": kind, "files": names, "notice": notice}
    print_result(facts, *names, *filter(None, [notice]), as_json=as_json)
