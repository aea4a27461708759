"""The tables of docs/reliability.md and of README.md, from the kept figures."""

from collections import Counter
from typing import Any

from benchmarks.markdown import table
from benchmarks.results import load
from housing.formatting import percent

DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
OPERATIONS = ("night", "rollback", "backup", "prune")

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


def _faults() -> list[dict[str, Any]]:
    return [
        {**line, "database": label}
        for name, label in DATABASES.items()
        for line in load(f"faults-{name}")["lines"]
    ]


def _losses() -> list[dict[str, Any]]:
    return [load(f"power-{name}") for name in OPERATIONS]


def _kills() -> list[dict[str, Any]]:
    return [{**load(f"kills-{name}"), "database": label} for name, label in DATABASES.items()]


def _sum(lines: list[dict[str, Any]], key: str) -> int:
    return sum(line[key] for line in lines)


def faults() -> str:
    """Faults by kind, and how the operation that was hit has ended."""
    rows = []
    lines = _faults()
    for database, fault in dict.fromkeys((line["database"], line["fault"]) for line in lines):
        these = [line for line in lines if (line["database"], line["fault"]) == (database, fault)]
        ends = sum((Counter(line["ends"]) for line in these), Counter[str]())
        reported = ends["expected"] + ends["unexpected"]
        counts = [_sum(these, "faults"), ends["done"], reported, ends["killed"]]
        rows.append([database, fault, *map(str, counts), str(_sum(these, "illegal"))])
    head = ["database", "fault", "faults", "completed", "reported", "killed", "illegal states"]
    return table(head, rows)


def power() -> str:
    """Losses of power by operation."""
    names = ("operation", "events", "losses", "illegal")
    rows = [[str(found[name]) for name in names] for found in _losses()]
    return table(["operation", "file operations", "power losses", "illegal states"], rows)


def kills() -> str:
    """Random kills by database."""
    names = ("database", "kills", "in_mid_night", "differences")
    rows = [[str(found[name]) for name in names] for found in _kills()]
    return table(["database", "kills", "of them during the run", "differences afterwards"], rows)


def deaths() -> str:
    """Deaths of the parts of a running system."""
    rows = [
        [row["killed"], row["night"], f"{row['seconds']:.0f} s"]
        for name in ("kill-recovery", "kill-recovery-postgresql")
        for row in load(name)["rows"]
    ]
    return table(["killed", "the run ends as", "time until the next run ended"], rows)


def rollback() -> str:
    """Times of rollbacks and of the restore drill."""
    kept = load("rollback")
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


def others() -> str:
    """Damage, and writers against one another."""
    damage = load("damage")
    lost = "; lost races, each reported: " + ", ".join(
        f"{load(f'writers-{name}')['lost_races']} on {label}" for name, label in DATABASES.items()
    )
    rows = [
        [
            "A file cut or zeroed at any 4 KiB, or with one bit flipped, is found before use, by "
            "the reader and by `housing doctor`",
            "`pytest -m slow tests/integration/test_damage.py`",
            f"{damage['files']:,} damaged files, {damage['found']:,} found",
        ],
        [
            "Writers do not lose one another's decisions",
            "`pytest -m slow tests/integration/test_many_writers.py`",
            "8 processes x 200 decisions (promotions, rollbacks, prunes): one linear promotion "
            f"log, nothing lost, no locked database{lost}",
        ],
    ]
    return table(["promise", "command", "measured"], rows).replace("---:", "---")


def cancel() -> str:
    """Cancellations after the Prefect server was killed."""
    kept = load("cancel")
    slowest, ended = max(kept["seconds"]), kept["ended"].get("cancelled", 0)
    machine = kept["machine"]
    return (
        f"{kept['times']} times, on {machine['cores']} cores with a load of "
        f"{machine['load'][2]:.0f}: {ended} runs ended as cancelled, the slowest after "
        f"{slowest:.0f} s, and {kept['promotions']} promoted."
    )


def soak() -> str:
    """An hour of runs every minute."""
    kept = load("soak")
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
    """The whole page in a sentence."""
    lines, losses, killed = _faults(), _losses(), _kills()
    return (
        f"In all: {_sum(lines, 'faults'):,} faults, {_sum(lines, 'illegal')} illegal states; "
        f"{_sum(losses, 'losses'):,} power losses, {_sum(losses, 'illegal')} illegal states; "
        f"{_sum(killed, 'kills'):,} random kills, {_sum(killed, 'differences')} differences."
    )


def facts() -> dict[str, str]:
    """The figures of docs/reliability.md."""
    made = (summary, faults, power, kills, deaths, rollback, others, cancel, soak)
    return {function.__name__: function() for function in made}


def guarantees() -> str:
    """Each guarantee with its measured figure and the command that measures it."""
    lines, losses, killed = _faults(), _losses(), _kills()
    damage, rolled = load("damage"), load("rollback")
    gate = load("gate-nights")["bag_3"]["changes"]

    def rate(change: str) -> str:
        return percent(gate[change]["no_regression"]["promote"]["rate"])

    rows = [
        [
            "A killed run resumes; its finished steps are not repeated",
            f"{_sum(killed, 'kills')} random `kill -9`: {_sum(killed, 'differences')} "
            "differences from an undisturbed run",
            "`pytest -m slow tests/integration/test_kill.py`",
        ],
        [
            "No power failure leaves an inconsistent store",
            f"{_sum(losses, 'losses'):,} simulated power losses: {_sum(losses, 'illegal')} "
            "inconsistent states",
            "`pytest -m slow tests/faults`",
        ],
        [
            "Disk, database and network errors never lose or corrupt data",
            f"{_sum(lines, 'faults'):,} injected faults: {_sum(lines, 'illegal')} inconsistent "
            "states",
            "`python -m tests.faults`",
        ],
        [
            "Damaged files are found before they are used",
            f"{damage['found']:,} of {damage['files']:,} damaged files found",
            "`pytest -m slow tests/integration/test_damage.py`",
        ],
        [
            "A worse model is not promoted",
            f"a true regression of 1 % is promoted in {rate('0.01')} of runs, of 2 % in "
            f"{rate('0.02')}; a true gain of 1.5 % in {rate('-0.015')}",
            "`python -m benchmarks gate-nights`",
        ],
        [
            "Test rows never leak into training",
            "verified before each comparison, near-duplicates included",
            "`pytest tests/housing/training/test_split.py`",
        ],
        [
            "Rollback is one command",
            f"median {rolled['whole']['p50']:.0f} ms in a running process, "
            f"{rolled['command']['p50'] / 1000:.1f} s as a command",
            "`python -m benchmarks reliability`",
        ],
    ]
    made = table(["guarantee", "measured", "measure it yourself"], rows)
    return made.replace("---:", "---")


def readme_facts() -> dict[str, str]:
    """The figures of README.md."""
    return {"guarantees": guarantees()}
