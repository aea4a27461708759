"""Which candidates continue: decided after each fold, from the scores alone.

The rule: a candidate is stopped when its total over the folds so far exceeds that of the best on
the same folds by more than the margin. The guarantee: let a pair's ratio on a fold be one's error
over the other's. If no pair's ratio differs between two folds by more than the margin, the
candidate with the lowest mean over all folds is never stopped; if ratios differ by at most margin +
x, the best that is left is at most the share x above it.

Why: a stopped candidate's ratio to the best is above 1 + margin on at least one of the folds so
far, hence above 1 (above 1 - x) on every fold, and so is its total. The order of work does not
matter, so the result is the same with any number of workers.
"""

from collections.abc import Mapping


def prune(totals: Mapping[int, float], margin: float) -> tuple[int, ...]:
    """Candidates that continue, ascending; `totals` are their errors summed over equal folds."""
    limit = min(totals.values()) * (1 + margin)
    return tuple(candidate for candidate in sorted(totals) if totals[candidate] <= limit)
