"""`python -m benchmarks NAME [ARGUMENTS]`: one measurement, or the list of them."""

import sys
from importlib import import_module

BENCHMARKS = {
    "bench": ("benchmarks.bench", "every row of the goals in a quick form, as one table"),
    "intake": ("benchmarks.intake", "CSV into the store with every check, and the split"),
    "night": ("benchmarks.night", "a night of 2 million rows: seconds and memory by part"),
    "describe": ("benchmarks.describe", "the page of a version of 2 million rows"),
    "families": ("benchmarks.families", "what each family and group of features is worth"),
    "every-family": ("benchmarks.every_family", "a run that tries every family: seconds"),
    "tables": ("benchmarks.tables", "two more tables beside tuned gradient boosting"),
    "search": ("benchmarks.search", "the search beside RandomizedSearchCV, and what a race saves"),
    "split": ("benchmarks.split", "adding 1,000 rows to a small and to a large dataset"),
    "orchestration": ("benchmarks.orchestration", "what the orchestrator costs a night"),
    "quality": ("benchmarks.quality", "time and error beside the reference recipe"),
    "prediction": ("benchmarks.prediction", "one row and batches, fast and through the frame"),
    "onnx": ("benchmarks.onnx_parity", "models as ONNX graphs: the same predictions"),
    "gate-pool": ("benchmarks.gate.pool", "models for nights on which nothing changed"),
    "gate-nights": ("benchmarks.gate.nights", "nothing changed, or a planted change: what passes"),
    "gate-simulated": ("benchmarks.gate.simulated", "the same where the true error is known"),
    "gate-coverage": ("benchmarks.gate.coverage", "the interval where neighbours err alike"),
    "gate-metrics": ("benchmarks.gate.metrics", "coverage and power by each deciding metric"),
    "gate-reuse": ("benchmarks.gate.reuse", "later comparisons on the same test rows"),
    "gate-paper": ("benchmarks.gate.paper", "the rule expected_gain on paper, and its assumptions"),
    "gate-champion-error": ("benchmarks.gate.champion_error", "the champion's error, corrected"),
    "gate-year": ("benchmarks.gate.year", "a year of nights under each policy"),
    "gate-speed": ("benchmarks.gate.speed", "a verdict at 4 thousand and at a million rows"),
    "serving-load": ("benchmarks.serving.load", "requests a second, beside a plain server"),
    "serving-soak": ("benchmarks.serving.soak", "ten minutes of load while champions change"),
    "coverage": ("benchmarks.serving.coverage", "unseen prices inside the prediction interval"),
    "alarms": ("benchmarks.serving.alarms", "false alarms of live error, delay of a true one"),
    "probation": ("benchmarks.serving.probation", "wrong and right automatic rollbacks in a week"),
    "matching": ("benchmarks.serving.matching", "what matching late prices with answers reads"),
    "drift": ("benchmarks.serving.drift", "how soon detectors speak, and how often for nothing"),
    "kill-recovery": ("benchmarks.kill_recovery", "kill -9 of each process in the middle of a run"),
    "soak": (
        "benchmarks.soak",
        "an hour of runs every minute: outcomes, growth of databases, memory",
    ),
    "reference": ("benchmarks.reference.recipe", "the reference recipe: time and error"),
    "age": ("benchmarks.age", "each step, command and page after 10, 100 and 1,100 nights"),
    "reliability": ("benchmarks.rollback", "rollback and the restore drill"),
    "mutation": ("benchmarks.mutation", "changes of a module that no test notices: make mutate"),
    "screenshots": ("benchmarks.screenshots", "the pictures of pages in README and docs"),
    "pages": ("benchmarks.pages", "the figures of docs, from benchmarks/figures"),
}


def main() -> int:
    """Run the named benchmark with the arguments that follow."""
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHMARKS:
        print("Usage: python -m benchmarks NAME [ARGUMENTS]\n")
        for name, (_, what) in BENCHMARKS.items():
            print(f"  {name:<17} {what}")
        return 0 if len(sys.argv) < 2 else 2
    module, _ = BENCHMARKS[sys.argv[1]]
    sys.argv = sys.argv[1:]
    return import_module(module).main() or 0


if __name__ == "__main__":
    sys.exit(main())
