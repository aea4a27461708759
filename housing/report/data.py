"""The data of a report: plain records and arrays; every part may be missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from housing.gate.evidence import Evidence, HoldoutReuse
from housing.gate.policy import GatePolicy
from housing.metric import RMSE
from housing.records import (
    BatchSummary,
    DatasetProfile,
    Interval,
    RunOutcome,
    StepTime,
    Trial,
    Verdict,
)
from housing.training.curves import Curve
from housing.training.lineage import FeatureGroup

Column = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class TestSet:
    """The test rows and their predictions; columns of shape (n,), values in the target's unit."""

    __test__ = False  # not a test case, whatever pytest makes of its name

    actual: Column
    predicted: Column  # by the challenger
    coordinates: tuple[Column, Column] | None = None  # None for a table without a location


@dataclass(frozen=True)
class QuarantinedRow:
    """An example of a rejected row. All texts are external input."""

    file: str
    line: int | None  # None for a row from a table
    code: str
    column: str = ""
    value: str = ""


@dataclass(frozen=True, eq=False)
class RunReport:
    """All data of one run's report."""

    run: int
    started_at: datetime  # UTC
    outcome: RunOutcome
    message: str
    notices: tuple[str, ...] = ()  # important notices, e.g. simulated rows
    location: str = ""  # path or address of the HTML page
    data_page: str = ""  # path of the page of the dataset version, in the same folder
    card: str = ""  # path of the challenger's model card (HTML; Markdown in the same folder)
    expectations: str = ""  # what its card says to expect of the challenger, HTML

    challenger: str = ""  # label: "m8 (hist_gradient_boosting)"
    champion: str = ""  # label of the champion in the comparison
    evidence: Evidence | None = None  # the gate's evidence
    policy: GatePolicy | None = None
    verdict: Verdict | None = None

    search_metric: str = RMSE  # of trials, comparison and curves
    trials: tuple[Trial, ...] = ()
    comparison: Mapping[str, Any] = field(default_factory=dict)  # families and baselines
    curves: tuple[Curve, ...] = ()  # learning and validation curve, where measured
    preprocessing: tuple[Mapping[str, Any], ...] = ()  # columns of features, as recorded
    lineage: tuple[FeatureGroup, ...] = ()  # the challenger's features by their columns
    best: int | None = None  # index of the candidate that was refitted
    importances: Mapping[str, float] = field(default_factory=dict)  # column -> importance
    groups: Mapping[str, float] = field(default_factory=dict)  # group of features -> share
    importance_unit: str = "share of all importance"  # axis label
    test: TestSet | None = None

    batches: tuple[BatchSummary, ...] = ()
    quarantine: tuple[QuarantinedRow, ...] = ()
    dataset: DatasetProfile | None = None
    steps: tuple[StepTime, ...] = ()
    metric: str = RMSE  # of the next, the newest evidence's
    history: tuple[tuple[datetime, Interval], ...] = ()  # champion's error per run
    holdout_reuse: tuple[tuple[datetime, HoldoutReuse], ...] = ()  # per run
    settings: Mapping[str, str] = field(default_factory=dict)  # without secrets
