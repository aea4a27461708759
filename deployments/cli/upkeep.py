"""Commands of upkeep: what keeps the store sound, and says whether it is."""

from typing import Annotated

import typer

from deployments.cli.output import AsJson, console, emit_json
from housing.settings import load_settings
from housing.store.opening import open_store

app = typer.Typer()

Reason = Annotated[str, typer.Option(help="Why; it is kept for ever.")]


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
