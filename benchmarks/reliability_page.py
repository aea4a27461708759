"""The tables of docs/reliability.md, from the kept figures."""

from collections import Counter
from typing import Any

from benchmarks.markdown import Facts, table
from benchmarks.results import load

DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
OPERATIONS = ("night", "rollback", "backup", "prune")
NONE = "no full measurement is kept; the tests run a short form"

SOAKED = (
    ("store", "metadata store", "MB"),
    ("prefect", "Prefect's database", "MB"),
    ("server", "Prefect server", "MiB of memory"),
    ("worker", "worker", "MiB of memory"),
    ("watchdog", "watchdog", "MiB of memory"),
    ("prediction api", "prediction API", "MiB of memory"),
)
"""What a soak measures: its key, label and unit."""

ROLLBACK = {
    "whole": "`roll_back` in a warm process",
    "rehearsal": "of which loading the model and comparing golden predictions",
    "load": "of which loading the model",
    "switch": "of which the transaction",
    "command": "`housing rollback` as a command, in a new process",
}


def _faults() -> dict[str, list[dict[str, Any]]]:
    found = {name: load(f"faults-{name}") for name in DATABASES}
    return {name: kept["lines"] for name, kept in found.items() if kept is not None}


def faults_table() -> str:
    """Faults by kind, and how the operation that was hit has ended."""
    rows = []
    for database, lines in _faults().items():
        for fault in dict.fromkeys(line["fault"] for line in lines):
            these = [line for line in lines if line["fault"] == fault]
            ends = sum((Counter(line["ends"]) for line in these), Counter[str]())
            reported = ends["expected"] + ends["unexpected"]
            counts = [_sum(these, "faults"), ends["done"], reported, ends["killed"]]
            rows.append(
                [DATABASES[database], fault, *map(str, counts), str(_sum(these, "illegal"))]
            )
    head = ["database", "fault", "faults", "completed", "reported", "killed", "illegal states"]
    return table(head, rows) if rows else NONE


def _sum(lines: list[dict[str, Any]], key: str) -> int:
    return sum(line[key] for line in lines)


def power_table() -> str:
    """Losses of power by operation."""
    found = [kept for name in OPERATIONS if (kept := load(f"power-{name}")) is not None]
    rows = [[k["operation"], str(k["events"]), str(k["losses"]), str(k["illegal"])] for k in found]
    return (
        table(["operation", "file operations", "power losses", "illegal states"], rows)
        if rows
        else NONE
    )


def kills_table() -> str:
    """Random kills by database."""
    rows = [
        [DATABASES[name], str(k["kills"]), str(k["in_mid_night"]), str(k["differences"])]
        for name in DATABASES
        if (k := load(f"kills-{name}")) is not None
    ]
    head = ["database", "kills", "of them during the run", "differences afterwards"]
    return table(head, rows) if rows else NONE


def deaths_table() -> str:
    """Deaths of the parts of a running system."""
    kept = [
        found for name in ("kill-recovery", "kill-recovery-postgresql") if (found := load(name))
    ]
    rows = [
        [row["killed"], row["night"], f"{row['seconds']:.0f} s"]
        for found in kept
        for row in found["rows"]
    ]
    head = ["killed", "the run ends as", "time until the next run ended"]
    return table(head, rows) if rows else NONE


def rollback_text() -> str:
    """Times of rollbacks and of the restore drill."""
    kept = load("rollback")
    if kept is None:
        return f"`python -m benchmarks reliability`: {NONE}."
    rows = [
        [label, f"{kept[name]['p50']:,.0f} ms", f"{kept[name]['p99']:,.0f} ms"]
        for name, label in ROLLBACK.items()
    ]
    machine = kept["machine"]
    drill, goal = kept["drill"], "met" if kept["met"] else "missed"
    return "\n\n".join(
        [
            f"`python -m benchmarks reliability`: champions of the reference table "
            f"({kept['family']}, an ensemble of {kept['members']}), "
            f"{kept['whole']['number']} rollbacks on "
            f"{machine['cores']} cores with a load of {machine['load'][0]:.1f}. The goal, a "
            f"median of {kept['goal_ms']:.0f} ms for `roll_back` in a warm process, is {goal}.",
            table(["", "p50", "p99"], rows),
            f"The restore drill ({drill['megabytes']:.1f} MB, {drill['objects']} objects, "
            f"{drill['rows']:,} rows of SQL): create {drill['create_seconds']:.1f} s, create "
            f"again without new data {drill['create_again_seconds']:.1f} s, verify "
            f"{drill['verify_seconds']:.1f} s, restore into an empty home "
            f"{drill['restore_seconds']:.1f} s.",
        ]
    )


def others_table() -> str:
    """Damage, and writers against one another."""
    damage, writers = load("damage"), {name: load(f"writers-{name}") for name in DATABASES}
    found, lost = NONE, NONE
    if damage is not None:
        found = f"{damage['files']:,} damaged files, {damage['found']:,} found"
    kept = {name: one for name, one in writers.items() if one is not None}
    if kept:
        lost = "8 processes x 200 decisions (promotions, rollbacks, prunes): one linear promotion "
        lost += "log, nothing lost, no locked database; lost races, each reported: "
        lost += ", ".join(f"{one['lost_races']} on {DATABASES[n]}" for n, one in kept.items())
    rows = [
        [
            "A file cut or zeroed at any 4 KiB, or with one bit flipped, is found before use, by "
            "the reader and by `housing doctor`",
            "`pytest -m slow tests/integration/test_damage.py`",
            found,
        ],
        [
            "Writers do not lose one another's decisions",
            "`pytest -m slow tests/integration/test_many_writers.py`",
            lost,
        ],
    ]
    return table(["promise", "command", "measured"], rows).replace("---:", "---")


def cancel_text() -> str:
    """Cancellations after the Prefect server was killed."""
    kept = load("cancel")
    if kept is None:
        return f"{NONE.capitalize()}."
    slowest, ended = max(kept["seconds"]), kept["ended"].get("cancelled", 0)
    machine = kept["machine"]
    return (
        f"{kept['times']} times, on {machine['cores']} cores with a load of "
        f"{machine['load'][2]:.0f}: {ended} runs ended as cancelled, the slowest after "
        f"{slowest:.0f} s, and {kept['promotions']} promoted."
    )


def soak_text() -> str:
    """An hour of runs every minute."""
    kept = load("soak")
    if kept is None:
        return f"{NONE.capitalize()}."
    machine, small = kept["machine"], kept["settings"]
    parts = ", ".join(f"{n} {name.lower()}" for name, n in kept["outcomes"].items())
    rows = [
        [label, unit, *(f"{kept[at][name]:.1f}" for at in ("first", "last")),
         f"{kept['growth_per_run'][name]:+.2f}"]
        for name, label, unit in SOAKED
    ]  # fmt: skip
    return "\n\n".join(
        [
            f"{kept['minutes']} minutes on {machine['cores']} cores with a load of "
            f"{machine['load'][2]:.0f}, {kept['rows_per_run']} new rows a minute; families "
            f"`{small['HOUSING_SEARCH__FAMILIES']}`, {small['HOUSING_SEARCH__N_TRIALS']} trials, "
            f"{small['HOUSING_SEARCH__FOLDS']} folds, one member, no preflight. Of {kept['due']} "
            f"due runs {kept['failed']} failed and {kept['stuck']} were stuck: {parts}. "
            f"A run that trained took {kept['seconds']['median']:.0f} s in the median and "
            f"{kept['seconds']['most']:.0f} s at most; those due meanwhile were skipped.",
            table(["", "unit", f"after {kept['first']['runs']} runs",
                   f"after {kept['last']['runs']} runs", "growth per run that trained"], rows),
        ]
    )  # fmt: skip


def summary() -> str:
    """The whole page in a sentence or two."""
    lines = [line for found in _faults().values() for line in found]
    losses = [kept for name in OPERATIONS if (kept := load(f"power-{name}")) is not None]
    kills = [kept for name in DATABASES if (kept := load(f"kills-{name}")) is not None]
    parts = []
    if lines:
        parts.append(f"{_sum(lines, 'faults'):,} faults, {_sum(lines, 'illegal')} illegal states")
    if losses:
        parts.append(
            f"{_sum(losses, 'losses'):,} power losses, {_sum(losses, 'illegal')} illegal states"
        )
    if kills:
        parts.append(
            f"{_sum(kills, 'kills'):,} random kills, {_sum(kills, 'differences')} differences"
        )
    return f"In all: {'; '.join(parts)}." if parts else ""


def faults_note() -> str:
    """What is to be known beside the faults."""
    kept = (load(f"faults-{name}") for name in DATABASES)
    return " ".join(found["note"] for found in kept if found is not None).strip()


TABLES: Facts = {
    "summary": summary, "faults": faults_table, "faults_note": faults_note, "power": power_table,
    "kills": kills_table, "deaths": deaths_table, "rollback": rollback_text, "others": others_table,
    "cancel": cancel_text, "soak": soak_text,
}  # fmt: skip
