"""The figures and pictures of docs/gate.md and docs/gate/measurements.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from scipy.special import ndtri, stdtrit
from scipy.stats import beta

from benchmarks import mutation, results
from benchmarks.gate.cases import RULES
from benchmarks.gate.coverage import SLICES as COVERED
from benchmarks.markdown import table
from housing.formatting import change, percent
from housing.gate.check import CHECKS, COMPARISONS
from housing.gate.expected_gain import FORMULA
from housing.gate.policy import GatePolicy
from housing.metric import metric_named
from housing.report.plot_style import LOOK, RenderedFigure, canvas, finished

GOAL = (0.93, 0.97)  # of the coverage
_shares = FuncFormatter(lambda value, _: percent(value, 0))


# --- tables -----------------------------------------------------------------------------------


def nights_table(figures: Mapping[str, Any]) -> str:
    """Measured rate of each rule by planted change, the predicted one in brackets."""
    rows = [
        [
            _named(name, "nothing changed"),
            percent(row["points"]["rate"]),
            *(_rates(row[rule]["promote"]["rate"], row[rule]["predicted"]) for rule in RULES),
        ]
        for name, row in figures["changes"].items()
    ]
    return table(["true change", "`>=`", *(f"`{rule}`" for rule in RULES)], rows)


def worlds_table(figures: Mapping[str, Any]) -> str:
    """The same where the truth is known."""
    rows = [
        [
            _named(name, "exactly as good"),
            percent(row["points"], 2),
            *(_rates(row[rule]["measured"], row[rule]["predicted"], 2) for rule in RULES),
        ]
        for name, row in figures["changes"].items()
    ]
    return table(["true change", "`>=`", *(f"`{rule}`" for rule in RULES)], rows)


def _named(planted: str, none: str) -> str:
    """A planted change as text, `none` for no change."""
    return change(float(planted)) if float(planted) else none


def _rates(rate: float, predicted: float, digits: int = 1) -> str:
    """A measured rate, the predicted one in brackets."""
    return f"{percent(rate, digits)} ({percent(predicted, digits)})"


REUSED = ("-0.02", "-0.015", "-0.01", "0", "0.005")
"""True changes of which the page shows the rate on later nights."""


def reuse_table(figures: Mapping[str, Any]) -> str:
    """Rates on later nights on the same test rows, the predicted ones in brackets."""
    rows = [
        [
            f"`{rule}`, {night}",
            f"{percent(max(-row['shown'], 0), 2)} ({percent(row['bias'], 2)})",
            *(_rates(**row["changes"][name]) for name in REUSED),
        ]
        for rule in RULES
        for night, row in figures["nights"][rule].items()
    ]
    changes = [_named(name, "exactly as good") for name in REUSED]
    return table(["rule, comparison", "champion looks better by", *changes], rows)


def reuse_rates(figures: Mapping[str, Any]) -> list["Rate"]:
    """All rates of the simulation of later nights; its test sets are independent."""
    return [
        Rate(found["rate"], p, _binomial(p, figures["sets"]))
        for nights in figures["nights"].values()
        for row in nights.values()
        for found in row["changes"].values()
        for p in [found["predicted"]]
    ]


def paper_version(figures: Mapping[str, Any]) -> str:
    """Which version of the rule the figures are of."""
    version, cost = figures.get("formula", 1), figures.get("cost_of_change", 0.002)
    text = f"Measured: version {version} of the formula with a cost of change of {percent(cost)}."
    if (version, cost) != (FORMULA, GatePolicy().cost_of_change):
        text += (
            f" The rule in force is version {FORMULA} with {percent(GatePolicy().cost_of_change)}:"
            " its figures are **not measured yet**."
        )
    return text


def champion_error(figures: Mapping[str, Any]) -> str:
    """Shown and corrected error of the champion less the true one, by world, rule and night."""
    rows = [
        [
            place,
            rule,
            night,
            change(found["shown"], 2),
            f"{change(found['corrected'], 2)} ± {percent(1.96 * found['se'], 2)}",
            percent(found["shown_coverage"]),
            percent(found["coverage"]),
            "met" if abs(found["corrected"]) <= figures["goal"] else "missed",
        ]
        for place, rules in figures["places"].items()
        for rule, nights in rules.items()
        for night, found in nights.items()
    ]
    head = ["world", "rule", "night", "shown", "corrected", "coverage", "corrected", "goal"]
    return f"{figures['worlds']} worlds a line.\n\n{table(head, rows)}"


def paper_table(figures: Mapping[str, Any]) -> str:
    """The rule `expected_gain` in each world on paper, beside a gate of points."""
    passes = "1 % worse passes", "2 % worse passes", "1.5 % better within 3"
    head = ["world", "mean true error beside `>=`", "promoted a year", "truly worse ones"]
    head += [*passes, "goals missed"]
    rows = []
    for world, found in figures["on_paper"].items():
        row, points = found["expected_gain"], found.get(">=")
        interval = f"± {percent(1.96 * row['error_se'], 2)}"
        beside = [
            f"{row[name]:.1f}" + (f" ({points[name]:.1f})" if points else "")
            for name in ("promoted", "worse")
        ]
        rates = [
            " / ".join(
                percent(row["planted"][night][name], 1) for night in ("1", "10", "40", "200")
            )
            for name in ("0.01", "0.02", "-0.015")
        ]
        missed = ", ".join(name for name, met in row["goals"].items() if not met) or "none"
        rows.append([world, f"{change(row['error'], 2)} {interval}", *beside, *rates, missed])
    return table(head, rows)


@dataclass(frozen=True)
class Rate:
    """A measured rate beside the predicted one, and the standard error of the measured one."""

    measured: float
    predicted: float
    error: float

    @property
    def away(self) -> float:
        """How many of its errors the measured rate lies from the predicted one."""
        away = abs(self.measured - self.predicted)
        return away / self.error if self.error > 0 else 0.0


def nights_rates(figures: Mapping[str, Any]) -> list[Rate]:
    """The rates on the real table; pairs of a split share bags, and a rate of 0 or 1 shows no
    error of its own: of the clustered and the predicted rate's binomial error the larger one.
    """
    return [
        Rate(found["promote"]["rate"], p, max(found["promote"]["se"], _binomial(p, row["nights"])))
        for row in figures["changes"].values()
        for found in (row[rule] for rule in RULES)
        for p in [found["predicted"]]
    ]


def worlds_rates(figures: Mapping[str, Any]) -> list[Rate]:
    """The same where the truth is known: given the world, its test sets are independent."""
    return [
        Rate(row[rule]["measured"], p, _binomial(p, row["nights"]))
        for row in figures["changes"].values()
        for rule in RULES
        for p in [row[rule]["predicted"]]
    ]


def _binomial(rate: float, count: int) -> float:
    return float((max(rate * (1 - rate), 0.0) / count) ** 0.5)


def agreement(rates: list[Rate], beyond: float) -> str:
    """How far the measured rates are from the predicted ones, in errors and in points."""
    within = sum(rate.away <= beyond for rate in rates)
    widest = max(rates, key=lambda rate: abs(rate.measured - rate.predicted))
    farthest = max(rate.away for rate in rates)
    points = 100 * abs(widest.measured - widest.predicted)
    return (
        f"{within} of the {len(rates)} measured rates lie within {beyond:.2f} standard errors of "
        f"the predicted one (its 95 % limit), all within {farthest:.1f}; the largest difference is "
        f"{points:.1f} points ({percent(widest.measured)} for {percent(widest.predicted)})."
    )


def ruled_out(row: Mapping[str, Any], rule: str) -> str:
    """What so many nights say of a rate that is near zero (Clopper and Pearson, one-sided)."""
    nights = row["nights"]
    passed = round(row[rule]["measured"] * nights)
    most = percent(float(beta.ppf(0.95, passed + 1, nights - passed)), 2)
    predicted = row[rule]["predicted"]
    shown = "below 0.01 %" if predicted < 0.0001 else percent(predicted, 2)
    return f"{passed} of {nights:,} runs rule out more than {most}, predicted is {shown}"


def cautious(rates: list[Rate], beyond: float) -> str:
    """On which side the measured rates lie that are beyond the error."""
    far = [rate for rate in rates if rate.away > beyond]
    if not far:
        return ""
    if all((rate.measured > rate.predicted) is (rate.predicted > 0.5) for rate in far):
        return (
            "Those beyond it all lie further from one half than predicted: the interval is a bit "
            "wider than necessary, so the gate is stricter than predicted."
        )
    return "Those beyond it lie on both sides."


def coverage_table(figures: Mapping[str, Any]) -> str:
    """Coverage of each interval by how far neighbours err alike, and the width of ours."""
    head = ["neighbours share", "over", "SE ratio", "RMSE", "one-sided", "MAE", "slices",
            "cells of 0.1°", "independent", "width", "reach"]  # fmt: skip
    rows = []
    for row in figures["coverage"]:
        slices = [row[name] for name in COVERED]
        names = ("rmse", "upper", "mae")
        rows.append(
            [
                percent(row["share"], 0),
                f"{row['length']} km" if row["share"] else "-",
                f"{row['se_ratio']:.2f}",
                *(percent(row[name]) for name in names),
                f"{100 * min(slices):.1f} to {percent(max(slices))}",
                percent(row["by_cells"]),
                percent(row["independent"]),
                f"{row['width']:.2f}",
                f"{row['reach']:.1f}°",
            ]
        )
    return table(head, rows)


def _shared(row: Mapping[str, Any]) -> str:
    """What neighbours share in a case, in words."""
    return f"{percent(row['share'], 0)} over {row['length']} km" if row["share"] else "nothing"


def metrics_table(figures: Mapping[str, Any]) -> str:
    """Coverage, standard error and power by deciding metric, the predicted rates in brackets."""
    rows = []
    for row in figures["cases"]:
        for number, (name, found) in enumerate(row["metrics"].items()):
            rows.append(
                [
                    "" if number else _shared(row),
                    metric_named(name).label,
                    *(percent(found[one]) for one in ("coverage", "upper")),
                    percent(found["se"], 2),
                    percent(found["gain"], 2),
                    *(_rates(**rate) for rate in found["changes"].values()),
                ]
            )
    changes = figures["cases"][0]["metrics"]["rmse"]["changes"]
    planted = [_named(name, "equal") for name in changes]
    head = ["neighbours share", "metric", "coverage", "one-sided", "standard error", "gain found"]
    return table([*head, *planted], rows)


def metrics_outside(figures: Mapping[str, Any]) -> str:
    """Which metrics miss the goal of the coverage, in words."""
    missed = [
        f"{metric_named(name).label} where neighbours share {_shared(row)} "
        f"({percent(found['coverage'])})"
        for row in figures["cases"]
        for name, found in row["metrics"].items()
        if not GOAL[0] <= found["coverage"] <= GOAL[1]
    ]
    return f"Outside the goal: {', '.join(missed)}." if missed else "No line misses the goal."


def worst_rate(figures: Mapping[str, Any]) -> str:
    """The rate of a true regression that lies furthest above the predicted one, in words."""
    rate, name, where, loss = max(
        (
            (rate, name, _shared(row), metric)
            for row in figures["cases"]
            for metric, found in row["metrics"].items()
            for name, rate in found["changes"].items()
            if float(name) > 0
        ),
        key=lambda each: each[0]["rate"] - each[0]["predicted"],
    )
    return (
        f"by the {metric_named(loss).label} a true change of {change(float(name))} passes in "
        f"{percent(rate['rate'])} where neighbours share {where}, predicted are "
        f"{percent(rate['predicted'])}"
    )


def candidates_table(figures: Mapping[str, Any]) -> str:
    """Coverage of what might have been chosen, and its width where rows are alike in nothing."""
    shown = [row for row in figures["coverage"] if not row["share"] or row["share"] == 0.3]
    names = list(shown[0]["candidates"])
    rows = [
        [
            name,
            *(percent(row["candidates"][name]["coverage"]) for row in shown),
            f"{shown[0]['candidates'][name]['width']:.2f}",
        ]
        for name in names
    ]
    return table(["kernel", *(f"{row['length']} km" for row in shown), "width at 0 km"], rows)


def covered(figures: Mapping[str, Any], most_km: float, name: str = "rmse") -> str:
    """The least and the most coverage up to a length, as a range."""
    found = [row[name] for row in figures["coverage"] if row["length"] <= most_km]
    return f"{100 * min(found):.1f} to {percent(max(found))}"


def outside(figures: Mapping[str, Any]) -> str:
    """Which lines miss the goal, in words."""
    missed = [
        f"{percent(row['share'], 0)} over {row['length']} km ({percent(row['rmse'])})"
        for row in figures["coverage"]
        if not GOAL[0] <= row["rmse"] <= GOAL[1]
    ]
    return f"Outside it: {', '.join(missed)}." if missed else "No line lies outside it."


def reach_table(figures: Mapping[str, Any]) -> str:
    """How far real errors are alike."""
    reaches = figures["reaches"]
    alone = list(next(iter(reaches.values()))["alone"])
    rows = [
        [
            name,
            str(row["pairs"]),
            f"{row['ratio']:.2f}",
            f"{row['reach']:.2f}°",
            f"{row['df']:.0f}",
            *(f"{row['alone'][reach]:.2f}" for reach in alone),
        ]
        for name, row in reaches.items()
    ]
    head = ["challenger against champion", "pairs", "as chosen", "reach", "df"]
    return table([*head, *(f"{reach}°" for reach in alone)], rows)


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


CALM = ("nothing at all", "slow drift", "sudden drift", "polluted batches")


def year_summary(figures: Mapping[str, Any]) -> str:
    """Each rule over four years: changes, bad ones, and the error beside the gate of points."""
    rows = []
    for policy in (">= of points", *RULES):
        found = [figures["years"][scenario]["policies"] for scenario in CALM]
        beside = [
            year[policy]["error_mean"] / year[">= of points"]["error_mean"] - 1 for year in found
        ]
        rows.append(
            [
                policy if policy.startswith(">=") else f"`{policy}`",
                *(
                    str(sum(year[policy][name] for year in found))
                    for name in ("promotions", "bad_promotions")
                ),
                "-"
                if policy.startswith(">=")
                else f"{change(min(beside))} to {change(max(beside))}",
            ]
        )
    return table(["policy", "promoted", "bad", "mean true error beside points, by year"], rows)


def decayed(figures: Mapping[str, Any], policy: str) -> str:
    """What became of the error under a model that gets worse every night."""
    year = figures["years"]["a model that decays"]
    row = year["policies"][policy]
    risen = percent(row["error_last"] / year["best"][-1] - 1)
    return f"{row['promotions']} are promoted and the error ends {risen} above the first model's"


def speed_table(figures: Mapping[str, Any]) -> str:
    """Verdict and drift, in processor time and, where nothing else ran, in wall time."""
    rows = [
        [
            f"{int(rows):,}",
            clock,
            *(f"{1000 * took[clock][which]:,.0f} ms" for which in ("median", "worst")),
            f"{1000 * figures['goals'][rows]:,.0f} ms",
            f"{figures['drift'][rows][clock]['median']:.2f} s",
        ]
        for rows, took in figures["verdict"].items()
        for clock in ("processor", *(["wall"] if figures["quiet"] else []))
    ]
    head = ["test rows", "time", "verdict, median", "worst", "goal", "drift beside it"]
    return table(head, rows)


def speed_where(figures: Mapping[str, Any]) -> str:
    """What kind of figures the times are."""
    if figures["quiet"]:
        return "On two cores that did nothing else:"
    return (
        "Processor time, on two cores that had other work beside it (wall times take a quiet "
        "machine: `python -m benchmarks gate-speed --quiet`):"
    )


def _mutated() -> tuple[dict[str, Any], list[str]]:
    """Mutation figures of modules that are as they were measured, and the names of the others."""
    modules = (results.load("mutation") or {"modules": {}})["modules"]
    now = {n: found for n, found in modules.items() if found["source"] == mutation.digest(n)}
    return now, [name for name in modules if name not in now]


def not_run() -> str:
    """Which modules have changed since they were mutated."""
    if results.load("mutation") is None:
        return "No module is measured yet: `make mutate MODULE=... KEEP=1`."
    changed = _mutated()[1]
    if changed:
        return f"Changed since they were mutated: {', '.join(f'`{name}`' for name in changed)}."
    return "Every module of the table is as it was measured."


def checks_table() -> str:
    """All checks in their order."""
    lines = ["| check | passes if |", "|---|---|"]
    for check in CHECKS:
        text = (check.__doc__ or "").strip().split("\n\n")[0]
        lines.append(f"| `{check.name}` | {' '.join(text.split())} |")
    return "\n".join(lines)


def rules_table(changes: Mapping[str, Any]) -> str:
    """Measured rate of promotion of each rule at a few true changes."""
    names = {"-0.015": "1.5 % better", "0": "equal", "0.01": "1 % worse", "0.02": "2 % worse"}
    rows = []
    for name, text in names.items():
        found = changes[name]
        rates = (percent(found[rule]["promote"]["rate"]) for rule in RULES)
        rows.append([text, *rates, percent(found["points"]["rate"])])
    return table(["true change of the error", *(f"`{rule}`" for rule in RULES), "`>=`"], rows)


# --- pictures ---------------------------------------------------------------------------------


def passing(figures: Mapping[str, Any]) -> RenderedFigure:
    """Measured rates (points) on the predicted curves, simulated worlds."""
    with canvas(3.2, 6.4) as (figure, axes):
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


def years(figures: Mapping[str, Any], scenario: str, name: str) -> RenderedFigure:
    """The champion's true error over a year, a line a policy."""
    year = figures["years"][scenario]
    shown = (">= of points", "no_regression", "superior", "non_inferior")
    if scenario == "a model that decays":
        shown = ("no_regression", "non_inferior", "non_inferior, no ratchet")
    with canvas(2.8, 6.4) as (figure, axes):
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


def pictures() -> Iterator[tuple[str, RenderedFigure]]:
    """File name and picture."""
    yield "passing.svg", passing(results.load("gate-simulated"))
    year = results.load("gate-year")
    for scenario in year["years"]:
        name = scenario.replace(" ", "-")
        yield f"year-{name}.svg", years(year, scenario, name)


def facts() -> dict[str, str]:
    """The figures of both pages."""
    nights, year = results.load("gate-nights"), results.load("gate-year")
    worlds, coverage = results.load("gate-simulated"), results.load("gate-coverage")
    metrics = results.load("gate-metrics")
    one, three = (nights[f"bag_{bag}"] for bag in (1, 3))
    reuse = results.load("gate-reuse")
    later = {night: reuse["nights"]["no_regression"][night] for night in ("1", "10", "40")}
    at_margin = {"changes": {"0.01": three["changes"]["0.01"]}}
    passed = nights_rates(at_margin)[RULES.index("no_regression")]
    found = {
        "checks": checks_table(),
        "comparisons": ", ".join(
            f"`{check.name}`" for check in CHECKS if check.name in COMPARISONS
        ),
        "rules": rules_table(nights["bag_3"]["changes"]),
        "nights_1": nights_table(one),
        "nights_3": nights_table(three),
        "nights": three["changes"]["0"]["nights"],
        "splits": nights["splits"],
        "bags": nights["bags"],
        "drawn": change(three["changes"]["0"]["effect_mean"], 2),
        "not_run": not_run(),
        "rows": f"{nights['test_rows']:,}",
        "error": percent(max(three["changes"]["0"][r]["promote"]["se"] for r in RULES)),
        "se_1": percent(one["changes"]["0"]["se_mean"], 2),
        "se_3": percent(three["changes"]["0"]["se_mean"], 2),
        "luck_1": percent(one["training_luck"], 2),
        "luck_3": percent(three["training_luck"], 2),
        "aa_points": percent(three["changes"]["0"]["points"]["rate"]),
        **{
            f"aa_{r}": percent(three["changes"]["0"][r]["promote"]["rate"])
            for r in ("no_regression", "superior")
        },
        "agree_3": agreement(nights_rates(three), stdtrit(nights["splits"] - 1, 0.975)),
        "agree_1": agreement(nights_rates(one), stdtrit(nights["splits"] - 1, 0.975)),
        "agree_worlds": f"{agreement(worlds_rates(worlds), ndtri(0.975))} "
        f"{cautious(worlds_rates(worlds), ndtri(0.975))}",
        "aa_world": percent(worlds["changes"]["0"]["no_regression"]["measured"]),
        "aa_world_superior": percent(worlds["changes"]["0"]["superior"]["measured"]),
        "pass_1": percent(three["changes"]["0.01"]["no_regression"]["promote"]["rate"]),
        "pass_1_error": percent(passed.error),
        "ruled_out": ruled_out(worlds["changes"]["0.02"], "no_regression"),
        "pass_2": percent(three["changes"]["0.02"]["no_regression"]["promote"]["rate"]),
        "superior_15": percent(three["changes"]["-0.015"]["superior"]["promote"]["rate"]),
        "pass_1_world": percent(worlds["changes"]["0.01"]["no_regression"]["measured"], 2),
        "pass_2_world": percent(worlds["changes"]["0.02"]["no_regression"]["measured"], 2),
        "gain_15": percent(three["changes"]["-0.015"]["no_regression"]["promote"]["rate"]),
        "worlds": worlds_table(worlds),
        "world_nights": f"{worlds['changes']['0']['nights']:,}",
        "world_coverage": percent(worlds["changes"]["0"]["coverage"]),
        "reuse": reuse_table(reuse),
        "reuse_sets": f"{reuse['sets']:,}",
        "reuse_rows": f"{reuse['rows']:,}",
        "paper_version": paper_version(results.load("gate-paper")),
        "champion_error": champion_error(results.load("gate-champion-error")),
        "paper": paper_table(results.load("gate-paper")),
        "paper_worlds": results.load("gate-paper")["worlds"],
        "agree_reuse": agreement(reuse_rates(reuse), ndtri(0.975)),
        **{f"reuse_bias_{n}": percent(max(-later[n]["shown"], 0), 2) for n in ("10", "40")},
        **{f"reuse_aa_{n}": percent(row["changes"]["0"]["rate"]) for n, row in later.items()},
        **{f"reuse_15_{n}": percent(row["changes"]["-0.015"]["rate"]) for n, row in later.items()},
        "coverage": coverage_table(coverage),
        "candidates": candidates_table(coverage),
        "metrics": metrics_table(metrics),
        "metrics_outside": metrics_outside(metrics),
        "metrics_worst": worst_rate(metrics),
        "metrics_draws": metrics["draws"],
        "metrics_splits": metrics["splits"],
        "covered_20": covered(coverage, 20),
        "covered_50": covered(coverage, 50),
        "cells_20": covered(coverage, 20, "by_cells"),
        "outside": outside(coverage),
        "draws": coverage["draws"],
        "places": coverage["splits"],
        "width_0": percent(coverage["coverage"][0]["width"] - 1, 0),
        "width_mean_0": percent(coverage["coverage"][0]["width_mean"] - 1, 0),
        "reaches": reach_table(nights),
        "year": year_table(year),
        "year_summary": year_summary(year),
        "decay_free": decayed(year, "non_inferior, no ratchet"),
        "decay_held": decayed(year, "non_inferior"),
        "speed": speed_table(results.load("gate-speed")),
        "speed_where": speed_where(results.load("gate-speed")),
        "mutation": mutation.counts(_mutated()[0]),
        "survivors": mutation.survivors(_mutated()[0]),
    }
    return {name: str(value) for name, value in found.items()}
