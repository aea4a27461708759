"""Commands of upkeep: what keeps the store sound, and says whether it is."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from deployments.cli.bars import Bars
from deployments.cli.output import AsJson, console, emit_json, listing
from housing import progress
from housing.settings import load_settings
from housing.store.opening import open_store

app = typer.Typer()
backup_app = typer.Typer(help="Copies of the whole store: made, tried, restored.")
app.add_typer(backup_app, name="backup")

CutArgument = Annotated[
    str | None,
    typer.Argument(metavar="BACKUP", help="From `housing backup list`; the newest if left out."),
]

Reason = Annotated[str, typer.Option(help="Why; it is kept for ever.")]


@backup_app.command()
def create(as_json: AsJson = False) -> None:
    """Copy the whole store, as it is at one moment, to HOUSING_BACKUP_URL."""
    from housing.steps.backup import create as create_backup

    settings = load_settings()
    with open_store(settings) as store, Bars(visible=not as_json) as bars, progress.heard_by(bars):
        cut = create_backup(store, settings)
    if as_json:
        emit_json(asdict(cut))
        return
    encrypted = "encrypted" if cut.encrypted else "not encrypted (HOUSING_BACKUP_KEY is not set)"
    console.print(
        f"[bold green]{cut.id}[/]: {cut.blobs:,} objects, {cut.size:,} bytes, of which "
        f"{cut.copied:,} were new; {encrypted}. `housing backup verify` tries it."
    )
    if settings.backup_on_same_disk:
        console.print("[bold yellow]! It is on the same disk as the original.[/]")


@backup_app.command()
def verify(backup: CutArgument = None, as_json: AsJson = False) -> None:
    """Restore a backup into a scratch folder, check every byte, and replay golden predictions.

    Returns 5 where it is not good.
    """
    from housing.notify import Message, send_all
    from housing.steps.backup import verify as verify_backup

    settings = load_settings()
    with open_store(settings) as store, Bars(visible=not as_json) as bars, progress.heard_by(bars):
        found = verify_backup(store, settings, backup)
    if not found.good:
        said = f"The backup {found.id} is not good: {'; '.join(found.problems)}"
        send_all(Message("backup not verified", said, found.id), settings.notify)
    if as_json:
        emit_json({**asdict(found), "good": found.good})
    elif found.good:
        replayed = "no champion yet" if found.champion is None else f"m{found.champion} replayed"
        console.print(
            f"[bold green]{found.id} is good[/]: {found.rows:,} rows, {found.blobs:,} objects, "
            f"{replayed}."
        )
    for problem in () if as_json else found.problems:
        console.print(f"[bold red]{escape(problem)}[/]")
    if not found.good:
        raise typer.Exit(5)


@backup_app.command()
def restore(backup: CutArgument = None, as_json: AsJson = False) -> None:
    """Bring a backup back into an empty store: champion, history, datasets, models."""
    from housing.steps.backup import restore as restore_backup

    with Bars(visible=not as_json) as bars, progress.heard_by(bars):
        done = restore_backup(load_settings(), backup)
    if as_json:
        emit_json(asdict(done))
        return
    champion = "no champion" if done.champion is None else f"champion m{done.champion}"
    console.print(
        f"[bold green]{done.id} is restored[/]: {done.rows:,} rows, {done.blobs:,} objects, "
        f"{champion}."
    )
    for notice in done.notices:
        console.print(f"[bold yellow]! {escape(notice)}[/]")


@backup_app.command("list")
def list_backups(as_json: AsJson = False) -> None:
    """Backups in HOUSING_BACKUP_URL, newest first, and whether they were tried."""
    from housing.steps.backup import listing as backups

    with open_store(load_settings()) as store:
        rows = backups(store)
    columns = ("backup", "state", "created_at", "champion", "blobs", "bytes", "detail")
    listing(rows, columns, as_json=as_json)


@app.command()
def sign(reason: Reason, as_json: AsJson = False) -> None:
    """Sign stored models with the key here, where the one that signed them is lost.

    Signs only bytes whose digest SQL holds. Do it only if you know who wrote to the store.
    """
    from housing.steps.sign import sign as sign_models

    with open_store(load_settings()) as store:
        done = sign_models(store, reason)
        place = store.signer.place
    if as_json:
        emit_json({"signed": done.signed, "damaged": done.damaged, "key": place})
    else:
        console.print(f"{len(done.signed)} models were signed with the key in {place}.")
        for digest in done.damaged:
            console.print(f"[bold red]{digest[:12]} is damaged or missing and was not signed.[/]")
    if done.damaged:
        raise typer.Exit(5)
