"""Commands that change what is in force: rollback of models, changes of the dataset."""

from typing import Annotated

import typer
from rich.markup import escape

from deployments.cli import identify
from deployments.cli.output import AsJson, Reason, console, emit_json
from housing.settings import load_settings
from housing.store import batches, datasets, holds, listings
from housing.store.ledger import Why
from housing.store.opening import open_store
from housing.store.runs import actor

app = typer.Typer()
dataset_app = typer.Typer(help="Change the dataset; each change is a new version.")
app.add_typer(dataset_app, name="dataset")


@app.command()
def rollback(
    reason: Reason,
    model: Annotated[
        str | None, typer.Argument(help="A former champion, e.g. m3; the previous if left out.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="A batch that caused it, e.g. b5: it goes on hold as well.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Back to the previous champion, or to a named former one; what is taken back goes on hold.

    Nights go on training, but promote nothing of what is on hold until `housing release`.
    """
    from housing.notify import send_all
    from housing.steps.promote import roll_back

    target = None if model is None else identify.parse(model, allowed="m")[1]
    cause = None if batch is None else identify.parse(batch, allowed="b")[1]
    settings = load_settings()
    with open_store(settings) as store:
        done = roll_back(store, target, reason, batch=cause)
        with store.read() as connection:
            lines = listings.list_history(connection)
    send_all(done.message(), settings.notify)
    if as_json:
        line = next(line for line in lines if line["seq"] == done.seq)
        held = [line["holds"] for line in reversed(lines) if line["seq"] > done.seq]
        emit_json({**line, "held": held, "healed": done.healed})
        return
    for digest in done.healed:
        console.print(
            f"[yellow]{digest[:12]} was damaged or missing; its backup was copied back.[/]"
        )
    console.print(f"[bold green]{escape(done.message().sentence)}.[/]")


@app.command()
def hold(
    id_: Annotated[str, typer.Argument(metavar="ID", help="A model or a batch: m7, b5.")],
    reason: Reason,
) -> None:
    """Keep nights from promoting a model, or any model trained on a batch."""
    letter, number = identify.parse(id_, allowed="mb")
    with open_store(load_settings()) as store:
        holds.hold(store, letter, number, Why(actor(), reason))
    console.print(f"{letter}{number} is on hold. `housing release {letter}{number}` ends that.")


@app.command()
def release(
    id_: Annotated[str, typer.Argument(metavar="ID", help="What is on hold: m7, b5.")],
    reason: Reason = "released by hand",
) -> None:
    """End a hold: the next night may promote it, if the gate says so."""
    letter, number = identify.parse(id_, allowed="mb")
    with open_store(load_settings()) as store:
        holds.release(store, letter, number, Why(actor(), reason))
    console.print(f"{letter}{number} is released; the next night may promote it.")


@dataset_app.command("rollback")
def dataset_rollback(
    version: Annotated[str, typer.Argument(help="An older version, e.g. v3.")], reason: Reason
) -> None:
    """A new version that holds the batches of an older one."""
    target = identify.parse(version, allowed="v")[1]
    with open_store(load_settings()) as store:
        made = datasets.roll_back(store, target, reason=reason)
    console.print(f"v{made.id} has the batches of v{target}. `housing retrain` trains on it.")


@dataset_app.command()
def withdraw(
    batch: Annotated[str, typer.Argument(help="A batch, e.g. b3.")], reason: Reason
) -> None:
    """A new version without one batch; later batches stay."""
    target = identify.parse(batch, allowed="b")[1]
    with open_store(load_settings()) as store:
        made = datasets.withdraw(store, target, reason=reason)
    console.print(f"v{made.id} is without b{target}. `housing retrain` trains on it.")


@dataset_app.command()
def restore(
    batch: Annotated[str, typer.Argument(help="A withdrawn batch, e.g. b3.")], reason: Reason
) -> None:
    """A new version with a withdrawn batch at its old place; later corrections still count."""
    target = identify.parse(batch, allowed="b")[1]
    with open_store(load_settings()) as store:
        made = datasets.restore(store, target, reason=reason)
    console.print(f"v{made.id} has b{target} again. `housing retrain` trains on it.")


@dataset_app.command()
def discard(
    batch: Annotated[str, typer.Argument(help="A held or rejected batch, e.g. b3.")],
) -> None:
    """Close a batch that waits for a person: it never enters the dataset, its rows are kept."""
    target = identify.parse(batch, allowed="b")[1]
    with open_store(load_settings()) as store:
        batches.discard(store, target)
    console.print(f"b{target} is discarded; `housing show b{target}` still shows it.")


@dataset_app.command()
def accept(batch: Annotated[str, typer.Argument(help="A held batch, e.g. b3.")]) -> None:
    """Let a held batch in after all."""
    target = identify.parse(batch, allowed="b")[1]
    with open_store(load_settings()) as store:
        batches.accept_held(store, target)
        with store.read() as connection:
            name = batches.get(connection, target).name
    console.print(f"b{target} ({escape(name)}) is let in; `housing retrain` takes it up.")
