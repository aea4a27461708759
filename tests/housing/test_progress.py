"""Progress reaches whoever listens, and nobody else."""

from housing import progress


def test_reports_reach_all_listeners_of_the_block_and_none_after_it() -> None:
    outer: list[str] = []
    inner: list[str] = []
    progress.report("search", 0, 3)
    with progress.listening(
        lambda step, done, total, message: outer.append(f"{step} {done}/{total}")
    ):
        progress.report("search", 1, 3)
        with progress.listening(lambda step, done, total, message: inner.append(message)):
            progress.report("search", 2, 3, "better")
        progress.report("search", 3, 3)
    progress.report("search", 4, 3)
    assert outer == ["search 1/3", "search 2/3", "search 3/3"]
    assert inner == ["better"]
