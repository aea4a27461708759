"""docs/reliability.md says what the kept figures say."""

from benchmarks.reliability.page import DOCS, page


def test_the_page_is_made_from_the_kept_figures() -> None:
    made = page()
    assert "{" not in made, "a part of the page was not filled in"
    said = "run `python -m benchmarks reliability-page`"
    assert (DOCS / "reliability.md").read_text() == made, said
