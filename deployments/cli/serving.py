"""Commands serve, predict, shadow and audit."""

from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from deployments.cli.id_parsing import Id, id_option
from deployments.cli.output import (
    LONGEST_DAYS,
    MOST_ROWS,
    AsJson,
    console,
    emit_json,
    print_result,
    warn,
)
from deployments.cli.store import opened
from deployments.processes.prediction_api import serve as run_until_stopped
from housing.formatting import percent, value_text, with_unit
from housing.schema import WORDING
from housing.settings import load_settings

app = typer.Typer()
audit_app = typer.Typer(help="Sample rows for a person to check.")
app.add_typer(audit_app, name="audit")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port to listen on; HOUSING_SERVE__PORT if left out."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    without_token: Annotated[
        bool,
        typer.Option("--without-token", help="Listen beyond loopback although no token is set."),
    ] = False,
) -> None:
    """Serve the prediction API and its pages until Ctrl-C; follows promotions without a restart."""
    settings = load_settings()
    with suppress(KeyboardInterrupt):
        run_until_stopped(
            settings,
            port or settings.serve.port,
            lambda text: console.print(escape(text)),
            host=host,
            workers=workers,
            without_token=without_token,
        )
    console.print("The server has stopped.")


@app.command()
def predict(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Output file; beside the input if left out."),
    ] = None,
    model: Annotated[Id | None, id_option("m", "Another model than the champion, e.g. m3.")] = None,
    as_json: AsJson = False,
) -> None:
    """Predict a file; writes its rows with predictions as new columns.

    Columns that the dataset does not have are left out. An invalid row has its reason in the
    column `error`; then the exit code is 1.
    """
    from housing.operations.predict import predict_file

    target = output or file.with_name(f"{file.stem}.predicted{file.suffix}")
    with opened() as (store, _):
        done = predict_file(store, file, target, model=model)
    sentences = [
        f"{done.predicted:,} of {done.rows:,} {WORDING.rows} predicted, {done.extrapolated:,} "
        f"of them unlike any training {WORDING.row}: {target}"
    ]
    if done.invalid:
        why = "the column `error` has the reasons"
        sentences.append(f"Invalid {WORDING.rows}: {done.invalid:,}; {why}.")
    facts = {**vars(done), "invalid": done.invalid, "output": str(target)}
    print_result(facts, *sentences, as_json=as_json, code=int(bool(done.invalid)))


@app.command()
def shadow(
    days: Annotated[
        int | None,
        typer.Option(
            min=1, max=LONGEST_DAYS, help="Predictions of the last days; all if left out."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the shadow model with the champion on logged requests, by version and day."""
    from datetime import timedelta

    from housing.pipeline.notices import shadow_faults
    from housing.serving.shadow_comparison import compare_shadow
    from housing.store.database.tables import utc_now

    with opened() as (store, settings):
        since = None if days is None else utc_now() - timedelta(days=days)
        found = compare_shadow(store, since=since)
        with store.read() as connection:
            faults = [*shadow_faults(connection, settings)]
    if as_json:
        emit_json([vars(one) for one in found])
        return
    warn(faults)
    if not found:
        console.print(
            "No prediction of a shadow model is logged. HOUSING_SERVE__SHADOW=m5 (or kept) chooses "
            "one."
        )
        return
    for (champion, name), rows in groupby(found, lambda one: (one.champion, one.shadow)):
        table = Table(title=with_unit(f"Difference between {name} and {champion}"))
        for head in ("day", "rows", "mean", "median", "90 %", "largest", "higher", "outside"):
            table.add_column(head, no_wrap=True)
        for one in rows:
            beyond = "" if one.share_outside is None else percent(one.share_outside)
            figures = (value_text(x) for x in (one.mean, one.median, one.p90, one.maximum))
            day = one.day or "all"
            table.add_row(day, f"{one.rows:,}", *figures, percent(one.share_above, 0), beyond)
        console.print(table)
    console.print("higher, outside: shares of shadow predictions above, outside the interval")


@audit_app.command("sample")
def audit_sample(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV file to write; it must not exist.")
    ] = Path("audit.csv"),
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=MOST_ROWS, help="Number of rows.")
    ] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random part.")] = 0,
    compare_with: Annotated[
        Id | None, id_option("m", "Model to compare with, e.g. m3; the newest other if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write rows for a person to check: uncertain, disputed and random ones.

    Fill in the target and ingest the file with `housing ingest --audit audit.csv`.
    """
    from housing.operations.labelling_sample import write_sample

    with opened() as (store, _):
        rows = write_sample(store, output, count, seed=seed, other=compare_with)
    print_result(
        {"rows": rows, "output": str(output)},
        f"{rows:,} {WORDING.rows}: {output}",
        f"Fill in the {WORDING.value}, then: housing ingest --audit {output}",
        as_json=as_json,
    )
