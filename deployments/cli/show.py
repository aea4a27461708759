"""Read-only commands: status, settings, listings, champion, show."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from deployments.cli.details import print_details
from deployments.cli.gate import print_replayed
from deployments.cli.id_parsing import parse_id
from deployments.cli.output import (
    LISTED,
    All,
    AsJson,
    Limit,
    cell,
    console,
    emit_json,
    errors,
    facts,
    listing,
    warn,
)
from deployments.cli.store import opened
from housing.errors import NotPossible
from housing.settings import load_settings, settings_in_force

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

app = typer.Typer()


def _query(question: "Callable[[Connection], Any]") -> Any:
    with opened() as (store, _), store.read() as connection:
        return question(connection)


def _locate_reports(rows: list[dict[str, Any]]) -> None:
    """Write where the reports are stored now; a row has the path of the machine of its run."""
    from housing.store.objects.pages import page_storage

    pages = page_storage(load_settings())
    for row in rows:
        if row.get("report"):
            row["report"] = pages.location(f"report-{row['run']}.html")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Print champion, active dataset, last run and what needs a person."""
    from housing.pipeline.notices import notices
    from housing.store import queries
    from housing.store.database import ownership

    with opened(banner=False) as (store, settings), store.read() as connection:
        urgent = [*ownership.problems(store), *notices(connection, settings)]
        found = {**queries.status(connection), "notices": urgent}
    _locate_reports([found["last_nightly_run"] or {}])
    if as_json:
        emit_json(found)
        return
    warn(found["notices"])
    champion, dataset, last = found["champion"], found["dataset"], found["last_nightly_run"]
    facts(
        {
            "champion": _brief(champion, "model", "family", "metric", "test_error", "since"),
            "dataset": _brief(dataset, "dataset", "rows", "test_rows", "created_at"),
            "last run": _brief(last, "run", "result", "started_at", "message"),
            "running now": found["running"] or "nothing",
            "blocked": [f"{block['blocked']}: {block['reason']}" for block in found["blocks"]]
            or "nothing",
            "rollback candidates": _readiness(found),
            "needs a person": len(found["needs_a_person"]) or "nothing",
        }
    )
    for number, need in enumerate(found["needs_a_person"], 1):
        console.print(f"{number}. {escape(need['message'])}", soft_wrap=True, highlight=False)
        for command in need["commands"]:
            console.print(f"     {escape(command)}", soft_wrap=True, highlight=False)


@app.command(name="settings")
def settings_(as_json: AsJson = False) -> None:
    """Print every setting in force and where its value comes from; secrets are masked."""
    found = [asdict(setting) for setting in settings_in_force(load_settings())]
    listing(found, ("setting", "value", "source"), as_json=as_json)


def _readiness(status: dict[str, Any]) -> str:
    marks = {True: "loads", False: "DOES NOT LOAD", None: "not tried yet"}
    notes = {block["blocked"]: " (blocked)" for block in status["blocks"]}
    if status["champion"]:
        notes[status["champion"]["model"]] = " (champion)"
    rows = status["readiness"]
    copies = {True: ", so does its ONNX copy", False: ", ONNX copy DOES NOT LOAD", None: ""}
    shown = (
        f"{row['model']} {marks[row['ready']]}{copies[row['onnx_ready']]}"
        f"{notes.get(row['model'], '')}"
        for row in rows
    )
    return ", ".join(shown) or "no champion yet"


def _brief(values: dict[str, Any] | None, *names: str) -> dict[str, Any] | str:
    if values is None:
        return "none yet; `housing retrain` makes the first"
    return {name: values[name] for name in names if values[name] is not None}


def _listing(name: str, summary: str, *columns: str) -> None:
    """A command that lists the rows of `queries.list_NAME`."""

    @app.command(name, help=f"{summary}, newest first.")
    def command(as_json: AsJson = False, limit: Limit = LISTED, every: All = False) -> None:
        from housing.store import queries

        most = None if every else limit + 1
        rows = _query(lambda connection: getattr(queries, f"list_{name}")(connection, most))
        _locate_reports(rows)
        listing(rows if every else rows[:limit], columns, as_json=as_json)
        if not every and len(rows) > limit:
            errors.print(f"The newest {limit:,} are listed; --all lists all.", highlight=False)


_listing(
    "models", "List all models",
    "model", "role", "family", "metric", "cv_error", "test_error", "dataset", "created_at",
)  # fmt: skip
_listing(
    "datasets", "List all dataset versions",
    "dataset", "operation", "reason", "batches", "rows", "test_rows", "created_at",
)  # fmt: skip
_listing(
    "batches", "List all ingested batches",
    "batch", "name", "status", "in_dataset", "read", "rejected", "recorded_at",
)  # fmt: skip
_listing(
    "runs", "List all runs",
    "run", "kind", "result", "started_at", "seconds", "message",
)  # fmt: skip
_listing(
    "history", "List the entries of the promotion log",
    "seq", "at", "operation", "from", "to", "blocks", "actor", "reason",
)  # fmt: skip


def _instant(text: str) -> datetime:
    """ISO 8601; UTC without an offset. BadParameter for another text and for the future."""
    try:
        found = datetime.fromisoformat(text.strip())
        utc = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is not a time; write 2026-03-29, 2026-03-29T02:00 or "
            "2026-03-29T02:00+02:00 (without an offset it is UTC)."
        ) from error
    if utc > datetime.now(UTC):
        raise typer.BadParameter(f"{utc:%Y-%m-%d %H:%M UTC} is in the future.")
    return utc


@app.command()
def champion(
    at: Annotated[
        Any,
        typer.Option(
            parser=_instant,
            metavar="TIME",
            help="A time in ISO 8601, in UTC unless it has an offset; now if left out.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the champion, now or at an earlier time, and the entry of the promotion log."""
    from housing.store import queries
    from housing.store.models import promotion_log

    line = _query(lambda connection: promotion_log.current(connection, at))
    if line is None:
        first = "there is none yet"
        if entries := _query(promotion_log.history):
            first = f"the first was at {cell(queries.time(entries[-1].at))}"
        raise NotPossible(
            what=f"Naming the champion of {at or datetime.now(UTC):%Y-%m-%d %H:%M UTC}",
            why=f"nothing had been promoted by then; {first}.",
        )
    entry = queries.log_entry(line)
    if as_json:
        emit_json(entry)
    else:
        facts(entry)


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="m7, v3, b2 or r9.")],
    verdict: Annotated[
        bool, typer.Option("--verdict", help="Recompute the verdict of a run and compare.")
    ] = False,
    lineage: Annotated[
        bool,
        typer.Option(
            "--lineage", help="Print a Mermaid graph of a model: columns, features, decisions."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print everything recorded about a model, dataset version, batch or run."""
    from housing.store import queries

    if lineage:
        _show_lineage(parse_id(id_, allowed="m")[1], as_json=as_json)
        return
    letter, number = parse_id(id_, allowed="r" if verdict else "mvbr")
    if verdict:
        print_replayed(number, as_json=as_json)
        return
    question = {
        "m": queries.show_model,
        "v": queries.show_dataset,
        "b": queries.show_batch,
        "r": queries.show_run,
    }[letter]
    found = _query(lambda connection: question(connection, number))
    _locate_reports([found])
    if as_json:
        emit_json(found)
        return
    print_details(found)


def _show_lineage(model: int, *, as_json: bool) -> None:
    from housing.operations.lineage import lineage

    with opened() as (store, _):
        found = lineage(store, model)
    if as_json:
        emit_json(found)
    else:
        console.print(found["mermaid"], markup=False, highlight=False, soft_wrap=True)
