"""docs/gate.md and its pictures, made from the kept figures: `python -m benchmarks.gate.page`.

What the page says beside the figures stands in docs/gate.in.md here; a test holds the page equal
to what this makes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from benchmarks.gate import results
from benchmarks.gate.mutation import MODULES
from housing.gate.check import CHECKS
from housing.report.canvas import LOOK, Plot, canvas, finished
from housing.report.wording import change, share

DOCS = Path(__file__).parents[2] / "docs"
TEXT = Path(__file__).with_name("gate.in.md")
RULES = ("no_regression", "superior", "non_inferior")
_shares = FuncFormatter(lambda value, _: share(value, 0))


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column to the left."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def percent(value: float, digits: int = 1) -> str:
    """A share as a percentage."""
    return f"{100 * value:.{digits}f} %"


# --- tables -----------------------------------------------------------------------------------


def nights_table(figures: Mapping[str, Any], bag: str) -> str:
    """Measured rate of each rule by planted change, the predicted one in brackets."""
    rows = []
    for name, row in figures[bag]["changes"].items():
        cells = [change(float(name)) if float(name) else "nothing changed"]
        cells.append(percent(row["points"]["rate"]))
        cells += [
            f"{percent(row[r]['promote']['rate'])} ({percent(row[r]['predicted'])})" for r in RULES
        ]
        rows.append(cells)
    return table(["true change", "`>=`", *(f"`{r}`" for r in RULES)], rows)


def worlds_table(figures: Mapping[str, Any]) -> str:
    """The same where the truth is known."""
    rows = [
        [
            change(float(name)) if float(name) else "exactly as good",
            percent(row["points"], 2),
            *(
                f"{percent(row[r]['measured'], 2)} ({percent(row[r]['predicted'], 2)})"
                for r in RULES
            ),
        ]
        for name, row in figures["changes"].items()
    ]
    return table(["true change", "`>=`", *(f"`{r}`" for r in RULES)], rows)


def coverage_table(figures: Mapping[str, Any]) -> str:
    """Coverage of both intervals, from the least to the most correlated errors."""
    rows = sorted(figures["coverage"], key=lambda row: row["se_ratio"])
    return table(
        ["neighbours share", "over", "SE ratio", "clustered, 0.1°", "0.2°", "0.5°", "independent"],
        [
            [
                percent(row["share"], 0),
                f"{row['length']:g}°" if row["share"] else "-",
                f"{row['se_ratio']:.2f}",
                *(percent(row[size]) for size in ("0.1", "0.2", "0.5", "independent")),
            ]
            for row in rows
        ],
    )


def cells_table(figures: Mapping[str, Any]) -> str:
    """Clustered over independent standard error on real nights, by size of a cell."""
    sizes = list(figures["bag_3"]["cell_ratio"])
    rows = [
        [f"bag of {bag}", *(f"{figures[f'bag_{bag}']['cell_ratio'][s]:.3f}" for s in sizes)]
        for bag in (1, 3)
    ]
    return table(["side of a cell", *(f"{s}°" for s in sizes)], rows)


def year_table(figures: Mapping[str, Any]) -> str:
    """What each policy did with each year."""
    rows = []
    for scenario, year in figures["years"].items():
        for number, (policy, row) in enumerate(year["policies"].items()):
            blocked = ", ".join(f"{k} {v}" for k, v in row["blocked"].items()) or "-"
            rows.append(
                [
                    scenario if not number else "",
                    policy if policy.startswith(">=") else f"`{policy}`",
                    str(row["promotions"]),
                    str(row["bad_promotions"]),
                    f"{row['error_mean']:,.0f}",
                    f"{row['error_last']:,.0f}",
                    blocked,
                ]
            )
    head = ["year", "policy", "promoted", "bad", "mean true error", "on the last day", "prevented"]
    return table(head, rows)


def speed_table(figures: Mapping[str, Any]) -> str:
    """Verdict and drift."""
    rows = [
        [
            f"{int(rows):,}",
            f"{1000 * took['median']:,.0f} ms",
            f"{1000 * took['worst']:,.0f} ms",
            f"{1000 * figures['goals'][rows]:,.0f} ms",
            f"{figures['drift'][rows]['median']:.2f} s",
        ]
        for rows, took in figures["verdict"].items()
    ]
    return table(["test rows", "verdict, median", "worst", "goal", "drift beside it"], rows)


def mutation_table(figures: Mapping[str, Any]) -> str:
    """Mutants of each module, and those that no test noticed."""
    rows = [
        [f"`{name}`", str(found["mutants"]), str(len(found["survived"]))]
        for name, found in figures["modules"].items()
    ]
    total = [sum(int(row[i]) for row in rows) for i in (1, 2)]
    return table(["module", "mutants", "survived"], [*rows, ["all", *map(str, total)]])


def not_run(figures: Mapping[str, Any]) -> str:
    """Which modules have not been mutated since the figures were made."""
    left = [f"`{name}`" for name in MODULES if name not in figures["modules"]]
    return f"Not run yet: {', '.join(left)}." if left else "Every module of the gate was run."


def survivors(figures: Mapping[str, Any]) -> str:
    """Each survivor by name, so that anyone can judge it."""
    lines = [
        f"- `{name}`, {s['change']}: `{s['code']}`"
        for name, found in figures["modules"].items()
        for s in found["survived"]
    ]
    return "\n".join(lines) or "None."


def checks_table() -> str:
    """Every check in the order in which it is asked."""
    lines = ["| check | what it asks |", "|---|---|"]
    for check in CHECKS:
        said = (check.__doc__ or "").strip().split("\n\n")[0]
        lines.append(f"| `{check.name}` | {' '.join(said.split())} |")
    return "\n".join(lines)


# --- pictures ---------------------------------------------------------------------------------


def passing(figures: Mapping[str, Any]) -> Plot:
    """Measured rates (points) on the predicted curves, simulated worlds."""
    with canvas(6.4, 3.2) as (figure, axes):
        x = sorted(float(name) for name in figures["changes"] if abs(float(name)) <= 0.02)
        rows = [figures["changes"][f"{value:g}"] for value in x]
        for number, rule in enumerate(RULES):
            color, marker = LOOK.families[number], LOOK.markers[number]
            axes.plot(x, [r[rule]["predicted"] for r in rows], color=color, lw=1.4)
            axes.plot(x, [r[rule]["measured"] for r in rows], marker, color=color, ms=6, label=rule)
        axes.plot(x, [r["points"] for r in rows], "x", color=LOOK.faint, label=">= of points")
        _labelled(axes)
        return finished(figure, "passing", "Measured and predicted rates of passing, by rule.")


def _labelled(axes: Axes) -> None:
    axes.axvline(0, color=LOOK.faint, lw=0.8, ls=":")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: change(value, 1)))
    axes.yaxis.set_major_formatter(_shares)
    axes.set_xlabel("true change of the challenger's error: further left is better")
    axes.set_ylabel("promoted")
    axes.legend()


def years(figures: Mapping[str, Any], scenario: str, name: str) -> Plot:
    """The champion's true error over a year, a line a policy."""
    year = figures["years"][scenario]
    shown = (">= of points", "no_regression", "superior", "non_inferior")
    if scenario == "a model that decays":
        shown = ("no_regression", "non_inferior", "non_inferior, no ratchet")
    with canvas(6.4, 2.8) as (figure, axes):
        for number, policy in enumerate(shown):
            row = year["policies"][policy]
            axes.step(
                year["probes"],
                [e / b - 1 for e, b in zip(row["error"], year["best"], strict=True)],
                where="post", lw=1.6,
                color=LOOK.families[number], label=f"{policy} ({row['promotions']})",
            )  # fmt: skip
        axes.set_xlabel(f"night of the year ({scenario})")
        axes.set_ylabel("champion's true error above\nthe best challenger's so far")
        axes.yaxis.set_major_formatter(_shares)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, title="policy (promotions)")
        return finished(figure, name, f"The champion's true error over a year: {scenario}.")


def pictures() -> Iterator[tuple[str, Plot]]:
    """File name and picture."""
    yield "passing.svg", passing(results.load("simulated"))
    year = results.load("year")
    for scenario in year["years"]:
        name = scenario.replace(" ", "-")
        yield f"year-{name}.svg", years(year, scenario, name)


def page() -> str:
    """The text with every figure filled in."""
    nights, year = results.load("nights"), results.load("year")
    worlds = results.load("simulated")
    one, three = (nights[f"bag_{bag}"] for bag in (1, 3))
    facts = {
        "checks": checks_table(),
        "nights_1": nights_table(nights, "bag_1"),
        "nights_3": nights_table(nights, "bag_3"),
        "nights": three["changes"]["0"]["nights"],
        "splits": nights["splits"],
        "bags": nights["bags"],
        "drawn": change(three["changes"]["0"]["effect_mean"], 2),
        "not_run": not_run(results.load("mutation")),
        "rows": f"{nights['test_rows']:,}",
        "error": percent(max(three["changes"]["0"][r]["promote"]["se"] for r in RULES)),
        "se_1": percent(one["changes"]["0"]["se_mean"], 2),
        "se_3": percent(three["changes"]["0"]["se_mean"], 2),
        "luck_1": percent(one["training_luck"], 2),
        "luck_3": percent(three["training_luck"], 2),
        "aa_points": percent(three["changes"]["0"]["points"]["rate"]),
        **{f"aa_{r}": percent(three["changes"]["0"][r]["promote"]["rate"]) for r in RULES},
        "pass_1": percent(three["changes"]["0.01"]["no_regression"]["promote"]["rate"]),
        "pass_1_world": percent(worlds["changes"]["0.01"]["no_regression"]["measured"], 2),
        "pass_2_world": percent(worlds["changes"]["0.02"]["no_regression"]["measured"], 2),
        "gain_15": percent(three["changes"]["-0.015"]["no_regression"]["promote"]["rate"]),
        "gain_15_world": percent(worlds["changes"]["-0.015"]["no_regression"]["measured"], 2),
        "worlds": worlds_table(worlds),
        "world_nights": f"{worlds['changes']['0']['nights']:,}",
        "world_coverage": percent(worlds["changes"]["0"]["coverage"]),
        "coverage": coverage_table(results.load("coverage")),
        "cells": cells_table(nights),
        "year": year_table(year),
        "speed": speed_table(results.load("speed")),
        "mutation": mutation_table(results.load("mutation")),
        "survivors": survivors(results.load("mutation")),
    }
    text = TEXT.read_text()
    for name, value in facts.items():
        text = text.replace(f"{{{{{name}}}}}", str(value))
    return text


def main() -> None:
    """Write the page and its pictures."""
    folder = DOCS / "gate"
    folder.mkdir(exist_ok=True)
    for name, plot in pictures():
        (folder / name).write_bytes(plot.svg)
    (DOCS / "gate.md").write_text(page())
    print("docs/gate.md")


if __name__ == "__main__":
    main()
