"""The tables and pictures of docs/performance.md, from the kept figures.

A benchmark that was never run to its end is named as not measured.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks import results
from benchmarks.markdown import number, table
from housing.report.plot_style import LOOK, RenderedFigure, canvas, finished

ORDER = {
    "quality": "quality --night --budget --cells",
    "search": "search",
    "every-family": "every-family",
    "intake-1000000": "intake",
    "intake-20000000": "intake --rows 20000000 --files 2",
    "split": "split",
    "night-2000000": "night",
    "describe-2000000": "describe",
    "prediction": "prediction",
    "onnx": "onnx",
    "tables": "tables",
    "age-1100": "age",
    "age-1100-s3": "age --nights 10,1100 --s3",
}
"""Kept figures in the order of the page, and the command that makes each."""


def goals() -> str:
    """Every row that was measured: both sides, their ratio, and the goal where there is one."""
    rows = []
    for name, command in ORDER.items():
        found = results.load(name)
        if found is None:
            rows.append([f"`{command}`", "**not measured yet**", "", "", "", ""])
            continue
        for place, row in enumerate(found["rows"]):
            ratio = "" if row["ratio"] is None else f"{row['ratio']:.3f} x"
            verdict = {True: "met", False: "**missed**", None: ""}[row["met"]]
            theirs = number(row["theirs"]) if row["theirs"] else ""
            rows.append(
                [
                    f"`{command}`" if not place else "",
                    row["name"], f"{number(row['ours'])} {row['unit']}", theirs, ratio,
                    f"{row['goal']}: {verdict}" if row["goal"] else "",
                ]
            )  # fmt: skip
    return table(["command", "figure", "ours", "reference", "ratio", "goal"], rows)


def machines() -> str:
    """When and on what each was measured."""
    rows = []
    for name in (*ORDER, "families"):
        found = results.load(name)
        if found is not None:
            m = found["machine"]
            rows.append(
                [
                    name, found["at"][:16].replace("T", " "), str(m["cores"]),
                    f"{m['memory_gib']:g} GiB", m["python"], m["libraries"]["scikit-learn"],
                    " ".join(f"{x:g}" for x in m["load"]),
                ]
            )  # fmt: skip
    head = ["", "at (UTC)", "cores", "memory", "Python", "scikit-learn", "load at the end"]
    return table(head, rows)


def parts() -> str:
    """Seconds and memory of the parts of a night of 2 million rows."""
    rows = [
        [p["name"], f"{p['seconds']:.1f}", f"{p['processor']:.1f}", f"{p['gib']:.2f}"]
        for p in results.load("night-2000000")["parts"]
    ]
    return table(["part", "wall seconds", "processor seconds", "peak GiB"], rows)


def families() -> str:
    """Error and processor time of each family."""
    found = results.load("families")
    rows = [[r["name"], f"{r['rmse']:,.0f}", f"{r['seconds']:.1f}"] for r in found["families"]]
    intro = (
        f"One setting each on the same features and folds; processor seconds of a fit on "
        f"{found['rows_fitted']:,} rows with one thread (`families`).\n\n"
    )
    return intro + table(["family", "cross-validated RMSE", "processor seconds"], rows)


def groups() -> str:
    """Error of the default family without each group of features."""
    rows = [
        [f"without {r['without']}" if r["without"] else "all features", f"{r['rmse']:,.0f}"]
        for r in results.load("families")["groups"]
    ]
    return table(["boosting, 300 trees", "cross-validated RMSE"], rows)


def own_tables() -> str:
    """Test error on each further table, of both sides, and the effort of each."""
    rows = [
        [
            name, f"{number(t['ours'])} {t['unit']}", f"{number(t['theirs'])} {t['unit']}",
            f"{t['ours'] / t['theirs']:.3f} ± {t['standard_error']:.3f}",
            f"{t['seconds']:.0f} s", f"{t['their_seconds']:.0f} s, {t['draws']} draws",
            f"{t['train_rows']:,} / {t['test_rows']:,}",
        ]
        for name, t in results.load("tables")["tables"].items()
    ]  # fmt: skip
    head = ["table", "test RMSE", "theirs", "ratio, standard error", "processor time", "theirs",
            "rows for training / test"]  # fmt: skip
    return table(head, rows)


def prediction() -> str:
    """Processor microseconds a row of each part of a batch."""
    found = results.load("prediction")
    rows = [[name, f"{value:.1f}"] for name, value in found["parts"].items()]
    intro = f"A mean of models with {found['trees']:,} trees in all.\n\n"
    return intro + table(["part of a batch", "processor microseconds a row"], rows)


def sides() -> str:
    """What each side of the comparison chose."""
    rows = [
        [name, f"{s['wall']:.0f} s", f"{s['cv']:,.0f}", f"{s['test']:,.0f}", _chose(s["facts"])]
        for name, s in results.load("quality-curves")["sides"].items()
    ]
    return table(["side", "time", "cross-validated RMSE", "test RMSE", "chose"], rows)


def _chose(facts: dict[str, Any]) -> str:
    if "members" in facts:
        fits = f"{facts['draws']} draws, {facts['fits']} of {facts['of_fits']} fits"
        return f"{fits}, a mean of {len(facts['members'])}"
    if "estimator" in facts:
        return f"{facts['estimator']} (FLAML {facts['version']})"
    return f"{facts['draws']} draws"


STYLES = ("-", "--", ":")
"""Of lines, once all colours have been used."""


def curves() -> RenderedFigure:
    """Best cross-validated error so far by time, a line a side; a point where it had refitted."""
    sides = results.load("quality-curves")["sides"]
    with canvas(3.6, 7.2) as (figure, axes):
        for place, (name, side) in enumerate(sides.items()):
            turn, which = divmod(place, len(LOOK.families))
            color = LOOK.families[which]
            seconds = [max(t, 0.1) for t, _ in side["curve"]]
            errors = [e / 1000 for _, e in side["curve"]]
            axes.step(seconds, errors, STYLES[turn], where="post", color=color, lw=1.6, label=name)
            axes.plot(seconds[-1:], errors[-1:], "o", color=color, ms=5)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _position: f"{value:g}")
        # What a search had before its first good point is of no interest.
        ends = [side["curve"][-1][1] / 1000 for side in sides.values()]
        axes.set_ylim(min(ends) - 1, max(ends) + 4)
        axes.set_xlim(left=1)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        axes.set_xlabel("seconds since the search began")
        axes.set_ylabel("best cross-validated RMSE,\nthousand US dollars")
        return finished(figure, "curves", "Error against time, a line a side of the comparison.")


def pictures() -> Iterator[tuple[str, RenderedFigure]]:
    """File name and picture."""
    yield "curves.svg", curves()


def own_facts() -> dict[str, str]:
    """The figures of docs/your-own-table.md."""
    return {"own_tables": own_tables()}


def facts() -> dict[str, str]:
    """The figures of docs/performance.md."""
    made = (goals, machines, parts, sides, families, groups, prediction)
    return {function.__name__: function() for function in made}
