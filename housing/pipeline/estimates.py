"""The estimates that people use today, from the file HOUSING_VALUE__ESTIMATES: a baseline.

It has the format of a file of labels: an id or all columns of the key, and the column of the
target with the estimate.
"""

import pandas as pd

from housing.evaluation.spatial_se import Values
from housing.keys import KEY_COLUMN, Keys
from housing.pipeline.ingest import options
from housing.pipeline.label_file import labels_of
from housing.settings import Settings
from housing.sources.files import fingerprint
from housing.store.runs.labelled import LABEL


def digest(settings: Settings) -> str:
    """Digest of the file's content; "" without a file. FileUnreadable if it cannot be read."""
    path = settings.value.estimates
    return "" if path is None else fingerprint(path)[0]


def estimates(settings: Settings, keys: Keys) -> Values | None:
    """The estimate for each row with these keys (n,), NaN where there is none; None without a file.

    FileUnreadable where the file cannot be read as a whole. A key with several estimates has none.
    """
    path = settings.value.estimates
    if path is None:
        return None
    found, _ = labels_of(path, options(settings).limits)
    known: pd.Series = found.drop_duplicates().set_index(KEY_COLUMN)[LABEL]
    return known.reindex(keys).to_numpy(dtype="float64")
