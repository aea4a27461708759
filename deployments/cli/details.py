"""`housing show ID`: the facts in two columns, then a table for each list or group of facts."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Column

from deployments.cli.comparison import figures_table
from deployments.cli.output import bare_table, cell, coloured, console, facts, heading
from housing.formatting import change, error_amount, limits, short_percent
from housing.metric import metric_named
from housing.records import Interval
from housing.schema import LOCATION

ABSENT: tuple[Any, ...] = (None, "", [], {})

TABLES: dict[str, tuple[str, ...]] = {
    "steps": ("step", "seconds", "detail"),
    "checks": ("name", "outcome", "message"),
    "batches": ("batch", "name", "status", "read", "rejected"),
    "skipped_files": ("name", "status", "message"),
    "rejections": ("code", "column", "rows", "example"),
    "trials": ("candidate", "family", "result", "seconds", "parameters"),
    "members": ("candidate", "family", "seed", "parameters"),
    "history": ("seq", "at", "operation", "from", "to", "reason"),
    "numbers": ("column", "min", "q25", "median", "q75", "max", "mean", "missing"),
    "categories": ("column", "counts", "missing"),
}
"""Columns of the table of a list; `--json` prints all fields."""

TITLES = {
    "importances": "importance of columns (shares of the growth of the squared error)",
    "groups": "importance of groups of features (shares)",
    "unseen": "error at unseen places",
    "corrected_error": "test error without the selection bias",
    "last_evaluation": "last evaluation",
    "numbers": "number columns",
    "categories": "category columns",
    "skipped_files": "files that were skipped",
}
"""Titles of sections; others are called as their field."""

NARROW = frozenset({"step", "seconds", "name", "outcome", "status", "batch", "code", "candidate"})
"""Columns whose cells stay on one line."""


def print_details(found: Mapping[str, Any]) -> None:
    """Print what `queries.show_...` found; absent facts are left out."""
    shown = {name: value for name, value in found.items() if value not in ABSENT}
    shown.pop("result", None)  # status and outcome say it
    nested = {name: shown.pop(name) for name in [*shown] if _is_nested(shown[name])}
    facts(shown)
    for name, value in _sections(nested):
        console.print(f"\n[bold]{escape(TITLES.get(name, name))}[/]")
        _print_section(name, value)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value)
    )


def _sections(nested: dict[str, Any]) -> Any:
    """Names and contents in a form that `_print_section` knows."""
    for name, value in nested.items():
        if name == "verdict":
            yield "checks", value["checks"]
        elif name == "columns":
            rows = [{"column": column, **profile} for column, profile in value.items()]
            yield "numbers", [row for row in rows if "counts" not in row]
            yield "categories", [row for row in rows if "counts" in row]
        elif name == "members":
            rows = [{**one["candidate"], "seed": one["seed"]} for one in value]
            yield name, [{**row, "candidate": row["index"]} for row in rows]
        elif name == "trials":
            yield name, [{**trial, "result": _result(trial)} for trial in value]
        elif name == "last_evaluation":
            if value["metrics"] is not None:
                yield name, value
        else:
            yield name, value


def _result(trial: Mapping[str, Any]) -> str:
    if trial["error"]:
        return f"failed: {trial['error']}"
    if trial["stopped"]:
        return "stopped"
    return cell(trial["cv_error"], "cv_error", metric=trial["metric"])


def _print_section(name: str, value: Any) -> None:
    if name == "last_evaluation":
        console.print(figures_table({value["id"]: value["metrics"]}))
    elif name in TABLES:
        print_table(TABLES[name], value)
    elif name in ("importances", "groups"):
        facts({key: short_percent(share) for key, share in value.items()})
    elif name in ("unseen", "corrected_error"):
        facts(_measured(value))
    elif isinstance(value, Mapping):
        facts({key: cell(one, key, 3) for key, one in value.items()})
    else:
        for one in value:
            facts(one)


def _measured(value: Mapping[str, Any]) -> dict[str, Any]:
    """Errors by the metric and changes of them, with their units."""
    metric, shown = value["metric"], dict(value)
    shown["metric"] = metric_named(metric).label
    for name in ("seen", "unseen"):
        if name in shown:
            shown[name] = error_amount(value[name], metric)
    if LOCATION is not None and "block" in shown:
        unit = "degrees" if LOCATION.kind == "geographic" else LOCATION.unit
        shown["block"] = f"{value['block']:g} {unit}"
    if "change" in shown:
        by = Interval(**value["change"])
        shown["change"] = (
            f"{change(by.value)} ({change(by.lower)} to {change(by.upper)}, "
            f"{short_percent(by.confidence)})"
        )
    if "bias" in shown:
        limit = {name: shown.pop(name) for name in ("value", "lower", "upper", "confidence")}
        error, bias = Interval(**limit), change(shown["bias"])
        amount = f"{error_amount(error.value, metric)}, {limits(error, metric)}"
        shown = {"error": amount, **shown, "bias": bias}
    return shown


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print these fields of the rows; long texts wrap."""
    if not rows:
        return
    table = bare_table(
        *(
            Column(
                heading(name),
                no_wrap=name in NARROW,
                overflow="fold",
                justify="right" if isinstance(rows[0].get(name), int | float) else "left",
            )
            for name in columns
        )
    )
    for row in rows:
        table.add_row(*(_in_table(row.get(name), name) for name in columns))
    console.print(table)


def _in_table(value: Any, name: str) -> str:
    if name in ("outcome", "status"):
        return coloured(str(value))
    if name == "missing":
        return short_percent(value)
    return cell(value, name).replace("\n", ", ")
