"""What is kept and said of rejected rows: quarantine's table, counts, and an example in words.

Which rows are rejected belongs in `rows`.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from housing.quality.table import RawTable
from housing.records import Rejection
from housing.schema import CATALOGUE, ID_COLUMN, KEY, NOT_ABOVE, Column

LONGEST_ID = 200  # characters
_SHOWN = 60  # characters of a value that a message repeats
_KEPT = 1_000  # characters of a broken line that quarantine keeps


def rejected_rows(
    raw: RawTable,
    frame: pd.DataFrame,
    first: npt.NDArray[np.int64],
    rules: Sequence[tuple[str, str]],
) -> pd.DataFrame:
    """Quarantine's table: line (int64), code, column, value and raw (JSON text), in line order.

    `first`, shape (n,), says which of `rules` (code, column) each row of `frame` broke; -1: none.
    """
    at = np.flatnonzero(first >= 0)
    rows = pd.DataFrame(
        {
            "line": raw.lines[at],
            "code": pd.Series([rules[i][0] for i in first[at]], dtype="str"),
            "column": pd.Series([rules[i][1] for i in first[at]], dtype="str"),
        }
    )
    shown = frame.iloc[at].astype("str").where(frame.iloc[at].notna(), None)
    rows["value"] = pd.Series(_values(shown, rows["column"]), dtype="str")
    rows["raw"] = pd.Series(_json_rows(shown), dtype="str")
    broken = pd.DataFrame(
        {
            "line": np.array([line.line for line in raw.broken], dtype=np.int64),
            "code": pd.Series([line.code for line in raw.broken], dtype="str"),
            "column": pd.Series([""] * len(raw.broken), dtype="str"),
            "value": pd.Series([line.why for line in raw.broken], dtype="str"),
            "raw": pd.Series(_json_texts([line.text[:_KEPT] for line in raw.broken]), dtype="str"),
        }
    )
    return pd.concat([rows, broken]).sort_values("line", kind="stable", ignore_index=True)


def _values(shown: pd.DataFrame, columns: pd.Series) -> list[str]:
    """The offending value of each row; for a rule about the row, what identifies it."""
    values = np.full(len(shown), "", dtype=object)
    for name in columns.unique():
        rows = (columns == name).to_numpy()
        if name:
            values[rows] = shown.loc[rows, name].fillna("").to_numpy()
        else:
            values[rows] = _identity(shown.loc[rows])
    return [str(value) for value in values]


def _identity(shown: pd.DataFrame) -> list[str]:
    columns = [shown[name].fillna("").astype("str").to_list() for name in KEY]
    texts = [", ".join(values) for values in zip(*columns, strict=True)]
    if ID_COLUMN in shown:
        ids = shown[ID_COLUMN].fillna("").astype("str").str.strip().to_list()
        texts = [own or text for own, text in zip(ids, texts, strict=True)]
    return texts


def _json_rows(shown: pd.DataFrame) -> list[str]:
    text = shown.to_json(orient="records", lines=True, force_ascii=False)
    return text.removesuffix("\n").split("\n") if len(shown) else []


def _json_texts(texts: list[str]) -> list[str]:
    return _json_rows(pd.DataFrame({"text": pd.Series(texts, dtype="str")}))


def summary(rejected: pd.DataFrame, name: str, place: str) -> tuple[Rejection, ...]:
    """Rejected rows counted by code and column, each with its first row as the example."""
    groups = rejected.groupby(["code", "column"], sort=True)
    return tuple(
        Rejection(
            code=str(code),
            column=str(column),
            rows=len(rows),
            example=_example(rows, name, place),
        )
        for (code, column), rows in groups
    )


def _example(rows: pd.DataFrame, name: str, place: str) -> str:
    row = rows.iloc[0]
    where = f"{name}, {place} {row['line']}"
    if row["code"] == "duplicate-key":
        same = rows.loc[rows["value"] == row["value"], "line"].tolist()
        lines = " and ".join(str(line) for line in same[:3])
        return f"{name}, {place}s {lines}: the same district twice ({row['value'][:_SHOWN]})"
    if not row["column"]:
        return f"{where}: {row['value']}"
    return f"{where}, {row['column']}: {_complaint(row['code'], row['column'], row['value'])}"


def _complaint(code: str, name: str, value: str) -> str:
    shown = repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")
    if code == "missing":
        return f"empty; {_wanted(CATALOGUE[name])} is required"
    if code == "not-a-date":
        return f"{shown} is not a time in ISO 8601, such as 2024-12-31 or 2024-12-31T06:00:00Z"
    if code == "bad-id":
        return f"{shown} cannot be an id: at most {LONGEST_ID} characters, none a control character"
    if code == "exceeds":
        whole = next(whole for part, whole in NOT_ABOVE if part == name)
        return f"{shown} is more than the row's {whole}"
    what = {
        "not-a-number": "is not a number",
        "not-finite": "is not a finite number",
        "range": "is out of range",
        "category": "is not a known category",
    }[code]
    return f"{shown} {what}; {_wanted(CATALOGUE[name])} is wanted"


def _wanted(column: Column) -> str:
    if column.kind == "category":
        return "one of " + ", ".join(repr(category) for category in column.categories)
    return f"a number from {column.minimum:,} to {column.maximum:,} ({column.unit})"
