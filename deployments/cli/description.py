"""Print and write the description of a dataset version."""

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Column

from deployments.cli.output import bare_table, console, emit_json
from deployments.cli.store import opened
from housing.formatting import change, count, number, percent, signed
from housing.problem import MINUS

if TYPE_CHECKING:
    from housing.report.data_page import DataPage

STRATA_SHOWN = 10


def print_description(version: int | None, compared: int | None, *, as_json: bool) -> None:
    """Describe a version, the active one for None, and write its page."""
    from housing.pipeline import data_page
    from housing.report.data_page import as_json as plain
    from housing.store.data import datasets

    with opened() as (store, settings):
        with store.read() as connection:
            chosen = version or datasets.must_have_active(connection).id
        data = data_page.collect(store, chosen, compared)
        page = data_page.write(settings, data)
    if as_json:
        emit_json({**plain(data), "page": str(page)})
        return
    _print(data)
    console.print(f"page: {escape(str(page))}", soft_wrap=True)


def _print(data: "DataPage") -> None:
    simulated = ", [yellow]SIMULATED[/]" if data.simulated else ""
    console.print(
        f"v{data.version}: {count(data.rows)} rows, {count(data.train_rows)} in the training set "
        f"and {count(data.test_rows)} in the test set{simulated}. Figures of the training set:",
        soft_wrap=True,
    )
    with_target = data.with_target
    table = bare_table(
        "column", *(Column(name, justify="right") for name in
                    ("missing", "min", "median", "max", "outliers", "r with target"))
    )  # fmt: skip
    for name, facts in data.facts.items():
        low, _, median, _, high = facts.quartiles
        related = with_target.get(name)
        table.add_row(
            name, percent(facts.missing), number(low), number(median), number(high),
            percent(facts.outliers), "" if related is None else signed(related),
        )  # fmt: skip
    console.print(table)
    if len(data.strata) > 1:
        _print_strata(data)
    if data.compared is not None:
        more = f"{data.rows - data.compared_rows:+,}".replace("-", MINUS)
        console.print(
            f"Compared with v{data.compared}: {more} rows.",
            highlight=False,
        )


def _print_strata(data: "DataPage") -> None:
    table = bare_table(
        "stratum", *(Column(name, justify="right") for name in
                     ("rows", "share", "test set", "difference", "at random ±"))
    )  # fmt: skip
    for one in data.strata[:STRATA_SHOWN]:
        table.add_row(
            one.name or "all", count(one.rows), percent(one.share), percent(one.test),
            change(one.error), percent(one.chance_error),
        )  # fmt: skip
    console.print(table)
    if (more := len(data.strata) - STRATA_SHOWN) > 0:
        console.print(f"and {more} smaller strata on the page")
