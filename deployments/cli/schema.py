"""The command that only brings the database up to date, as a deployment's first step."""

import typer

from deployments.cli.output import AsJson, emit_json
from housing.settings import load_settings

app = typer.Typer()


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the metadata store's schema up to date; every other command does so as well."""

    from housing.store.database.open import open_store, schema_version

    with open_store(load_settings()) as store, store.read() as connection:
        found = schema_version(connection)
        place = store.engine.url.render_as_string(hide_password=True)
    if as_json:
        emit_json({"schema": found, "database": place})
        return
    typer.echo(f"The schema of {place} is at {found}, the newest.")
