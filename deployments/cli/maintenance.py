"""Commands of maintenance: backup, doctor, heal, prune, readiness, reproduce, sign, migrate."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from deployments.cli.id_parsing import Id, id_argument
from deployments.cli.output import (
    LONGEST_DAYS,
    AsJson,
    Reason,
    coloured,
    console,
    emit_json,
    listing,
    print_result,
)
from deployments.cli.store import opened
from housing.settings import load_settings

if TYPE_CHECKING:
    from housing.operations.doctor import HealthReport

app = typer.Typer()
backup_app = typer.Typer(help="Create, verify, restore and list backups of the store.")
app.add_typer(backup_app, name="backup")

CutArgument = Annotated[
    str | None,
    typer.Argument(metavar="BACKUP", help="From `housing backup list`; the newest if left out."),
]


@backup_app.command()
def create(as_json: AsJson = False) -> None:
    """Copy a consistent snapshot of the store to HOUSING_BACKUP_URL."""
    from housing.operations.backup import create as create_backup

    with opened(create=True) as (store, settings):
        snapshot = create_backup(store, settings)
    encrypted = "encrypted" if snapshot.encrypted else "not encrypted (no HOUSING_BACKUP_KEY)"
    print_result(
        asdict(snapshot),
        f"{snapshot.id}: {snapshot.blobs:,} objects, {snapshot.size:,} bytes, of which "
        f"{snapshot.copied:,} were new; {encrypted}. `housing backup verify` checks it.",
        *["The backup is on the same disk as the store."] * settings.backup_on_same_disk,
        as_json=as_json,
    )


@backup_app.command()
def verify(backup: CutArgument = None, as_json: AsJson = False) -> None:
    """Restore a backup into a scratch folder, check every byte, and replay golden predictions.

    Returns 5 if it cannot be restored.
    """
    from housing.operations.backup import verify as verify_backup

    with opened() as (store, _):
        found = verify_backup(store, backup)
    replayed = "no champion yet" if found.champion is None else f"m{found.champion} replayed"
    text = f"{found.id} is good: {found.rows:,} rows, {found.blobs:,} objects, {replayed}."
    print_result(
        {**asdict(found), "good": found.good}, *[text] * found.good,
        as_json=as_json, faults=found.problems, code=0 if found.good else 5,
    )  # fmt: skip


@backup_app.command()
def restore(backup: CutArgument = None, as_json: AsJson = False) -> None:
    """Restore a backup into an empty store: champion, history, datasets, models."""
    from deployments.cli.progress_bars import progress_bars
    from housing.operations.backup import restore as restore_backup

    with progress_bars():
        done = restore_backup(load_settings(), backup)
    champion = "no champion" if done.champion is None else f"champion m{done.champion}"
    print_result(
        asdict(done),
        f"{done.id} is restored: {done.rows:,} rows, {done.blobs:,} objects, {champion}.",
        *done.notices,
        as_json=as_json,
    )


@backup_app.command("list")
def list_backups(as_json: AsJson = False) -> None:
    """List the backups in HOUSING_BACKUP_URL, newest first, and whether each was verified."""
    from housing.operations.backup import listing as backups

    with opened() as (store, _):
        rows = backups(store)
    columns = ("backup", "state", "created_at", "champion", "blobs", "bytes", "detail")
    listing(rows, columns, as_json=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check store and backups, and name the command that fixes each problem; changes nothing.

    Reads every byte of every backup. Returns 5 if stored data is damaged.
    """
    from housing.operations.doctor import examine

    with opened() as (store, settings):
        found = examine(store, settings)
    if as_json:
        emit_json({**asdict(found), "damaged": found.damaged})
    else:
        _print_findings(found)
    if found.damaged:
        raise typer.Exit(5)


def _print_findings(found: "HealthReport") -> None:
    failing = {finding.area for finding in found.findings}
    passed = [area for area in found.checks if area not in failing]
    console.print(f"[green]in order:[/] {', '.join(passed) or 'nothing'}")
    for finding in found.findings:
        area = coloured(finding.severity, finding.area, other="yellow")
        console.print(f"{area}: {escape(finding.what)}")
        console.print(f"    fix: {escape(finding.fix)}")


@app.command()
def heal(
    take_over: Annotated[
        bool,
        typer.Option(
            help="Claim blob storage and backup for this database; a prune then deletes "
            "the objects that it does not know."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Restore damaged or missing objects of the store from the backup.

    Returns 5 if one cannot be restored.
    """
    from housing.operations.heal import heal as heal_store
    from housing.operations.heal import heal_pages

    with opened(claim=False, create=True) as (store, settings):
        done = heal_store(store, take_over=take_over)
        pages = heal_pages(store, settings)
    text = f"{len(done.healed)} objects and {len(pages)} reports were copied back from the backup."
    print_result(
        {**asdict(done), "pages": pages},
        text,
        as_json=as_json,
        faults=done.lost,
        code=5 if done.lost else 0,
    )


@app.command()
def readiness(as_json: AsJson = False) -> None:
    """Check that every rollback candidate loads in a fresh process. Exits 5 if one fails."""
    from housing.pipeline.rollback_readiness import check

    with opened() as (store, settings):
        found = check(store, settings, force=True)
    rows = [{**asdict(one), "model": f"m{one.model}"} for one in found]
    listing(rows, ("model", "ready", "detail", "onnx_ready", "onnx_detail"), as_json=as_json)
    if not all(one.ready for one in found):
        raise typer.Exit(5)


@app.command()
def prune(
    older_than: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS",
            min=1,
            max=LONGEST_DAYS,
            help="Age in days; HOUSING_RETENTION__DAYS if left out.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(help="Print what would be deleted; delete nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete models, predictions and files past their retention; rollback candidates are kept."""
    from housing.operations.prune import prune as prune_store

    with opened(create=not dry_run) as (store, settings):
        done = prune_store(store, settings, days=older_than, dry_run=dry_run)
    verb = "would be deleted" if dry_run else "deleted"
    print_result(
        {**asdict(done), "dry_run": dry_run},
        f"{verb}: {done.blobs:,} objects ({done.bytes:,} bytes), {done.orphans:,} stray files, "
        f"{done.backups:,} backups with {done.copies:,} copies that only they had, "
        f"{done.pages:,} reports and cards, {done.records:,} records of monitor and readiness; "
        f"{done.packed:,} batches {'would be ' * dry_run}packed.",
        *filter(None, [done.notice]),
        as_json=as_json,
    )


@app.command()
def reproduce(
    model: Annotated[Id, id_argument("m", "A model, e.g. m3.")],
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest relative difference of a prediction.")
    ] = 1e-9,
    keep: Annotated[
        bool,
        typer.Option(help="Store the model again if it has the same bytes, e.g. after a prune."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model again from its record and compare predictions. Exits 1 if they differ."""
    from housing.operations.reproduce import reproduce as train_again

    with opened() as (store, settings):
        done = train_again(store, settings, model, tolerance=tolerance, keep=keep)
    verdict = "reproduced" if done.same else "not reproduced"
    sentences = [f"m{done.model}: {verdict}; {'the same' if done.same_bytes else 'other'} bytes."]
    if done.worst is not None:
        sentences.append(
            f"Largest relative difference to {done.compared_with}: {done.worst:.2g} over "
            f"{done.rows:,} rows (tolerance {done.tolerance:.2g})."
        )
    changed = done.libraries.items()
    sentences += [f"{name} was {then} and is {now}." for name, (then, now) in changed]
    sentences += ["It is stored again."] * done.kept
    facts = {**asdict(done), "same": done.same}
    print_result(facts, *sentences, as_json=as_json, code=0 if done.same else 1)


@app.command()
def sign(reason: Reason, as_json: AsJson = False) -> None:
    """Sign stored models with the current key after the former key was lost.

    Signs only files whose digest is in SQL. Do it only if you know who wrote to the store.
    """
    from housing.operations.sign import sign as sign_models

    with opened() as (store, _):
        done = sign_models(store, reason)
        source = store.signer.key_source
    print_result(
        {"signed": done.signed, "damaged": done.damaged, "key": source},
        f"{len(done.signed)} models were signed with the key in {source}.",
        as_json=as_json, code=5 if done.damaged else 0,
        faults=[f"{d[:12]} is damaged or missing and was not signed." for d in done.damaged],
    )  # fmt: skip


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Upgrade the database schema; every other command does so too."""
    from housing.store.database.open import schema_version

    with opened(create=True) as (store, _), store.read() as connection:
        found = schema_version(connection)
        url = store.url
    text = f"The schema of {url} is at {found}, the newest."
    print_result({"schema": found, "database": url}, text, as_json=as_json)
