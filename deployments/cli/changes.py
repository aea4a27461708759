"""Commands that change what is in force: rollback of models, changes of the dataset."""

from typing import Annotated

import typer
from rich.markup import escape

from deployments.cli import identify
from deployments.cli.output import AsJson, console, emit_json
from housing.settings import load_settings
from housing.store import batches, datasets, listings
from housing.store.opening import open_store

app = typer.Typer()
dataset_app = typer.Typer(help="Change the dataset; each change is a new version.")
app.add_typer(dataset_app, name="dataset")

Reason = Annotated[str, typer.Option(help="Why; it is kept for ever.")]


@app.command()
def rollback(
    reason: Reason,
    model: Annotated[
        str | None, typer.Argument(help="A former champion, e.g. m3; the previous if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Back to the previous champion, or to a named former one."""
    from housing.steps.promote import roll_back

    target = None if model is None else identify.parse(model, allowed="m")[1]
    with open_store(load_settings()) as store:
        change = roll_back(store, target, reason)
        with store.read() as connection:
            line = listings.list_history(connection, 1)[0]
    if as_json:
        emit_json(line)
        return
    console.print(f"[bold green]m{change.to_model} is champion again[/] instead of {line['from']}.")


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
def accept(batch: Annotated[str, typer.Argument(help="A held batch, e.g. b3.")]) -> None:
    """Let a held batch in after all."""
    target = identify.parse(batch, allowed="b")[1]
    with open_store(load_settings()) as store:
        batches.accept_held(store, target)
        with store.read() as connection:
            name = batches.get(connection, target).name
    console.print(f"b{target} ({escape(name)}) is let in; `housing retrain` takes it up.")
