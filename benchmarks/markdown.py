"""Figures as Markdown: tables, shares, numbers; and the places of a page that they fill."""

import re
from collections.abc import Callable, Iterable, Mapping

BLOCK = re.compile(r"(<!-- table ([a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)
NAME = re.compile(r"\{\{(\w+)\}\}")
Facts = Mapping[str, Callable[[], str]]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table; the first column to the left."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float) -> str:
    """Three significant digits; all digits before the point."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def fill_blocks(text: str, facts: Facts) -> str:
    """A page with what stands between `<!-- table NAME -->` and `<!-- end -->` replaced."""
    return BLOCK.sub(lambda found: f"{found[1]}{facts[found[2]]()}\n{found[3]}", text)


def fill_names(text: str, facts: Mapping[str, object]) -> str:
    """A template with each `{{NAME}}` replaced."""
    return NAME.sub(lambda found: str(facts[found[1]]), text)
