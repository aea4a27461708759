"""Figures as Markdown: tables and numbers; and the places of a page that they fill."""

import re
from collections.abc import Iterable, Mapping

MARK = re.compile(r"(<!-- (?:table|figure) (\w+) -->(\n?)).*?(<!-- end -->)", re.DOTALL)


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


def filled(text: str, facts: Mapping[str, str]) -> str:
    """A page with what stands between a mark and `<!-- end -->` replaced.

    `<!-- table NAME -->` has lines of its own, `<!-- figure NAME -->` is within a sentence: a line
    that begins with it would be no Markdown.
    """
    return MARK.sub(lambda found: f"{found[1]}{facts[found[2]]}{found[3]}{found[4]}", text)
