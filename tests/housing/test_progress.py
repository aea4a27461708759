"""Progress reaches whoever listens, and nobody else."""

from housing import progress


def test_reports_reach_all_listeners_of_the_block_and_none_after_it() -> None:
    outer: list[str] = []
    inner: list[str] = []
    progress.report("tune", 0, 3)
    with progress.heard_by(
        lambda step, done, total, message: outer.append(f"{step} {done}/{total}")
    ):
        progress.report("tune", 1, 3)
        with progress.heard_by(lambda step, done, total, message: inner.append(message)):
            progress.report("tune", 2, 3, "better")
        progress.report("tune", 3, 3)
    progress.report("tune", 4, 3)
    assert outer == ["tune 1/3", "tune 2/3", "tune 3/3"]
    assert inner == ["better"]
