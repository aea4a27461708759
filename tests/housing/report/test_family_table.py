"""The table of families has one row a family, by its best whole trial."""

from housing.records import Candidate, Trial
from housing.report.family_table import as_rows, by_family


def _trial(index: int, family: str, rmse: tuple[float, ...], **facts: object) -> Trial:
    return Trial(Candidate(index, family, {}), rmse, seconds=3.0, **facts)  # type: ignore[arg-type]


def test_each_family_is_shown_by_its_best_whole_trial_the_best_family_first() -> None:
    trials = [
        _trial(0, "tree", (10.0, 14.0), fold_train_errors=(0.0, 0.0)),
        _trial(1, "boosting", (8.0, 9.0), fold_train_errors=(4.0, 6.0)),
        _trial(2, "tree", (9.0,), stopped=True),
        _trial(3, "boosting", (8.5, 9.5)),
        _trial(4, "broken", (), error="ValueError: no"),
    ]
    boosting, tree, broken = by_family(trials)
    assert (boosting.family, boosting.errors, boosting.train_error) == ("boosting", (8.0, 9.0), 5.0)
    assert (tree.mean, tree.train_error, tree.candidates) == (12.0, 0.0, 2)
    assert (broken.errors, broken.train_error) == ((), None)
    rows = as_rows((boosting, tree, broken))
    assert [row["family"] for row in rows] == ["boosting", "tree", "broken"]
    assert rows[1]["on training rows"] == "0"
    assert "failed" in rows[2].values()
    assert len({tuple(row) for row in rows}) == 1
