"""Commands of the gate: power, explanation, decisions by hand."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from deployments.cli import id_parsing
from deployments.cli.output import AsJson, Reason, console, emit_json
from housing.records import RunOutcome
from housing.settings import load_settings

app = typer.Typer()
gate_app = typer.Typer(help="Explain the gate: its power, and what each check would need.")
app.add_typer(gate_app, name="gate")

Run = Annotated[str | None, typer.Argument(help="A run, e.g. r7; the newest verdict if left out.")]
Decided = Annotated[
    str, typer.Argument(metavar="RUN", help="The run that awaits approval, e.g. r7.")
]

OUTCOME_STYLE = {"passed": "green", "failed": "red", "error": "red", "inconclusive": "yellow"}
RULES = ("no_regression", "superior", "non_inferior")
CHANGES = (-0.05, -0.02, -0.015, -0.01, -0.005, 0.0, 0.005, 0.01, 0.02, 0.05)
GAINS = (0.005, 0.01, 0.02)
"""True changes whose chances are shown, and gains for which the rows are asked."""


def _recorded(run: str | None) -> Any:
    from housing.operations.explain_verdict import recorded
    from housing.store.database.open import open_store

    number = None if run is None else id_parsing.parse(run, allowed="r")[1]
    with open_store(load_settings()) as store:
        return recorded(store, number)


@gate_app.command()
def power(run: Run = None, as_json: AsJson = False) -> None:
    """Print how often a truly worse or better challenger passes on a run's test rows."""
    from housing.formatting import round_up_2_digits, short_percent
    from housing.gate.power import DETECTION, rows_for
    from housing.operations.explain_verdict import power as characteristic

    found = _recorded(run)
    own = characteristic(found)
    gains = {
        gain: rows_for(found.comparison, found.policy, gain, earlier=own.earlier) for gain in GAINS
    }
    if as_json:
        rows = {f"{gain:g}": needed for gain, needed in gains.items()}
        emit_json({**asdict(own), "message": own.message, "rows_for_gain": rows})
        return
    console.print(escape(own.message))
    rules = {
        rule: dict(characteristic(found, found.policy.model_copy(update={"rule": rule})).curve)
        for rule in RULES
    }
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("true change of the error", justify="right")
    for rule in RULES:
        label = rule.replace("_", " ")
        table.add_column(f"[reverse]{label}[/]" if rule == own.rule else label, justify="right")
    for change in CHANGES:
        rates = (f"{100 * rules[rule][change]:.2f} %" for rule in RULES)
        table.add_row(f"{100 * change:+.1f} %" if change else "none", *rates)
    console.print("", table, "")
    first = dict(own.first_curve)[0.0]
    console.print(
        f"An equal challenger passes the rule {own.rule} in {short_percent(own.no_change)} of "
        f"runs; at the first comparison on these rows it was {short_percent(first)}."
    )
    for gain, needed in gains.items():
        found_rows = "no number" if needed is None else f"about {round_up_2_digits(needed)}"
        often = f"{short_percent(gain)} in {short_percent(DETECTION)} of runs"
        console.print(f"To promote a true gain of {often}: {found_rows} test rows.")


@gate_app.command()
def explain(run: Run = None, as_json: AsJson = False) -> None:
    """Print what each check found and what would change its outcome."""
    from housing.operations.explain_verdict import explain as explained

    found = _recorded(run)
    checks = explained(found)
    if as_json:
        message = found.verdict.message
        emit_json(
            {
                "run": found.run and f"r{found.run}",
                "outcome": found.verdict.outcome,
                "message": message,
                "checks": [asdict(check) for check in checks],
            }
        )
        return
    console.print(escape(found.verdict.message), "")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("check", "outcome", "found", "what would change it"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("check", "outcome"))
    for check in checks:
        style = OUTCOME_STYLE.get(check.outcome, "dim")
        table.add_row(
            check.name, f"[{style}]{check.outcome}[/]", escape(check.message), escape(check.needs)
        )
    console.print(table)


@app.command()
def approve(run: Decided, reason: Reason = "approved", as_json: AsJson = False) -> None:
    """Approve a promotion; the gate compares again if the champion has changed since."""
    from housing.pipeline.approval import approve as decide

    _decide(decide, run, reason, as_json=as_json)


@app.command()
def reject(run: Decided, reason: Reason, as_json: AsJson = False) -> None:
    """Reject a promotion: the champion stays."""
    from housing.pipeline.approval import reject as decide

    _decide(decide, run, reason, as_json=as_json)


@app.command()
def judge(
    model: Annotated[str, typer.Argument(help="A stored model, e.g. m5.")],
    as_json: AsJson = False,
) -> None:
    """Judge a stored model against the current champion on the active rows; print the verdict.

    Changes no champion, and no run uses the verdict: nights judge as if it had not been made, and
    only a promotion by hand counts it as a look at these rows. Returns 0 where the gate would
    promote it, 3 where it would keep the champion, 4 inconclusive.
    """
    from housing.pipeline.manual_promotion import judge as judge_again

    show_decided(judge_again(id_parsing.parse(model, allowed="m")[1]), as_json=as_json)


def show_decided(decided: Any, *, as_json: bool) -> None:
    """Print a run by hand and end with the exit code of its outcome."""
    result = decided.result
    if as_json:
        emit_json(
            {
                "run": f"r{result.run}",
                "outcome": result.outcome,
                "message": result.message,
                "model": f"m{result.challenger}",
                "champion": result.champion and f"m{result.champion}",
                "dataset": f"v{result.version}",
                "overridden": list(decided.overridden),
                "verdict": asdict(decided.verdict),
            }
        )
    else:
        verdict = decided.verdict
        console.print(f"The gate: {escape(verdict.message)}", soft_wrap=True)
        for check in verdict.checks:
            if check.outcome in ("failed", "inconclusive", "error"):
                style = OUTCOME_STYLE[check.outcome]
                console.print(
                    f"[{style}]{check.outcome}[/] {check.name}: {escape(check.message)}",
                    soft_wrap=True,
                )
        name = "WOULD PROMOTE" if result.outcome is RunOutcome.DRY_RUN else result.outcome.upper()
        console.print(f"[bold]{name}[/]  {escape(result.message)}", soft_wrap=True)
    raise typer.Exit(result.outcome.exit_code)


def _decide(decide: Any, run: str, reason: str, *, as_json: bool) -> None:
    from housing.store.database.open import open_store

    number, settings = id_parsing.parse(run, allowed="r")[1], load_settings()
    with open_store(settings) as store:
        decided = decide(store, settings, number, reason)
    if as_json:
        emit_json(asdict(decided))
    else:
        style = "green" if decided.outcome == "approved" else "yellow"
        console.print(f"[bold {style}]{decided.outcome.upper()}[/]  {escape(decided.message)}")
    if decided.outcome == "superseded":
        raise typer.Exit(RunOutcome.KEPT.exit_code)


def print_replayed(run: int, *, as_json: bool) -> None:
    """Recompute a run's verdict from its evidence; exit code 1 if it differs."""
    found = _recorded(f"r{run}")
    replayed = found.replayed
    if as_json:
        emit_json({"run": f"r{run}", "agrees": replayed.agrees, **asdict(replayed)})
    else:
        _print_replayed(replayed)
    if not replayed.agrees:
        raise typer.Exit(1)


def _print_replayed(replayed: Any) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("check", "recorded", "judged again"):
        table.add_column(heading)
    again = {result.name: result.outcome for result in replayed.now.checks}
    for result in replayed.recorded.checks:
        table.add_row(result.name, result.outcome, again.get(result.name, "-"))
    console.print(f"recorded:     {escape(replayed.recorded.message)}")
    console.print(f"judged again: {escape(replayed.now.message)}", "")
    console.print(table, "")
    if replayed.not_asked:
        console.print(f"Not asked then: {', '.join(replayed.not_asked)}.")
    if replayed.agrees:
        console.print("[bold green]It still agrees[/]: the same evidence gives the same verdict.")
    for difference in replayed.differences:
        console.print(f"[bold red]It does not agree[/]: {escape(difference)}.")
