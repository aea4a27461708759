"""The tables of docs/serving.md and docs/monitoring.md, from the kept figures."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks import results
from benchmarks.markdown import table
from housing.formatting import change as change_text
from housing.formatting import group_in_words, percent


def drift(figures: Mapping[str, Any]) -> str:
    """Nights until the first alarm, and alarms of a calm year."""
    words = (
        f"{figures['night_rows']} districts a night, nights from the change until the first alarm "
        f"(median of {figures['repeats']}; watched for {figures['nights']}), and alarms in a calm "
        f"year (mean of {figures['years']})."
    )
    head = ["detector", *figures["scenarios"], "alarms in a calm year (nights)"]
    rows = [
        [
            name,
            *("never" if delay is None else f"{delay:g}" for delay in row["delays"]),
            f"{row['alarms']:g} ({row['alarm_nights']:g})",
        ]
        for name, row in figures["detectors"].items()
    ]
    return f"{words}\n\n{table(head, rows)}"


def load(figures: Mapping[str, Any]) -> str:
    """Requests a second and latency of both servers, with the goal."""
    rows = []
    for case in figures["cases"]:
        offered = "closed loop" if case["rate"] is None else f"{case['rate']:,.0f} requests/s"
        for name in ("housing", "plain"):
            m = case[name]
            rows.append(
                [
                    f"{case['rows']:,} on {case['connections']}, {offered}",
                    "`housing serve`" if name == "housing" else "plain",
                    f"{m['requests_per_second']:,.0f}",
                    f"{m['p50_ms']:,.1f}",
                    f"{m['p99_ms']:,.1f}",
                    f"{m['failed']:,}",
                    f"{m['server_us']:,.0f}",
                ]
            )
    machine, census = figures["machine"], figures["census"]
    words = (
        f"{figures['workers']} workers on {machine['cores']} cores, which the client shares; "
        f"{figures['seconds']:g} s a case; load average {machine['load'][0]:.1f} at the end"
        f"{'' if census else '; simulated districts'}. {_load_goal(figures)}"
    )
    head = [
        "rows per request, connections, load", "server", "requests/s", "p50, ms", "p99, ms",
        "failed requests", "server CPU time per request, µs",
    ]  # fmt: skip
    return f"{words}\n\n{table(head, rows)}"


def _load_goal(figures: Mapping[str, Any]) -> str:
    """The goal, for each way of asking that reaches its rate: in a closed loop, and offered."""
    rate, limit = figures["goal_rate"], figures["goal_p99_ms"]
    outcomes = []
    for case in (c for c in figures["cases"] if c["rows"] == 1):
        found = case["housing"]
        if found["requests_per_second"] < 0.99 * rate:
            continue
        met = found["p99_ms"] <= limit and not found["failed"]
        way = "closed loop" if case["rate"] is None else f"{case['rate']:,.0f} offered"
        outcomes.append(
            f"{'met' if met else 'MISSED'} on {case['connections']} connections, {way} "
            f"({found['requests_per_second']:,.0f}/s, p99 {found['p99_ms']:.1f} ms)"
        )
    return f"Goal: {rate:,} requests/s at p99 {limit:g} ms: {'; '.join(outcomes) or 'MISSED'}."


def soak(figures: Mapping[str, Any]) -> str:
    """What must be none, and the memory."""
    rows = [
        ["requests", f"{figures['requests']:,}"],
        ["changes of the champion", f"{figures['changes']:,}"],
        ["failed requests", f"{figures['failed']:,}"],
        ["predictions of a model that was not champion at the time", f"{figures['wrong']:,}"],
        [
            "latest prediction of a former champion, after its successor's entry",
            f"{figures['longest_behind']:.2f} s",
        ],
        [
            "pairs of model and prediction for one request, models",
            f"{figures['prices']}, {figures['versions']}",
        ],
        [
            "workers' memory, second and last quarter",
            "{:.0f}, {:.0f} MiB".format(*figures["memory_mib"]),
        ],
        [
            "its slope over the second half, with its 95 % limits",
            "{:+.2f} [{:+.2f}; {:+.2f}] MiB a minute".format(*figures["slope_mib_a_minute"]),
        ],
    ]  # fmt: skip
    words = (
        f"{figures['seconds'] / 60:.1f} minutes of load on {figures['connections']} connections, "
        f"two workers, promotions and rollbacks every {figures['every']:g} s; a model counts as "
        f"champion until {figures['follow']:g} s after its successor's entry in the promotion log."
    )
    return f"{words}\n\n{table(['', 'found'], rows)}"


def coverage(figures: Mapping[str, Any]) -> str:
    """Shares inside the interval, with the limits that chance sets for a slice of that size."""
    low, high = figures["goal"]
    rows = []
    for row in figures["slices"]:
        within = low <= row["value"] <= high
        possible = row["lower"] <= high and row["upper"] >= low
        rows.append(
            [
                group_in_words(row["name"]),
                f"{row['rows']:,}",
                f"{percent(row['value'])} [{percent(row['lower'])}; {percent(row['upper'])}]",
                percent(row["error"]),
                "within"
                if within
                else "outside, by no more than chance"
                if possible
                else "OUTSIDE",
            ]
        )
    nominal, least, most = (percent(share, 0) for share in (figures["nominal"], low, high))
    words = f"{nominal} nominal, {least} to {most} wanted; {figures['models']}."
    head = ["test districts", "rows", "inside [95 % limits]", "standard error", "88-92 %"]
    return f"{words}\n\n{table(head, rows)}"


def alarms(figures: Mapping[str, Any]) -> str:
    """Calm champions with an alarm, and days until an alarm where the error is larger."""
    champions, goal = figures["champions"], figures["goal"]
    rows = [
        [
            f"{c['labels']:,}, {c['cadence']}",
            f"{percent(c['alarms'] / champions)} [{'; '.join(map(percent, c['limits']))}]",
            _goal(c["alarms"] / champions, c["limits"], goal),
            _delay(c["worse"]),
            _delay(c["later"]),
        ]
        for c in figures["cases"]
    ]
    words = (
        f"{champions:,} simulated champions a row, watched for {figures['days']} days; a test set "
        f"of {figures['test_rows']:,} rows on which the champion was the best of "
        f"{figures['candidates']} equal candidates. Median days until the alarm (share of "
        f"champions with one within the {figures['days']} days); a change on day "
        f"{figures['later']} leaves {figures['days'] - figures['later']}."
    )
    worse = f"error +{percent(figures['worse'], 0)}"
    head = [
        "labels a window", "calm champions with a false alarm in a month [95 % limits]",
        f"goal {percent(goal, 0)}", f"{worse} from the first label on", f"{worse} from day "
        f"{figures['later']} on",
    ]  # fmt: skip
    return f"{words}\n\n{table(head, rows)}"


def _goal(share: float, limits: list[float], goal: float) -> str:
    """Met only where the whole interval is within the goal."""
    return "met" if limits[1] <= goal else "not shown" if share <= goal else "MISSED"


def _delay(found: Mapping[str, Any]) -> str:
    days = "not within the month" if found["days"] is None else f"{found['days']:.2g} days"
    return f"{days} ({percent(found['share'], 0)})"


def probation(figures: Mapping[str, Any]) -> str:
    """Probations that ended in a rollback, and the rows that it took."""
    labels = sorted({c["labels"] for c in figures["cases"]})
    changes = list(dict.fromkeys(c["change"] for c in figures["cases"]))
    found = {(c["change"], c["labels"]): c for c in figures["cases"]}
    rows = [[_than_before(change), *(_taken(found[change, n]) for n in labels)]
            for change in changes]  # fmt: skip
    words = (
        f"Share of simulated weeks with a rollback [95 % limits], and the median of rows until "
        f"it; {figures['looks']} checks a week, each with a live error as an alarm. Log errors "
        f"have the tails of Student's t with three degrees of freedom; "
        f"{percent(figures['by_cell'], 0)} of their variance is common to a cell; "
        f"{figures['cells']:,} cells, and a few contain most rows. "
        f"{figures['weeks']:,} weeks of equal models, a quarter as many of others."
    )
    head = ["error of the champion", *(f"{n:,} labels an hour" for n in labels)]
    return f"{words}\n\n{table(head, rows)}"


def _than_before(change: float) -> str:
    return change_text(change, 0) if change else "equal to that of the previous model"


def _taken(case: Mapping[str, Any]) -> str:
    lower, upper = case["limits"]
    rows = "" if case["rows"] is None else f", {case['rows']:,.0f} rows"
    return f"{percent(case['taken'] / case['weeks'])} [{percent(lower)}; {percent(upper)}]{rows}"


def matching(figures: Mapping[str, Any]) -> str:
    """What one run of the monitor reads, measured and extrapolated."""
    rows = [
        [
            f"{case['answers']:,}{' (extrapolated)' if case['extrapolated'] else ''}",
            f"{case['files']:,}",
            f"{case['read_mb']:,.1f}",
            f"{case['seconds']:,.2f}",
            "" if case["peak_mb"] is None else f"{case['peak_mb']:,.1f}",
        ]
        for case in figures["cases"]
    ]
    words = (
        f"{figures['labels']:,} late prices matched with logged predictions, in files of "
        f"{figures['rows_a_file']:,}; the last row is a day at {figures['rate']:,} predictions a "
        "second."
    )
    head = ["logged predictions", "files", "MB decoded", "seconds", "peak memory of the run, MB"]
    return f"{words}\n\n{table(head, rows)}"


MEASURED: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "load": ("serving-load", load), "soak": ("serving-soak", soak),
    "coverage": ("coverage", coverage), "drift": ("drift", drift), "alarms": ("alarms", alarms),
    "probation": ("probation", probation), "matching": ("matching", matching),
}  # fmt: skip
"""Table -> the benchmark that measures it, and how its figures read."""


def facts() -> dict[str, str]:
    """Each table with the command and the date."""
    found = {}
    for name, (benchmark, made) in MEASURED.items():
        figures = results.load(benchmark)
        found[name] = f"`python -m benchmarks {benchmark}`, {figures['at'][:10]}: {made(figures)}"
    return found
