"""Command migrate: the first step of a deployment."""

import typer

from deployments.cli.output import AsJson, emit_json
from housing.settings import load_settings

app = typer.Typer()


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Upgrade the database schema; every other command does so too."""

    from housing.store.database.open import open_store, schema_version

    with open_store(load_settings()) as store, store.read() as connection:
        found = schema_version(connection)
        place = store.engine.url.render_as_string(hide_password=True)
    if as_json:
        emit_json({"schema": found, "database": place})
        return
    typer.echo(f"The schema of {place} is at {found}, the newest.")
