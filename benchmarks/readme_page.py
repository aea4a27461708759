"""The table of guarantees in README.md, from the kept figures."""

from typing import Any

from benchmarks.markdown import Facts, table
from benchmarks.results import load
from housing.formatting import percent

DATABASES = ("sqlite", "postgresql")


def _total(names: list[str], key: str) -> int:
    return sum(figures[key] for name in names if (figures := load(name)))


def _faults() -> list[dict[str, Any]]:
    return [line for name in DATABASES for line in load(f"faults-{name}")["lines"]]


def guarantees_table() -> str:
    """Each guarantee with its measured figure and the command that measures it."""
    kills = [f"kills-{name}" for name in DATABASES]
    power = [f"power-{name}" for name in ("night", "rollback", "backup", "prune")]
    faults, damage, rollback = _faults(), load("damage"), load("rollback")
    gate = load("gate-nights")["bag_3"]["changes"]

    def rate(change: str) -> str:
        return percent(gate[change]["no_regression"]["promote"]["rate"])

    rows = [
        [
            "A killed run resumes; its finished steps are not repeated",
            f"{_total(kills, 'kills')} random `kill -9`: {_total(kills, 'differences')} "
            "differences from an undisturbed run",
            "`pytest -m slow tests/integration/test_kill.py`",
        ],
        [
            "No power failure leaves an inconsistent store",
            f"{_total(power, 'losses'):,} simulated power losses: {_total(power, 'illegal')} "
            "inconsistent states",
            "`pytest -m slow tests/faults`",
        ],
        [
            "Disk, database and network errors never lose or corrupt data",
            f"{sum(line['faults'] for line in faults):,} injected faults: "
            f"{sum(line['illegal'] for line in faults)} inconsistent states",
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
            f"median {rollback['whole']['p50']:.0f} ms in a running process, "
            f"{rollback['command']['p50'] / 1000:.1f} s as a command",
            "`python -m benchmarks reliability`",
        ],
    ]
    made = table(["guarantee", "measured", "measure it yourself"], rows)
    return made.replace("---:", "---")


TABLES: Facts = {"guarantees": guarantees_table}
