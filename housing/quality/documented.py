"""The rules as Markdown tables: docs/data.md holds them, and a test compares."""

from collections.abc import Mapping

from housing.quality.batches import BATCH_RULES
from housing.quality.rows import ROW_RULES


def row_rules_table() -> str:
    """Codes of the row rules and what breaks them, a line each."""
    return _table("code", "a row is rejected when", ROW_RULES)


def batch_rules_table() -> str:
    """Names of the batch rules and what holds a batch, a line each."""
    return _table("rule", "a batch is quarantined when", BATCH_RULES)


def _table(head: str, what: str, rules: Mapping[str, str]) -> str:
    lines = [f"| {head} | {what} |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {meaning} |" for name, meaning in rules.items())])
