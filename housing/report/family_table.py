"""The model families of a search side by side, and the columns that they compute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from types import MappingProxyType
from typing import Any

from housing.formatting import duration, error_label, error_text, percent, signed, two_digits
from housing.metric import RMSE
from housing.records import Trial

_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class FamilyFigures:
    """A family's best trial of a search; errors by the search's metric, over the folds."""

    family: str
    candidates: int
    errors: tuple[float, ...]  # of each fold; empty where no trial was scored on every fold
    train_error: float | None  # mean over the folds, on the rows of each fit
    fit_seconds: float  # mean over the folds of the best trial
    bytes: int | None = None  # of the stored model; None where it was not measured
    latency: float | None = None  # of one row, milliseconds

    @property
    def mean(self) -> float:
        """Mean error over the folds; infinity without one."""
        return fmean(self.errors) if self.errors else float("inf")


def by_family(
    trials: Sequence[Trial], comparison: Mapping[str, Any] = MappingProxyType({})
) -> tuple[FamilyFigures, ...]:
    """Figures of each family and, of a search that compared them, baseline; lowest error first."""
    costs = comparison.get("families", {})
    found = [_baseline(n, facts) for n, facts in comparison.get("baselines", {}).items()]
    for family in dict.fromkeys(trial.candidate.family for trial in trials):
        its = [trial for trial in trials if trial.candidate.family == family]
        best = min(its, key=lambda trial: (trial.cv_error, trial.so_far))
        whole = best.cv_error < float("inf")
        train = best.fold_train_errors
        found.append(
            FamilyFigures(
                family, len(its), best.fold_errors if whole else (),
                fmean(train) if whole and train else None,
                best.seconds / max(len(best.fold_errors), 1), **costs.get(family, {}),
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda figures: figures.mean))


def _baseline(name: str, facts: Mapping[str, Any]) -> FamilyFigures:
    """Of a baseline, as `search_figures.comparison` has it; one that failed has no errors."""
    train = facts.get("fold_train_errors")
    return FamilyFigures(
        f"baseline {name}", 1, tuple(facts.get("fold_errors", ())), fmean(train) if train else None,
        facts.get("fit_seconds", 0.0), facts.get("bytes"), facts.get("latency"),
    )  # fmt: skip


def _size(count: int) -> str:
    value, unit = (count / 1e6, "MB") if count >= 1e6 else (count / 1e3, "kB")
    return f"{two_digits(value)}{_SPACE}{unit}"


def as_rows(figures: Sequence[FamilyFigures], metric: str = RMSE) -> list[dict[str, str]]:
    """The table as texts, a row a family."""

    def text(error: float | None) -> str:
        return "" if error is None else error_text(error, metric)

    return [
        {
            "family": f.family,
            error_label("cross-validated", metric): text(f.mean) if f.errors else "failed",
            "sd over folds": text(pstdev(f.errors)) if f.errors else "",
            "lowest fold": text(min(f.errors, default=None)),
            "highest fold": text(max(f.errors, default=None)),
            "on training rows": text(f.train_error),
            "one fit": duration(f.fit_seconds),
            "size": "" if f.bytes is None else _size(f.bytes),
            "latency": "" if f.latency is None else f"{two_digits(f.latency)}{_SPACE}ms",
            "candidates": str(f.candidates),
        }
        for f in figures
    ]


def preprocessing_table(columns: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """A row a column that the families of a search compute, as `OutputColumn` has them."""
    return [
        {
            "column": c["name"],
            "unit": c["unit"],
            "missing": percent(c["missing"]),
            "rank correlation with the target": signed(c["correlation"]),
            "families": c["families"],
            "finding": c["finding"],
        }
        for c in columns
    ]
