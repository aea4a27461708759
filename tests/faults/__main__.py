"""`python -m tests.faults`: the whole campaign by hand, with its figures as JSON at the end."""

import argparse
import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.faults.campaign import Campaign, Trial
from tests.faults.operations import OPERATIONS
from tests.faults.servers import CAMPAIGNS
from tests.faults.shim import FILE_FAULTS, NETWORK_FAULTS, SERVER_FAULTS, build

FAULTS = {"sqlite": FILE_FAULTS, "postgresql": (*NETWORK_FAULTS, *SERVER_FAULTS)}


def sweep(campaign: Campaign, database: str, every: int) -> None:
    """Each `every`-th operation, failed in each way."""
    for operation in OPERATIONS:
        for fault in FAULTS[database]:
            total = campaign.operations_of(operation, fault)
            first = len(campaign.trials) % every + 1  # not the same operations for each fault
            for at in range(first, total + 1, every):
                trial = campaign.attempt(operation, fault, at)
                for problem in trial.problems:
                    print(f"{database} {operation} {fault.name} {at}: {problem}", flush=True)
            print(f"{database} {operation} {fault.name}: {total} operations", flush=True)


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
    parser.add_argument("--every", type=int, default=3, help="try each N-th operation")
    parser.add_argument("--database", choices=CAMPAIGNS, help="only this one")
    parser.add_argument("--json", type=Path, help="where the figures go")
    chosen = parser.parse_args()
    found: list[dict[str, Any]] = []
    for name in [chosen.database] if chosen.database else CAMPAIGNS:
        with TemporaryDirectory(prefix="housing-faults-") as folder:
            Path(folder).chmod(0o755)  # the database server has a user of its own
            library = build(Path(folder))
            if library is None:
                raise SystemExit("There is no C compiler (cc) to build the fault library with.")
            with CAMPAIGNS[name](Path(folder), library) as campaign:
                sweep(campaign, name, chosen.every)
                found += figures(name, campaign.trials)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    faults, illegal = (sum(line[key] for line in found) for key in ("faults", "illegal"))
    print(f"{faults} faults, {illegal} illegal states")
    raise SystemExit(bool(illegal))


if __name__ == "__main__":
    main()
