"""Commands of the gate: power, explanation, decisions by hand."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column

from deployments.cli.id_parsing import Id, id_argument
from deployments.cli.output import (
    AsJson,
    Reason,
    bare_table,
    coloured,
    console,
    emit_json,
    print_result,
)
from deployments.cli.store import opened
from housing.metric import metric_named
from housing.records import RunOutcome

app = typer.Typer()
gate_app = typer.Typer(help="Explain the gate: its power, and what each check would need.")
app.add_typer(gate_app, name="gate")

Run = Annotated[Id | None, id_argument("r", "A run, e.g. r7; the newest verdict if left out.")]
AwaitingRun = Annotated[Id, id_argument("r", "The run that awaits approval, e.g. r7.")]

RULES = ("no_regression", "superior", "non_inferior", "expected_gain")
COMPARISONS = (1, 10, 40)
"""Numbers of the comparison on the same test rows for which rates are shown."""
CHANGES = (-0.05, -0.02, -0.015, -0.01, -0.005, 0.0, 0.005, 0.01, 0.02, 0.05)
GAINS = (0.005, 0.01, 0.02)
"""True changes whose chances are shown, and gains for which the rows are asked."""


def _recorded(run: int | None) -> Any:
    from housing.operations.explain_verdict import recorded

    with opened() as (store, _):
        return recorded(store, run)


@gate_app.command()
def power(run: Run = None, as_json: AsJson = False) -> None:
    """Print how often a truly worse or better challenger passes on a run's test rows."""
    from housing.formatting import change, percent, round_up_2_digits, short_percent
    from housing.gate.expected_gain import noise_of
    from housing.gate.power import DETECTION, rows_for
    from housing.operations.explain_verdict import by_comparison
    from housing.operations.explain_verdict import power as characteristic

    found = _recorded(run)
    own = characteristic(found)
    noise = noise_of(found.evidence)
    gains = {
        gain: rows_for(found.comparison, found.policy, gain, earlier=own.earlier, noise=noise)
        for gain in GAINS
    }
    by_number = by_comparison(found, COMPARISONS, CHANGES)
    if as_json:
        rows = {f"{gain:g}": needed for gain, needed in gains.items()}
        by_change = {
            str(number): {f"{change:g}": rate for change, rate in its.items()}
            for number, its in by_number.items()
        }
        also = {"message": own.message, "rows_for_gain": rows, "rates_by_comparison": by_change}
        emit_json({**asdict(own), **also})
        return
    console.print(escape(own.message))
    curves = {
        rule: dict(characteristic(found, found.policy.model_copy(update={"rule": rule})).curve)
        for rule in RULES
    }
    label = metric_named(own.metric).label
    table = bare_table(Column(f"true change of the error ({label})", justify="right"))
    for rule in RULES:
        label = rule.replace("_", " ")
        table.add_column(f"[reverse]{label}[/]" if rule == own.rule else label, justify="right")
    for gain in CHANGES:
        rates = (percent(curves[rule][gain], 2) for rule in RULES)
        table.add_row(change(gain) if gain else "none", *rates)
    console.print("", table, "")
    console.print(f"The rule {own.rule.replace('_', ' ')} by comparison on the same test rows:")
    table = bare_table(Column("true change of the error", justify="right"))
    for number in COMPARISONS:
        table.add_column(f"comparison {number}", justify="right")
    for gain in CHANGES:
        label = change(gain) if gain else "none"
        table.add_row(label, *(percent(by_number[n][gain], 2) for n in COMPARISONS))
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
        verdict = {
            "metric": found.evidence.metric,
            "outcome": found.verdict.outcome,
            "message": found.verdict.message,
        }
        listed = [{**asdict(check), "needs": needs} for check, needs in checks]
        emit_json({"run": found.run and f"r{found.run}", **verdict, "checks": listed})
        return
    judged = "" if found.run is None else f"r{found.run}, "
    judged += f"m{found.evidence.challenger.id}"
    console.print(f"[bold]{judged}[/]  {escape(found.verdict.message)}", "")
    whole = (Column(heading, no_wrap=True) for heading in ("check", "outcome"))
    table = bare_table(*whole, "found", "what would change it")
    for check, needs in checks:
        texts = escape(check.message), escape(needs)
        table.add_row(check.name, coloured(check.outcome), *texts)
    console.print(table)


@gate_app.command()
def export(
    run: Run = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File; r7.verdict.json if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the verdict of a run as a signed file: evidence, policy, digests and verdict."""
    from housing.operations.verdict_file import write
    from housing.store.objects.filesystem import write_page

    with opened() as (store, _):
        name, content = write(store, run)
    file = (out or Path(f"{name}.verdict.json")).resolve()
    write_page(file, content)
    print_result({"run": name, "file": str(file)}, f"{file}", as_json=as_json)


@gate_app.command()
def key(as_json: AsJson = False) -> None:
    """Print the public key (PEM) that verifies the verdict files of this installation."""
    from housing.operations.verdict_file import public_key

    with opened() as (store, _):
        text = public_key(store.signer).decode()
    print_result({"public_key": text}, text.rstrip(), as_json=as_json)


@gate_app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A file that `housing gate export` wrote.")],
    public_key: Annotated[
        Path | None, typer.Option(help="PEM file with the public key that must have signed it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a verdict file's signature and judge its evidence again; needs no database.

    Returns 0 if the key signed it and the verdict is the same, 1 if anything differs, 4 if nothing
    differs but no --public-key was named, so that anyone may have signed it.
    """
    from housing.errors import FileUnreadable
    from housing.operations.verdict_file import read_public_key
    from housing.operations.verdict_file import verify as verified

    trusted = None if public_key is None else read_public_key(public_key)
    try:
        found = verified(file.read_bytes(), trusted)
    except OSError as error:
        why = f"{error.strerror or error}. Name a file that `housing gate export` wrote"
        raise FileUnreadable(file=file, why=why) from error
    code = 1 if found.mismatches else 0 if found.trusted else RunOutcome.INCONCLUSIVE.exit_code
    facts = {
        "run": found.content.get("run"),
        "verdict": found.replayed and found.replayed.recorded.outcome,
        "rule": found.replayed and found.content["policy"].get("rule"),
        "key": found.key,
        "trusted": found.trusted,
        "agrees": not found.mismatches,
        "mismatches": found.mismatches,
        "notes": found.notes,
    }
    texts = list(found.notes)
    if found.replayed and not found.mismatches:
        texts.insert(0, f"The evidence gives this verdict: {found.replayed.now.message}")
        texts += [f"It is signed with the key of {public_key}."] if found.trusted else []
    print_result(facts, *texts, as_json=as_json, faults=found.mismatches, code=code)


@app.command()
def approve(run: AwaitingRun, reason: Reason = "approved", as_json: AsJson = False) -> None:
    """Approve a promotion; the gate compares again if the champion has changed since."""
    from housing.pipeline.approval import approve as decide

    _decide(decide, run, reason, as_json=as_json)


@app.command()
def reject(run: AwaitingRun, reason: Reason, as_json: AsJson = False) -> None:
    """Reject a promotion: the champion stays."""
    from housing.pipeline.approval import reject as decide

    _decide(decide, run, reason, as_json=as_json)


@app.command()
def judge(
    model: Annotated[Id, id_argument("m", "A stored model, e.g. m5.")], as_json: AsJson = False
) -> None:
    """Judge a stored model against the current champion on the active rows; print the verdict.

    Does not change the champion, and later runs ignore the verdict; only a promotion by hand counts
    it as a decision on these rows. Returns 0 if the gate would promote it, 3 if it would keep the
    champion, 4 inconclusive.
    """
    from housing.pipeline.manual_promotion import judge as judge_again

    with opened():
        decided = judge_again(model)
    print_manual_run(decided, as_json=as_json)


def print_manual_run(decided: Any, *, as_json: bool) -> None:
    """Print the result of `judge` or `promote`; exits with the code of its outcome."""
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
                text = f"{coloured(check.outcome)} {check.name}: {escape(check.message)}"
                console.print(text, soft_wrap=True)
        name = "WOULD PROMOTE" if result.outcome is RunOutcome.DRY_RUN else result.outcome.upper()
        console.print(f"[bold]{name}[/]  {escape(result.message)}", soft_wrap=True)
    raise typer.Exit(result.outcome.exit_code)


def _decide(decide: Any, run: int, reason: str, *, as_json: bool) -> None:
    with opened() as (store, settings):
        decided = decide(store, settings, run, reason)
    if as_json:
        emit_json(asdict(decided))
    else:
        outcome = coloured(decided.outcome, decided.outcome.upper(), other="yellow")
        console.print(f"[bold]{outcome}[/]  {escape(decided.message)}")
    if decided.outcome == "superseded":
        raise typer.Exit(RunOutcome.KEPT.exit_code)


def print_replayed(run: int, *, as_json: bool) -> None:
    """Recompute a run's verdict from its evidence; exit code 1 if it differs."""
    replayed = _recorded(run).replayed
    if as_json:
        emit_json({"run": f"r{run}", "agrees": replayed.agrees, **asdict(replayed)})
    else:
        table = bare_table("check", "recorded", "judged again")
        again = {result.name: result.outcome for result in replayed.now.checks}
        for result in replayed.recorded.checks:
            table.add_row(result.name, result.outcome, again.get(result.name, "-"))
        console.print(f"recorded:     {escape(replayed.recorded.message)}")
        console.print(f"judged again: {escape(replayed.now.message)}", "")
        console.print(table, "")
        if replayed.not_asked:
            console.print(f"Checks added since then: {', '.join(replayed.not_asked)}.")
        if replayed.agrees:
            console.print(
                "[bold green]It still agrees[/]: the same evidence gives the same verdict."
            )
        for difference in replayed.differences:
            console.print(f"[bold red]It does not agree[/]: {escape(difference)}.")
    if not replayed.agrees:
        raise typer.Exit(1)
