"""`python -m benchmarks pages`: the figures and pictures of docs, from benchmarks/figures.

A table stands between `<!-- table NAME -->` and `<!-- end -->`; the text around it is edited in
the page. The pages of the gate have figures within their sentences and therefore templates.
A test compares every page with what this makes.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import gate_page, performance_page, readme_page, reliability_page, serving_pages
from benchmarks.markdown import Facts, fill_blocks

DOCS = Path(__file__).parents[1] / "docs"
TABLES: dict[str, Facts] = {
    "../README.md": readme_page.TABLES,
    "performance.md": performance_page.TABLES,
    "your-own-table.md": performance_page.OWN_TABLES,
    "reliability.md": reliability_page.TABLES,
    "serving.md": serving_pages.TABLES,
    "monitoring.md": serving_pages.TABLES,
}
PAGES = (*TABLES, *gate_page.TEMPLATES)
PICTURES = {"performance": performance_page.pictures, "gate": gate_page.pictures}


def page(name: str) -> str:
    """A page with its figures as they are to be."""
    if name in gate_page.TEMPLATES:
        return gate_page.page(name)
    return fill_blocks((DOCS / name).read_text(), TABLES[name])


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
