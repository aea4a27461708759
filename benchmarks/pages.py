"""`python -m benchmarks pages`: the figures and pictures of docs, from benchmarks/figures.

Figures stand between marks (`benchmarks.markdown`); the text around them is edited in the page. A
test compares every page with what this makes.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import gate_page, performance_page, reliability_page, serving_pages
from benchmarks.markdown import filled

DOCS = Path(__file__).parents[1] / "docs"
PAGES: Mapping[str, Callable[[], Mapping[str, str]]] = {
    "../README.md": reliability_page.readme_facts,
    "performance.md": performance_page.facts,
    "your-own-table.md": performance_page.own_facts,
    "reliability.md": reliability_page.facts,
    "serving.md": serving_pages.facts,
    "monitoring.md": serving_pages.facts,
    "gate.md": gate_page.facts,
    "gate/measurements.md": gate_page.facts,
}
"""Page -> what makes the figures by the names of its marks."""

PICTURES = {"performance": performance_page.pictures, "gate": gate_page.pictures}


def page(name: str) -> str:
    """A page with its figures as they are to be."""
    return filled((DOCS / name).read_text(), PAGES[name]())


def pictures() -> Iterator[tuple[Path, bytes]]:
    """Each picture and the file that it belongs in."""
    for folder, made in PICTURES.items():
        for name, plot in made():
            yield DOCS / folder / name, plot.svg


def main() -> None:
    """Write all pages and pictures."""
    for path, svg in pictures():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(svg)
    for name in PAGES:
        (DOCS / name).write_text(page(name))
        print(f"docs/{name}")
