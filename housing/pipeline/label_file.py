"""A file of values of the target by key: true ones, or the estimates that people use today.

The latter is HOUSING_VALUE__ESTIMATES, a baseline. Storing labels belongs in `operations.labels`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from housing.errors import FileUnreadable
from housing.evaluation.spatial_se import Values
from housing.keys import KEY_COLUMN, row_keys
from housing.pipeline.ingest import options
from housing.quality.rejections import Quarantine, summary
from housing.quality.rows import reject_duplicates
from housing.quality.values import Fault, first_fault, read_columns
from housing.records import Rejection
from housing.schema import ID_COLUMN, KEY, TARGET, WORDING
from housing.settings import Settings
from housing.sources.files import ReadLimits, fingerprint, shown
from housing.sources.header import Wanted
from housing.sources.table_file import read_table
from housing.store.runs.labelled import LABEL

WANTED = Wanted((TARGET,), (ID_COLUMN, *KEY))


def labels_of(path: Path, limits: ReadLimits) -> tuple[pd.DataFrame, tuple[Rejection, ...]]:
    """Key and true value of each valid row of a file, and why its other rows are rejected.

    A row needs a valid label, and an id or all identifying values. Where a key has several labels,
    which is right is unknown: all its rows are rejected.
    """
    table = read_table(path, limits, wanted=WANTED)
    quarantine, labels, masks = Quarantine(), [], []
    for chunk in table.chunks():
        typed, faults, identity = _identified(chunk.frame, shown(path))
        first = first_fault(faults, len(chunk.frame))
        quarantine.add(chunk, first, faults)
        good = first < 0
        masks.append(good)
        keys = row_keys(identity[good])
        labels.append(pd.DataFrame({KEY_COLUMN: keys, LABEL: typed[TARGET].to_numpy()[good]}))
    found = pd.concat(labels)
    different = found.drop_duplicates()
    several = different[different.duplicated(KEY_COLUMN)]
    twice = found[KEY_COLUMN].isin(several[KEY_COLUMN]).to_numpy()
    if twice.any():
        reject_duplicates(table, masks, twice, quarantine)
    return found[~twice], summary(quarantine.table(), shown(path), table.line_unit)


def _identified(
    frame: pd.DataFrame, file: str
) -> tuple[dict[str, pd.Series], list[Fault], pd.DataFrame]:
    """The columns by type, their faults, and the columns that make the keys.

    An identifying value matters only in a row without an id.
    """
    names, has_key = list(frame.columns), {*KEY} <= {*frame.columns}
    if ID_COLUMN not in names and not has_key:
        why = f"does not name the {WORDING.rows}. Add the column {ID_COLUMN}, or all of "
        raise FileUnreadable(file=file, why=why + ", ".join(KEY))
    typed, faults = read_columns(frame, names)
    ids = typed.get(ID_COLUMN, pd.Series([None] * len(frame), dtype="str"))
    has_id = ids.notna().to_numpy()
    faults = [f._replace(rows=f.rows & ~(has_id & (f.column in KEY))) for f in faults]
    if not has_key:
        faults.insert(0, Fault("missing", ID_COLUMN, ~has_id))
    values = {name: typed[name].where(~has_id) if name in typed else np.nan for name in KEY}
    return typed, faults, pd.DataFrame({**values, ID_COLUMN: ids})


def estimates_digest(settings: Settings) -> str:
    """Digest of the file of estimates; "" without one. FileUnreadable if it cannot be read."""
    path = settings.value.estimates
    return "" if path is None else fingerprint(path)[0]


def estimates(settings: Settings, rows: pd.DataFrame) -> Values | None:
    """The estimate for each labelled row (n,), NaN where there is none; None without a file.

    A key with several estimates has none. FileUnreadable where the file cannot be read as a whole,
    most of its rows are rejected, or it holds the labels themselves.
    """
    path = settings.value.estimates
    if path is None:
        return None
    stored, rejections = labels_of(path, options(settings).limits)
    if (rejected := sum(each.rows for each in rejections)) > len(stored):
        first = max(rejections, key=lambda each: each.rows)
        why = f"{rejected:,} of its {rejected + len(stored):,} rows are rejected: {first.example}"
        raise FileUnreadable(file=shown(path), why=why)
    by_key: pd.Series = stored.drop_duplicates().set_index(KEY_COLUMN)[LABEL]
    found = by_key.reindex(rows[KEY_COLUMN]).to_numpy(dtype="float64")
    known = int((~np.isnan(found)).sum())
    if known >= settings.gate.slice_min_rows and (found == rows[TARGET]).sum() == known:
        why = f"its estimates of {known:,} test rows are all equal to their labels"
        raise FileUnreadable(file=shown(path), why=why)
    return found
