"""Commands of the dataset: describe it, and change it; each change is a new version."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column

from deployments.cli.id_parsing import Id, id_argument, id_option
from deployments.cli.output import AsJson, Reason, bare_table, console, emit_json, print_result
from deployments.cli.store import changing, opened
from housing.formatting import change, count, number, percent, signed
from housing.problem import MINUS

if TYPE_CHECKING:
    from housing.report.data_page import DataPage
    from housing.store.data import copies
    from housing.store.database.engine import Store

app = typer.Typer()
dataset_app = typer.Typer(help="Describe and change the dataset; each change is a new version.")
app.add_typer(dataset_app, name="dataset")

STRATA_SHOWN = 10


def print_change(
    found: dict[str, Any],
    *sentences: str,
    released: tuple[int, ...],
    entering: tuple[int, ...] = (),
    as_json: bool,
) -> None:
    """Print a change, the batches accepted with it and those that the next run adds."""
    also = [f"b{b}, quarantined for rows of it, is accepted with it." for b in released]
    ids, later = ([f"b{batch}" for batch in some] for some in (released, entering))
    if later:
        also.append(
            f"The next run adds {', '.join(later)}, delivered later: where its rows differ from "
            "those of earlier batches, they replace them. Once it is in, `housing dataset withdraw "
            f"{later[0]} --reason TEXT` takes it out."
        )
    print_result({**found, "accepted": ids, "entering": later}, *sentences, *also, as_json=as_json)


def _entering(store: "Store") -> tuple[int, ...]:
    """Batches that the next run adds, e.g. known rows that the change made new."""
    from housing.store.data import datasets

    with store.read() as connection:
        return datasets.entering(connection)


@dataset_app.command("describe")
def describe_dataset(
    version: Annotated[
        Id | None, id_argument("v", "A version, e.g. v3; the active one if left out.")
    ] = None,
    compare: Annotated[
        Id | None, id_option("v", "Version that changes are counted from; its parent if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Describe a dataset version: histograms, correlations, strata, changes; write a page.

    Figures that need labels are of the training set alone.
    """
    from housing.pipeline import data_page
    from housing.report.data_page import as_json as plain
    from housing.store.data import datasets

    with opened() as (store, settings):
        chosen: int | None = version
        if chosen is None:
            with store.read() as connection:
                chosen = datasets.must_have_active(connection).id
        data = data_page.collect(store, chosen, compare)
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
    for name in data.without_values:
        table.add_row(name, percent(1))
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


@dataset_app.command("rollback")
def dataset_rollback(
    version: Annotated[Id, id_argument("v", "An older version, e.g. v3.")],
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Create a version with the batches of an older one."""
    from housing.store.data import copies

    with changing() as (store, _):
        made, discarded = copies.roll_back(store, version, reason=reason)
        released = copies.release(store)
        entering = _entering(store)
    print_change(
        {"dataset": f"v{made.id}", "discarded": [f"b{batch}" for batch in discarded]},
        f"v{made.id} has the batches of v{version}. `housing retrain` trains on it.",
        *(_DISCARDED.format(batch=batch) for batch in discarded),
        released=released,
        entering=entering,
        as_json=as_json,
    )


@dataset_app.command()
def withdraw(
    batch: Annotated[Id, id_argument("b", "A batch, e.g. b3.")],
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Create a version without the rows of one batch; rows of later batches stay.

    Later batches that repeat its rows and bring nothing else are withdrawn with it, and
    `housing dataset restore` brings them back with it. Those that bring other rows too are named.
    """
    from housing.store.data import copies

    with changing() as (store, _):
        done = copies.withdraw(store, batch, reason=reason)
    found = {
        "dataset": f"v{done.version.id}",
        "withdrawn": [f"b{one}" for one in (batch, *done.copies)],
        "discarded": [f"b{one}" for one in done.discarded],
        "staying": [{"batch": one.batch, "rows": one.rows} for one in done.staying],
    }
    print_result(found, *_withdrawal(batch, done), as_json=as_json)


_DISCARDED = "b{batch}, which waited to enter the dataset, repeats rows of it and is discarded."


def _withdrawal(batch: int, done: "copies.Withdrawn") -> Iterator[str]:
    """Sentences on what a withdrawal did and which rows remain."""
    left = done.version.batches
    then = "`housing retrain` trains on it." if left else "It is empty: nothing to train on."
    yield f"v{done.version.id} is without b{batch}. {then}"
    back = f"`housing dataset restore b{batch} --reason TEXT` brings all back."
    for copy in done.copies:
        yield f"b{copy} repeats its rows and is withdrawn as well. {back}"
    for copy in done.discarded:
        yield _DISCARDED.format(batch=copy)
    for one in done.staying:
        yield (
            f"b{one.batch} stays, and with it {one.rows:,} rows of b{batch}: it brings "
            f"other rows or corrections too. `housing dataset withdraw b{one.batch} --reason "
            f"TEXT` takes it out{' once it is in' if one.waits else ''}."
        )


@dataset_app.command()
def restore(
    batch: Annotated[Id, id_argument("b", "A withdrawn batch, e.g. b3.")],
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Create a version with a withdrawn batch at its old position; later corrections still apply.

    Batches that were withdrawn with it come back with it.
    """
    from housing.store.data import copies, datasets

    with changing() as (store, _):
        with store.read() as connection:
            also = [f"b{copy}" for copy in datasets.withdrawn_with(connection, batch)]
        made = datasets.restore(store, batch, reason=reason)
        released = copies.release(store)
        entering = _entering(store)
    names = " and ".join([f"b{batch}", ", ".join(also)] if also else [f"b{batch}"])
    print_change(
        {"dataset": f"v{made.id}", "restored": [f"b{batch}", *also]},
        f"v{made.id} has {names} again. `housing retrain` trains on it.",
        released=released,
        entering=entering,
        as_json=as_json,
    )


@dataset_app.command()
def discard(
    batch: Annotated[Id, id_argument("b", "A quarantined, rejected or empty batch, e.g. b3.")],
    as_json: AsJson = False,
) -> None:
    """Discard a quarantined batch: it never enters the dataset; its rows stay stored."""
    from housing.store.data import batches

    with changing() as (store, _):
        name = batches.discard(store, batch)
    text = f"b{batch} ({name}) is discarded; `housing show b{batch}` still shows it."
    print_result({"discarded": [f"b{batch}"], "name": name}, text, as_json=as_json)


@dataset_app.command()
def accept(
    batch: Annotated[Id, id_argument("b", "A quarantined batch, e.g. b3.")],
    as_json: AsJson = False,
) -> None:
    """Accept a quarantined batch into the dataset, and those quarantined only for its rows."""
    from housing.store.data import batches, copies

    with changing() as (store, _):
        name = batches.release_quarantined(store, batch)
        released = copies.release(store)
    text = f"b{batch} ({name}) is accepted; `housing retrain` trains on it."
    print_change({"batch": batch, "name": name}, text, released=released, as_json=as_json)
