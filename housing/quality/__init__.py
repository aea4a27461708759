"""What a delivered table must be: rules for rows, rules for batches, and a table's profile.

Pure functions of tables: no file, no database, no clock. Reading a file belongs in `sources`.
These names are the package's face; its modules are for its own use.
"""

from housing.quality.batches import BATCH_RULES, BatchHistory, QualityPolicy, judge_batch, sentence
from housing.quality.profile import profile_columns
from housing.quality.rows import KEY_COLUMN, ROW_RULES, Validated, validate
from housing.quality.table import BrokenLine, Raw, RawTable, row_numbers, whole

__all__ = [
    "BATCH_RULES",
    "KEY_COLUMN",
    "ROW_RULES",
    "BatchHistory",
    "BrokenLine",
    "QualityPolicy",
    "Raw",
    "RawTable",
    "Validated",
    "judge_batch",
    "profile_columns",
    "row_numbers",
    "sentence",
    "validate",
    "whole",
]
