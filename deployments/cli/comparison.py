"""`housing compare`: two models on one test version, as a table."""

from dataclasses import asdict

from rich.table import Column

from deployments.cli.output import bare_table, console, emit_json
from deployments.cli.store import opened
from housing.errors import NothingToTrainOn
from housing.formatting import value_text, with_unit
from housing.records import Metrics
from housing.schema import LOCATION


def print_comparison(first: int, second: int, version: int | None, *, as_json: bool) -> None:
    """Score m`first` and m`second` on a version (the active one for None) and print both."""
    from housing.operations.compare import side_by_side
    from housing.store.data import datasets

    with opened() as (store, settings):
        if version is None:
            with store.read() as connection:
                active = datasets.active(connection)
            if active is None:
                raise NothingToTrainOn(
                    why="there is no dataset yet", next_step="Run `housing retrain` first."
                )
            version = active.id
        found = side_by_side(store, first, second, version, settings.gate)
    if as_json:
        emit_json({"models": [f"m{first}", f"m{second}"], **asdict(found)})
        return
    figures = (Column(f"m{model}", justify="right") for model in (first, second))
    table = bare_table(f"on the test rows of v{version}", *figures)
    for row in zip(NAMES, _cells(found.first), _cells(found.second), strict=True):
        table.add_row(*row)
    console.print(table)
    c = found.comparison
    cells = ""
    if LOCATION:
        unit = "°" if LOCATION.kind == "geographic" else f" {LOCATION.unit}"
        cells = f" in {c.clusters:,} cells, errors correlated over {c.bandwidth:g}{unit}"
    console.print(
        f"m{second} against m{first}: error {c.effect:+.2%} "
        f"[{c.interval.lower:+.2%}; {c.interval.upper:+.2%}], {c.rows:,} rows{cells}; negative "
        "is better."
    )


NAMES = ("test rows", with_unit("RMSE"), "  95 % interval", with_unit("MAE"), "R2",
         "within 10 %", "within 20 %")  # fmt: skip


def _cells(m: Metrics) -> tuple[str, ...]:
    return (
        f"{m.rows:,}",
        value_text(m.rmse.value),
        f"{value_text(m.rmse.lower)} - {value_text(m.rmse.upper)}",
        value_text(m.mae),
        f"{m.r2:.4f}",
        f"{m.within_10:.1%}",
        f"{m.within_20:.1%}",
    )
