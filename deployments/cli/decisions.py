"""Commands that change the champion or blocks."""

import sys
from typing import Annotated, Any

import typer
from rich.markup import escape

from deployments.cli.dataset import print_change
from deployments.cli.gate import print_manual_run
from deployments.cli.id_parsing import Id, id_argument, id_option, parse_id
from deployments.cli.output import AsJson, Reason, console, emit_json, print_result
from deployments.cli.store import changing, opened

app = typer.Typer()


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
    print_change(
        found, f"{name} is not blocked any more. {after}", released=released, as_json=as_json
    )
