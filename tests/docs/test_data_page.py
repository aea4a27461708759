import re
from pathlib import Path

import pytest

from housing.quality.batches import BATCH_RULES
from housing.quality.rows import ROW_RULES
from housing.schema import COLUMNS, OPTIONAL_COLUMNS
from housing.sources import SOURCES
from housing.sources.files import ReadLimits
from housing.sources.table_file import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


CATALOGUE = [
    (c.name, c.meaning, c.unit, ", ".join(f"`{k}`" for k in c.categories) or c.range,
     "yes" if c.nullable else "no") for c in COLUMNS
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "head", "rows"),
    [
        ("columns", ("column", "meaning", "unit", "allowed", "may be empty"), CATALOGUE),
        ("row rules", ("code", "a row is rejected when"), ROW_RULES.items()),
        ("batch rules", ("rule", "a batch is quarantined when"), BATCH_RULES.items()),
    ],
)
def test_tables_of_the_page_are_those_of_the_code(name, head, rows):
    cells = [head, ("---",) * len(head), *((f"`{row[0]}`", *row[1:]) for row in rows)]
    made = "\n".join(f"| {' | '.join(line)} |" for line in cells).replace(" --- ", "---")
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", PAGE, flags=re.DOTALL)
    assert found is not None
    assert found[1] == made


def test_the_page_names_formats_sources_columns_and_limits():
    for name in (*FORMATS, *SOURCES, *OPTIONAL_COLUMNS):
        assert f"`{name}`" in PAGE
    limits = ReadLimits()
    assert f"{limits.max_line_bytes:,} bytes" in PAGE
    assert f"{limits.max_columns:,} columns, {limits.max_rows // 10**6} million rows" in PAGE
    assert f"{limits.max_bytes // 2**30} GiB" in PAGE
    assert f"{limits.max_ratio} times its size" in PAGE
