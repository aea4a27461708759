"""Commands that change the champion, the dataset or blocks."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from deployments.cli.description import print_description
from deployments.cli.gate import print_manual_run
from deployments.cli.id_parsing import Id, id_argument, id_option, parse_id
from deployments.cli.output import AsJson, Reason, console, emit_json, print_result
from deployments.cli.store import changing, opened

if TYPE_CHECKING:
    from housing.store.data import copies
    from housing.store.database.engine import Store

app = typer.Typer()
dataset_app = typer.Typer(help="Describe and change the dataset; each change is a new version.")
app.add_typer(dataset_app, name="dataset")


@app.command()
def rollback(
    reason: Reason,
    model: Annotated[
        Id | None, id_argument("m", "A former champion, e.g. m3; the previous if left out.")
    ] = None,
    batch: Annotated[
        Id | None, id_option("b", "A batch that caused it, e.g. b5: it is blocked as well.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Return to the previous or a named former champion; block the models taken back.

    Until `housing unblock` runs train, but promote nothing that is blocked, nor a model of the
    same recipe on the same rows. Prints first what the next run will do.
    """
    from deployments.cli.progress_bars import progress_bars
    from housing.pipeline.promote import plan_rollback, refuse_repeated, roll_back
    from housing.pipeline.skip_check import what_next
    from housing.store import queries
    from housing.store.runs import outbox

    ask = not yes and not as_json and at_terminal()
    with opened(bars=not ask) as (store, settings):
        if model is None and not ask:
            refuse_repeated(store)
        plan = plan_rollback(store, settings, model, batch)
        if ask:
            _confirm(plan, suggest=batch is None)
        with progress_bars():
            done = roll_back(store, plan.to_model, reason, batch=batch)
            outbox.deliver(store)
        after = what_next(store, settings)
        with store.read() as connection:
            lines = queries.list_history(connection)
    if as_json:
        line = next(line for line in lines if line["seq"] == done.seq)
        blocked = [line["blocks"] for line in reversed(lines) if line["seq"] > done.seq]
        entered = [f"b{entry}" for entry in plan.entered]
        facts = {"healed": done.healed, "entered": entered, "next_run": after}
        emit_json({**line, "blocked": blocked, **facts})
        return
    for digest in done.healed:
        console.print(
            f"[yellow]{digest[:12]} was damaged or missing; its backup was copied back.[/]"
        )
    console.print(f"[bold green]{escape(done.notification().text)}.[/]")
    if plan.previous and not ask:
        console.print(escape(f"Before, {plan.previous}."), soft_wrap=True)
    if batch is None and not ask:
        console.print(escape(plan.suggestion(done=True)), soft_wrap=True)
    console.print(escape(after), soft_wrap=True)


def at_terminal() -> bool:
    """Whether a person is at a terminal."""
    return sys.stdin.isatty()


def _confirm(plan: Any, *, suggest: bool) -> None:
    """Print what a rollback would do and ask; raises typer.Abort on no."""
    if plan.previous:
        console.print(escape(f"{plan.previous}."), soft_wrap=True, style="yellow")
    if suggest:
        console.print(escape(plan.suggestion(done=False)), soft_wrap=True)
    console.print(escape(f"After this rollback: {plan.next_run}"), soft_wrap=True)
    blocked = ", ".join(f"m{model}" for model in plan.blocked_models)
    typer.confirm(
        f"Make m{plan.to_model} champion instead of m{plan.from_model} and block {blocked}?",
        default=True,
        abort=True,
    )


@app.command()
def promote(
    model: Annotated[Id, id_argument("m", "A stored model, e.g. m5.")],
    reason: Reason,
    override: Annotated[
        bool, typer.Option(help="Override error comparisons; the promotion log records it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a stored model champion by hand, judged again on the active rows and backed up first.

    Without --override it must pass the gate. With it, checks that compare errors are overridden;
    leaks, unusable predictions, the artifact, its budgets, preflight and the backup never are.
    Returns 0 promoted, 3 kept the champion, 4 inconclusive.
    """
    from housing.pipeline.manual_promotion import promote_model

    with opened():
        decided = promote_model(model, reason, override=override)
    print_manual_run(decided, as_json=as_json)


@app.command()
def block(
    id_: Annotated[str, typer.Argument(metavar="ID", help="A model or a batch: m7, b5.")],
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Block the promotion of a model, or of every model trained on a batch."""
    from housing.store.data import copies
    from housing.store.models import blocks
    from housing.store.models.promotion_log import Authorship
    from housing.store.runs.runs import actor

    letter, number = parse_id(id_, allowed="mb")
    name, why = f"{letter}{number}", Authorship(actor(), reason)
    also: tuple[int, ...] = ()
    with changing() as (store, _):
        if letter == "b":
            also = copies.block(store, number, why)
        else:
            blocks.block(store, letter, number, why)
    ids = [f"b{batch}" for batch in also]
    said = [f"Blocked as well, because of the same rows: {', '.join(ids)}."] if ids else []
    text = f"{name} is blocked. `housing unblock {name}` unblocks it."
    print_result({"blocked": [name, *ids]}, text, *said, as_json=as_json)


@app.command()
def unblock(
    id_: Annotated[str, typer.Argument(metavar="ID", help="What is blocked: m7, b5.")],
    reason: Reason = "unblocked by hand",
    as_json: AsJson = False,
) -> None:
    """Unblock a model or batch; print what the next run will do."""
    from housing.pipeline.skip_check import what_next
    from housing.store.data import copies
    from housing.store.models import blocks
    from housing.store.models.promotion_log import Authorship
    from housing.store.runs.runs import actor

    letter, number = parse_id(id_, allowed="mb")
    name = f"{letter}{number}"
    with changing() as (store, settings):
        blocks.unblock(store, letter, number, Authorship(actor(), reason))
        released = copies.release(store)
        after = what_next(store, settings)
    found = {"unblocked": name, "next_run": after}
    _print_change(
        found, f"{name} is not blocked any more. {after}", released=released, as_json=as_json
    )


def _print_change(
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
    print_description(version, compare, as_json=as_json)


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
    _print_change(
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
    _print_change(
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
    _print_change({"batch": batch, "name": name}, text, released=released, as_json=as_json)
