"""Rejected rows: the table that quarantine keeps, counts by rule, and an example of each."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from housing.array_types import Integers
from housing.quality.table import RawTable
from housing.quality.values import LONGEST_SHOWN, Fault, fault_message
from housing.records import Rejection
from housing.schema import ID_COLUMN, KEY, WORDING

TEXT_ROWS = 10_000
"""Rows of each rule and column whose text is kept; of the others line, code and column are."""

TEXT_LENGTH = 1_000  # characters of a value or a broken line that are kept


class Quarantine:
    """Collects the rejected rows of a table chunk by chunk, and a bounded amount of their text."""

    def __init__(self) -> None:
        self._tables: list[pd.DataFrame] = []
        self._texts: Counter[tuple[str, str]] = Counter()

    def add(self, chunk: RawTable, first: Integers, faults: Sequence[Fault]) -> None:
        """Add the faulty rows of a chunk and its broken lines.

        `first`, shape (n,), is the index in `faults` of each row's first fault, -1 for none.
        """
        for index in np.unique(first[first >= 0]):
            rule = (faults[index].code, faults[index].column)
            at = np.flatnonzero(first == index)
            texts = chunk.frame.iloc[at[: self._room(rule, len(at))]]
            texts = texts.astype("str").where(texts.notna(), None)
            texts = texts.apply(lambda column: column.str.slice(0, TEXT_LENGTH))
            values = texts[rule[1]].fillna("").tolist() if rule[1] else _identity(texts)
            self._add(rule, chunk.lines[at], values, _json_rows(texts))
        for code in ("fields", "quote"):
            broken = [line for line in chunk.broken if line.code == code]
            kept = broken[: self._room((code, ""), len(broken))]
            texts = pd.DataFrame({"text": [line.text[:TEXT_LENGTH] for line in kept]}, dtype="str")
            lines = np.array([line.line for line in broken], dtype=np.int64)
            self._add((code, ""), lines, [line.why for line in kept], _json_rows(texts))

    def _room(self, rule: tuple[str, str], rows: int) -> int:
        left = TEXT_ROWS - self._texts[rule]
        self._texts[rule] += min(rows, left)
        return left

    def _add(
        self,
        rule: tuple[str, str],
        lines: Integers,
        values: list[str],
        rows: list[str],
    ) -> None:
        without = len(lines) - len(values)
        table = {"line": lines, "code": rule[0], "column": rule[1]}
        table |= {"value": values + [""] * without, "raw": rows + ["{}"] * without}
        self._tables.append(pd.DataFrame(table))

    def table(self) -> pd.DataFrame:
        """Line (int64), code, column, value and raw (JSON text) of each rejected row, by line."""
        kinds = {"line": "int64", "code": "str", "column": "str", "value": "str", "raw": "str"}
        tables = [table for table in self._tables if len(table)] or [pd.DataFrame(columns=[*kinds])]
        joined = pd.concat(tables).astype(kinds)
        return joined.sort_values("line", kind="stable", ignore_index=True)


def _identity(shown: pd.DataFrame) -> list[str]:
    """What identifies each row: its own id, or else its identifying values."""
    values = shown.reindex(columns=list(KEY), fill_value="").fillna("")
    texts = [", ".join(row) for row in values.itertuples(index=False)]
    if ID_COLUMN in shown:
        ids = shown[ID_COLUMN].fillna("").str.strip().to_list()
        texts = [own or text for own, text in zip(ids, texts, strict=True)]
    return texts


def _json_rows(shown: pd.DataFrame) -> list[str]:
    text = shown.to_json(orient="records", lines=True, force_ascii=False)
    return text.removesuffix("\n").split("\n") if len(shown) else []


def summary(rejected: pd.DataFrame, name: str, line_unit: str) -> tuple[Rejection, ...]:
    """Rejected rows counted by code and column, each with its first row as the example."""
    groups = rejected.groupby(["code", "column"], sort=True)
    return tuple(
        Rejection(str(code), str(column), len(rows), _example(rows, name, line_unit))
        for (code, column), rows in groups
    )


def _example(rows: pd.DataFrame, name: str, line_unit: str) -> str:
    row = rows.iloc[0]
    where = f"{name}, {line_unit} {row['line']}"
    if row["code"] == "duplicate-key":
        same = rows.loc[rows["value"] == row["value"], "line"].tolist()
        lines = " and ".join(str(line) for line in same[:3])
        shown = row["value"][:LONGEST_SHOWN]
        return f"{name}, {line_unit}s {lines}: the same {WORDING.row} twice ({shown})"
    if not row["column"]:
        return f"{where}: {row['value']}"
    return f"{where}, {row['column']}: {fault_message(row['code'], row['column'], row['value'])}"
