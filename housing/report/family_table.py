"""The model families of a search side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from housing.formatting import duration, value_text, with_unit
from housing.records import Trial


@dataclass(frozen=True)
class FamilyFigures:
    """A family's best trial of a search; errors in the target's unit, over the folds."""

    family: str
    candidates: int
    rmse: tuple[float, ...]  # of each fold; empty where no trial was scored on every fold
    train_rmse: float | None  # mean over the folds, on the rows of each fit
    fit_seconds: float  # mean over the folds of the best trial

    @property
    def mean(self) -> float:
        """Mean error over the folds; infinity without one."""
        return fmean(self.rmse) if self.rmse else float("inf")


def by_family(trials: Sequence[Trial]) -> tuple[FamilyFigures, ...]:
    """Figures of each family, the lowest error first."""
    found = []
    for family in dict.fromkeys(trial.candidate.family for trial in trials):
        its = [trial for trial in trials if trial.candidate.family == family]
        best = min(its, key=lambda trial: (trial.rmse, trial.so_far))
        whole = best.rmse < float("inf")
        train = best.fold_train_rmse
        found.append(
            FamilyFigures(
                family, len(its), best.fold_rmse if whole else (),
                fmean(train) if whole and train else None,
                best.seconds / max(len(best.fold_rmse), 1),
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda figures: figures.mean))


def as_rows(figures: Sequence[FamilyFigures]) -> list[dict[str, str]]:
    """The table as texts, a row a family."""
    return [
        {
            "family": f.family,
            with_unit("cross-validated RMSE"): value_text(f.mean) if f.rmse else "failed",
            "sd over folds": value_text(pstdev(f.rmse)) if f.rmse else "",
            "lowest fold": value_text(min(f.rmse)) if f.rmse else "",
            "highest fold": value_text(max(f.rmse)) if f.rmse else "",
            "on training rows": "" if f.train_rmse is None else value_text(f.train_rmse),
            "one fit": duration(f.fit_seconds),
            "candidates": str(f.candidates),
        }
        for f in figures
    ]
