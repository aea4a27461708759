"""Small frozen records that travel between steps, into SQL as JSON, and into reports.

No behaviour beyond what follows from the fields; no table, frame or model inside one. Ids are
the store's integers; people see them with their letter (v3 a dataset version, m7 a model).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

Json = Mapping[str, Any]


class SettingsGroup(BaseModel):
    """A group of settings: frozen, and an unknown name is an error.

    A field with a docstring is a setting, which docs/settings.md describes by it. Others are fixed:
    code, tests and records name them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class Rejection:
    """The rows of a batch that one rule rejected."""

    code: str  # stable rule code, e.g. "range", listed in docs/data.md
    column: str  # catalogue column, or "" where the rule is about the row
    rows: int
    example: str  # first such row in words: file, line, column, value


@dataclass(frozen=True)
class QuarantineReason:
    """Why a batch is quarantined; with `batch`, since it has rows of a batch that is kept out."""

    message: str  # begins with the rule's name
    batch: int | None = None
    whole: bool = False  # whether all of its rows that the dataset lacks are rows of `batch`


class KnownContent(NamedTuple):
    """The newest batch that has some content."""

    batch: int
    names: frozenset[str]  # under which it was ever delivered
    status: str  # "withdrawn" if it was in the dataset and is not now
    next_digest: str  # of the same content, delivered once more


BatchStatus = Literal[
    "accepted",
    "unchanged",  # nothing in it is new
    "empty",  # a header and nothing below
    "rejected",  # every row broke a rule: it waits for a person
    "quarantined",  # it looks wrong as a whole: it waits for a person
    "discarded",  # a person looked at it and does not want it
    "superseded",  # the content of an earlier batch that no longer stands in the dataset
    "unreadable",
    "waiting",
]


@dataclass(frozen=True)
class BatchSummary:
    """Outcome of one file (or one read of a table)."""

    id: int | None  # None where nothing was stored (an unreadable file)
    source: str
    name: str  # file name or table as people know it
    status: BatchStatus
    message: str  # one sentence for people
    read: int = 0  # rows
    accepted: int = 0  # rows
    rejected: int = 0  # rows; accepted + rejected == read
    changed: int = 0  # accepted rows that correct a known one
    unchanged: int = 0  # accepted rows that are in the dataset as they are
    rejections: tuple[Rejection, ...] = ()
    simulated: bool = False


@dataclass(frozen=True)
class IntakeSummary:
    """All deliveries of one ingestion."""

    batches: tuple[BatchSummary, ...] = ()

    @property
    def stored(self) -> int:
        """Batches that are new in the store, accepted or quarantined."""
        return sum(b.status in ("accepted", "quarantined") for b in self.batches)

    @property
    def skipped_files(self) -> "IntakeSummary":
        """Batches that were not stored although there was something to read."""
        left = (b for b in self.batches if b.status in ("unreadable", "superseded", "waiting"))
        return IntakeSummary(tuple(left))

    @property
    def accepted(self) -> int:
        """Accepted rows."""
        return sum(b.accepted for b in self.batches if b.status == "accepted")

    @property
    def message(self) -> str:
        """For a log: the number of batches per status, and the rows."""
        if not self.batches:
            return "nothing new"
        counts = Counter(batch.status for batch in self.batches)
        states = ", ".join(f"{count} {status}" for status, count in counts.items())
        rejected = sum(b.rejected for b in self.batches)
        return f"{states}; {self.accepted:,} rows accepted, {rejected:,} rejected"


@dataclass(frozen=True)
class DatasetVersion:
    """An ordered list of segments, frozen; `store.data.datasets.read` reads its rows."""

    id: int
    parent: int | None
    operation: Literal["append", "withdraw", "restore", "rollback"]
    reason: str
    created_at: datetime  # UTC
    batches: tuple[int, ...]  # in reading order: for a key that occurs twice the later one counts
    problem: str  # name of the problem whose rows these are


@dataclass(frozen=True)
class DatasetProfile:
    """Facts about a version, measured the first time that it is read and verified ever after."""

    version: int
    rows: int  # after corrections
    train_rows: int
    test_rows: int
    unused_rows: int  # beside `rows`: near-duplicates of rows on both sides, used on neither
    digest: str  # of the set of used rows, whatever files hold them
    columns: Json  # of `quality.profile.profile_columns`: facts per catalogue column
    sides: str = ""  # digest of the set of (key, side)
    content: str = ""  # digest of the values and sides of its rows, without their keys


@dataclass(frozen=True)
class Candidate:
    """One point of the search space."""

    index: int
    family: str  # a name of training.candidates.FAMILIES
    parameters: Json  # estimator parameters as scikit-learn names them


@dataclass(frozen=True)
class Score:
    """One candidate on one fold."""

    candidate: int  # index of the candidate
    fold: int
    value: float  # its error by the search's metric; infinity where it failed
    seconds: float  # wall time of fitting and predicting
    error: str = ""  # why it failed, or ""
    train_error: float | None = None  # on the rows it was fitted on, where families are compared


@dataclass(frozen=True)
class Trial:
    """One candidate, scored by cross-validation on the training side."""

    candidate: Candidate
    fold_errors: tuple[float, ...]  # by the search's metric; empty where the candidate failed
    seconds: float  # wall time of all its fits
    error: str = ""  # why it failed, or ""
    stopped: bool = False  # it was so far behind after some folds that the others were spared
    fold_train_errors: tuple[
        float, ...
    ] = ()  # on the rows of each fit, where families are compared

    @property
    def cv_error(self) -> float:
        """Mean over folds, or infinity where it failed or was stopped."""
        return float("inf") if self.error or self.stopped else self.so_far

    @property
    def so_far(self) -> float:
        """Mean over the folds that it was scored on, infinity where there are none."""
        return sum(self.fold_errors) / len(self.fold_errors) if self.fold_errors else float("inf")


@dataclass(frozen=True)
class Member:
    """One model of those whose mean is the challenger: a candidate, fitted with a seed."""

    candidate: Candidate
    seed: int


@dataclass(frozen=True)
class Interval:
    """An estimate with its limits."""

    value: float
    lower: float
    upper: float
    confidence: float = 0.95


@dataclass(frozen=True)
class UnseenPlaces:
    """The error of a recipe on rows in blocks of places that training left out, or did not."""

    block: float  # side of a block, in the coordinates' own unit
    rows: int  # that both models predict
    seen_rows: int  # training rows at random, some in these blocks
    unseen_rows: int  # training rows from other blocks
    seen: float  # error after training on the former, by `metric`
    unseen: float  # error after training on the latter
    change: Interval  # from `seen` to `unseen`, relative
    metric: str = "rmse"


@dataclass(frozen=True)
class Metrics:
    """How one model does on one test set."""

    rows: int
    rmse: Interval  # in the target's unit; among neighbours where rows have a location
    mae: float
    r2: float
    within_10: float  # share of rows predicted within 10 % of the value
    within_20: float
    mae_interval: Interval | None = None  # among neighbours; None for a single cell
    rmse_independent: Interval | None = None  # as if rows were independent; None if `rmse` is that
    metric: str = "rmse"  # the deciding one
    deciding: Interval | None = None  # the error by it; None where that is `rmse`

    @property
    def error(self) -> Interval:
        """The error by the deciding metric."""
        return self.deciding or self.rmse

    def by(self, metric: str) -> Interval | None:
        """The error by any metric that was measured; None for another."""
        mae = self.mae_interval or Interval(self.mae, self.mae, self.mae)
        return {"rmse": self.rmse, "mae": mae, self.metric: self.error}.get(metric)


@dataclass(frozen=True)
class Comparison:
    """Challenger against champion on the same rows, paired.

    `effect` is error(challenger) / error(champion) - 1, by `metric`: negative is better.
    """

    rows: int
    clusters: int  # location cells; neighbouring rows are not independent
    effect: float
    se: float  # standard error of `effect` among neighbours: the deciding one
    se_independent: float  # as if rows were independent
    interval: Interval  # two-sided, from `se`
    upper: float  # one-sided upper bound of `effect` at the policy's confidence
    df: float | None = None  # of Student's t; None where limits are quantiles: clusters - 1
    bandwidth: float | None = None  # distance over which neighbours are taken to err alike
    metric: str = "rmse"

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the limits."""
        return self.clusters - 1 if self.df is None else self.df


@dataclass(frozen=True)
class ColumnDrift:
    """How one column of some rows differs from the same column of a reference.

    The effect lies between 0 (the same) and 1 (nothing in common): the Kolmogorov-Smirnov
    distance of a number column, the total variation of a category column or of the share of
    missing values. `p_value` treats rows as independent; `q_value` is adjusted over all columns
    that were measured together (Benjamini and Hochberg).
    """

    column: str
    kind: Literal["number", "category", "missing"]
    reference_rows: int  # with a value; for the other kinds all rows
    rows: int
    effect: float
    p_value: float
    q_value: float
    shift: float | None  # number that varies: Wasserstein distance in its standard deviations
    groups: tuple[str, ...]  # number: bins of equal width; else the levels
    reference_shares: tuple[float, ...]  # one a group
    shares: tuple[float, ...]


@dataclass(frozen=True)
class DriftReport:
    """Every column of some rows against a reference."""

    reference: str  # e.g. "training rows of m7"
    current: str  # e.g. "new rows"
    reference_rows: int
    rows: int
    columns: tuple[ColumnDrift, ...]  # empty where either side has no rows


CheckOutcome = Literal["passed", "failed", "not applicable", "error", "inconclusive"]
VerdictOutcome = Literal["promote", "keep", "inconclusive"]


@dataclass(frozen=True)
class CheckResult:
    """Outcome of one check; "inconclusive" means too little data."""

    name: str
    outcome: CheckOutcome
    message: str  # for people, with the figures in it
    figures: Json = field(default_factory=dict)  # the same figures for machines


@dataclass(frozen=True)
class Verdict:
    """The verdict of the gate, with the result of each check."""

    outcome: VerdictOutcome
    message: str
    checks: tuple[CheckResult, ...]


@dataclass(frozen=True)
class StepTime:
    """Duration of one step of a run."""

    name: str
    seconds: float
    detail: str = ""


class RunOutcome(StrEnum):
    """How a completed run ended, with the command's exit code and the headline of its report.

    An outcome that is worth a notification is the `Event` with the same value.
    """

    exit_code: int  # of `housing retrain`; 1 failed, 2 wrong usage, 5 something is corrupt
    headline: str

    def __new__(cls, value: str, exit_code: int = 0, headline: str = "") -> Self:
        """A string with its facts."""
        member = str.__new__(cls, value)
        member._value_, member.exit_code, member.headline = value, exit_code, headline
        return member

    PROMOTED = "promoted", 0, "Promoted"
    KEPT = "kept", 3, "Champion kept"
    INCONCLUSIVE = "inconclusive", 4, "Inconclusive: champion kept"
    BLOCKED = "blocked", 3, "Blocked: champion kept"  # the gate would promote; the model is blocked
    AWAITING_APPROVAL = "awaiting approval", 6, "Awaiting approval"
    NOTHING_NEW = "nothing new", 0, "Nothing new"
    DRY_RUN = "dry run", 0, "Dry run: nothing was changed"
    DONE = "done", 0, "Done"  # a run that judges no model


class Event(StrEnum):
    """What the team is notified of: outcomes of runs, and the rest."""

    feed_name: str  # as a Prefect event; "" where there is none: Prefect has its own, or no run
    urgent: bool  # a person should act on it

    def __new__(cls, value: str, feed_name: str = "", urgent: bool = False) -> Self:
        """A string with its facts."""
        member = str.__new__(cls, value)
        member._value_, member.feed_name, member.urgent = str(value), feed_name, urgent
        return member

    PROMOTED = RunOutcome.PROMOTED, "model.promoted"
    KEPT = RunOutcome.KEPT, "model.kept"
    INCONCLUSIVE = RunOutcome.INCONCLUSIVE, "model.inconclusive"
    BLOCKED = RunOutcome.BLOCKED, "model.blocked"
    AWAITING_APPROVAL = RunOutcome.AWAITING_APPROVAL, "model.awaiting_approval", True
    DRY_RUN = RunOutcome.DRY_RUN, "model.judged"
    FAILED = "failed", "", True
    MISSED = "missed", "", True  # a scheduled run that did not start
    ROLLED_BACK = "rolled back", "model.rolled_back"
    QUARANTINED = "quarantined", "batch.quarantined"
    DRIFT = "drift", "drift.detected", True  # any alarm of the monitor
    NOT_READY = "not ready", "model.not_ready", True  # a retained champion that cannot be loaded
    BACKUP_NOT_VERIFIED = "backup not verified", "backup.not_verified", True
    RELOAD_FAILED = "reload failed", "", True
    MIRROR_BEHIND = "mirror behind"  # the other system could not be reached several times


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    run: int
    outcome: RunOutcome
    message: str
    version: int | None = None
    challenger: int | None = None
    champion: int | None = None  # after the run
    report: str | None = None  # path of the HTML report

    @property
    def awaits_approval(self) -> bool:
        """Whether a person must decide on a promotion."""
        return self.outcome is RunOutcome.AWAITING_APPROVAL
