"""`python -m tests.faults`: the whole campaign by hand, with its figures as JSON at the end."""

import argparse
import json
import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.results import save
from tests.faults.campaign import Campaign, Trial
from tests.faults.operations import OPERATIONS
from tests.faults.servers import CAMPAIGNS
from tests.faults.shim import FILE_FAULTS, NETWORK_FAULTS, SERVER_FAULTS, Fault, build

FAULTS = {"sqlite": FILE_FAULTS, "postgresql": (*NETWORK_FAULTS, *SERVER_FAULTS)}


def places(campaign: Campaign, database: str, every: int) -> list[tuple[str, Fault, int]]:
    """Each `every`-th operation, with each fault; other operations for each fault."""
    found = []
    for operation in OPERATIONS:
        for fault in FAULTS[database]:
            total = campaign.operations_of(operation, fault)
            first = len(found) % every + 1
            found += [(operation, fault, at) for at in range(first, total + 1, every)]
            print(f"{database} {operation} {fault.name}: {total} operations", flush=True)
    return found


def sweep(campaign: Campaign, database: str, chosen: argparse.Namespace) -> None:
    """Try them in random order, so that a run which is cut short has seen something of all."""
    todo = places(campaign, database, chosen.every)
    random.Random(chosen.seed).shuffle(todo)
    for number, (operation, fault, at) in enumerate(todo[: chosen.number], start=1):
        trial = campaign.attempt(operation, fault, at)
        for problem in trial.problems:
            print(f"{database} {operation} {fault.name} {at}: {problem}", flush=True)
        if number % 25 == 0:
            bad = sum(bool(t.problems) for t in campaign.trials)
            fired = sum(bool(t.fired) for t in campaign.trials)
            print(f"{database}: {fired} faults, {bad} illegal states so far", flush=True)


def figures(database: str, trials: list[Trial]) -> list[dict[str, Any]]:
    """One line an operation and fault: how many, how the program ended, illegal states."""
    kinds = dict.fromkeys((t.operation, t.fault) for t in trials)
    lines = []
    for operation, fault in kinds:
        these = [t for t in trials if (t.operation, t.fault) == (operation, fault) and t.fired]
        ends = Counter(t.end for t in these)
        illegal = sum(bool(t.problems) for t in these)
        lines.append(
            {
                "database": database,
                "operation": operation,
                "fault": fault,
                "faults": len(these),
                "ends": dict(ends),
                "illegal": illegal,
            }
        )
    return lines


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="try each N-th operation")
    parser.add_argument("--number", type=int, help="so many of them at most, on each database")
    parser.add_argument("--seed", type=int, default=0, help="of the order that they are tried in")
    parser.add_argument("--database", choices=CAMPAIGNS, help="only this one")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--keep", action="store_true", help="as figures of docs/reliability.md")
    chosen = parser.parse_args()
    found: list[dict[str, Any]] = []
    for name in [chosen.database] if chosen.database else CAMPAIGNS:
        with TemporaryDirectory(prefix="housing-faults-") as folder:
            Path(folder).chmod(0o755)  # the database server has a user of its own
            library = build(Path(folder))
            if library is None:
                raise SystemExit("There is no C compiler (cc) to build the fault library with.")
            with CAMPAIGNS[name](Path(folder), library) as campaign:
                sweep(campaign, name, chosen)
                lines = figures(name, campaign.trials)
                found += lines
                if chosen.keep:
                    save(f"faults-{name}", {"lines": lines})
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    faults, illegal = (sum(line[key] for line in found) for key in ("faults", "illegal"))
    print(f"{faults} faults, {illegal} illegal states")
    raise SystemExit(bool(illegal))


if __name__ == "__main__":
    main()
