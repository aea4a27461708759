"""Commands compare and curves: errors of two models, or of one model by training effort."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from deployments.cli.id_parsing import Id, id_argument, id_option
from deployments.cli.output import AsJson, bare_table, console, emit_json
from deployments.cli.store import opened
from housing.formatting import INTERVAL, amount, changed, error_amount, limits, percent
from housing.formatting import parameter as rounded
from housing.metric import RMSE, metric_named
from housing.records import Interval
from housing.schema import LOCATION, WORDING

app = typer.Typer()


@app.command()
def curves(
    model: Annotated[
        Id | None, id_argument("m", "A model, e.g. m7; the champion if left out.")
    ] = None,
    parameter: Annotated[
        str, typer.Option(help="Parameter of the validation curve; the first number if left out.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Measure the learning and the validation curve of a model's best candidate."""
    from housing.operations.curves import measure_curves

    with opened() as (store, settings):
        found, measured = measure_curves(store, model, settings, parameter)
    if as_json:
        emit_json({"model": f"m{found}", "curves": [asdict(curve) for curve in measured]})
        return
    for curve in measured:
        titles = ("rows of the fit", "validation rows", "over the folds")
        in_metric = partial(error_amount, metric=curve.metric)
        table = bare_table(curve.label, *(Column(title, justify="right") for title in titles))
        for value, train, errors in zip(curve.values, curve.train, curve.validation, strict=True):
            spread = f"{in_metric(min(errors))} to {in_metric(max(errors))}"
            shown = f"{value:,.0f}" if not curve.parameter else str(rounded(value))
            table.add_row(shown, in_metric(fmean(train)), in_metric(fmean(errors)), spread)
        console.print(table)
        console.print(curve.message, soft_wrap=True)


@app.command()
def compare(
    first: Annotated[Id, id_argument("m", "A model, e.g. m3.", "A")],
    second: Annotated[Id, id_argument("m", "Another, e.g. m7.", "B")],
    dataset: Annotated[
        Id | None, id_option("v", "Dataset version, e.g. v4; the active one if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score two models on one test set and print both."""
    from housing.operations.compare import side_by_side
    from housing.store.data import datasets

    with opened() as (store, settings):
        version: int | None = dataset
        if version is None:
            with store.read() as connection:
                version = datasets.must_have_active(connection).id
        found = side_by_side(store, first, second, version, settings.gate)
    if as_json:
        emit_json({"models": [f"m{first}", f"m{second}"], **asdict(found)})
        return
    figures = {f"m{first}": asdict(found.first), f"m{second}": asdict(found.second)}
    console.print(figures_table(figures, f"on the test rows of v{version}"))
    c = found.comparison
    cells = ""
    if LOCATION:
        unit = "°" if LOCATION.kind == "geographic" else f" {LOCATION.unit}"
        cells = f" in {c.clusters:,} cells, errors correlated over {c.bandwidth:g}{unit}"
    label = metric_named(c.metric).label
    console.print(
        f"{label} of m{second} against m{first}: {changed(c)}, {c.rows:,} rows{cells}; negative is "
        "better."
    )


def figures_table(figures: Mapping[str, Mapping[str, Any]], title: str = "") -> Table:
    """A column for each of these metrics, which are mappings as stored evidence has them."""
    table = bare_table(title, *(Column(name, justify="right") for name in figures))
    table.add_row("test rows", *(f"{m['rows']:,}" for m in figures.values()))
    metric = next(iter(figures.values())).get("metric", RMSE)
    if metric != RMSE:
        errors = [m["deciding"] for m in figures.values()]
        shown = (error_amount(error["value"], metric) for error in errors)
        table.add_row(metric_named(metric).label, *shown)
        table.add_row(f"  {INTERVAL}", *(limits(Interval(**error), metric) for error in errors))
    table.add_row("RMSE", *(amount(m["rmse"]["value"]) for m in figures.values()))
    table.add_row(f"  {INTERVAL}", *(limits(Interval(**m["rmse"])) for m in figures.values()))
    table.add_row("mean absolute error", *(amount(m["mae"]) for m in figures.values()))
    table.add_row("R2", *(f"{m['r2']:.3f}" for m in figures.values()))
    for share in (10, 20):
        shares = (percent(m[f"within_{share}"]) for m in figures.values())
        table.add_row(f"within {share} % of the {WORDING.value}", *shares)
    return table
