import re
from pathlib import Path

import pytest

from housing.quality.batches import batch_rules_table
from housing.quality.rows import row_rules_table
from housing.schema import OPTIONAL_COLUMNS, catalogue_table
from housing.sources import SOURCES
from housing.sources.files import ReadLimits
from housing.sources.table_file import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("columns", catalogue_table),
        ("row rules", row_rules_table),
        ("batch rules", batch_rules_table),
    ],
)
def test_tables_of_the_page_are_those_of_the_code(name, made):
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", PAGE, flags=re.DOTALL)
    assert found is not None
    assert found[1] == made()


def test_the_page_names_formats_sources_columns_and_limits():
    for name in (*FORMATS, *SOURCES, *OPTIONAL_COLUMNS):
        assert f"`{name}`" in PAGE
    limits = ReadLimits()
    assert f"{limits.max_line_bytes:,} bytes" in PAGE
    assert f"{limits.max_columns:,} columns, {limits.max_rows // 10**6} million rows" in PAGE
    assert f"{limits.max_bytes // 2**30} GiB" in PAGE
    assert f"{limits.max_ratio} times its size" in PAGE
