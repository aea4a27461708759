"""What a report is made of: plain records and numpy arrays, every part of which may be missing.

No store, no SQL and no model is reached from a report; how it looks belongs to its siblings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from housing.gate.evidence import Evidence, HoldoutReuse
from housing.gate.policy import GatePolicy
from housing.records import (
    BatchSummary,
    DatasetProfile,
    Interval,
    RunOutcome,
    StepTime,
    Trial,
    Verdict,
)

Column = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class TestSet:
    """Tonight's test rows and their predictions; columns of shape (n,), prices in US dollars."""

    __test__ = False  # not a test case, whatever pytest makes of its name

    longitude: Column  # degrees east
    latitude: Column  # degrees north
    actual: Column
    predicted: Column  # by the challenger


@dataclass(frozen=True)
class QuarantinedRow:
    """One row that was turned away, as an example. All texts come from outside."""

    file: str
    line: int | None  # None for a row that came from a table
    code: str
    column: str = ""
    value: str = ""


@dataclass(frozen=True, eq=False)
class RunReport:
    """Everything that is told about one night."""

    run: int
    started_at: datetime  # UTC
    outcome: RunOutcome
    message: str
    notices: tuple[str, ...] = ()  # what must not be overlooked, e.g. simulated districts
    location: str = ""  # path or address of the HTML page
    card: str = ""  # path of the challenger's model card, HTML; its Markdown lies beside it

    challenger: str = ""  # as people know it: "m8 (hist_gradient_boosting)"
    champion: str = ""  # the one that challenger was compared with
    evidence: Evidence | None = None  # what the gate judged from
    policy: GatePolicy | None = None
    verdict: Verdict | None = None

    trials: tuple[Trial, ...] = ()
    best: int | None = None  # index of the draw that was refitted
    importances: Mapping[str, float] = field(default_factory=dict)  # column -> importance
    groups: Mapping[str, float] = field(default_factory=dict)  # group of features -> share
    importance_unit: str = "share of all importance"  # what the axis says
    test: TestSet | None = None

    batches: tuple[BatchSummary, ...] = ()
    quarantine: tuple[QuarantinedRow, ...] = ()
    dataset: DatasetProfile | None = None
    steps: tuple[StepTime, ...] = ()
    history: tuple[tuple[datetime, Interval], ...] = ()  # champion's RMSE (US dollars), a night
    holdout_reuse: tuple[tuple[datetime, HoldoutReuse], ...] = ()  # of the test set, a night
    settings: Mapping[str, str] = field(default_factory=dict)  # those that mattered; no secrets
