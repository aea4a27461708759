"""The SQL schema as SQLAlchemy Core tables, created by the migrations only.

Most rows never change; docs/database.md lists the exceptions. Triggers refuse UPDATE and DELETE
on append-only tables.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    select,
)
from sqlalchemy.engine import Connection, Row

from housing.errors import UnknownId
from housing.schema import PROBLEM


class UtcTime(TypeDecorator[datetime]):
    """An instant in UTC on every database; naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """To SQL: SQLite keeps it as text in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From SQL: always aware, always UTC."""
        if value is None:
            return None
        aware: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC)


def utc_now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


# SQLite makes only INTEGER PRIMARY KEY the row's own address; other spellings cost an index.
BigId = BigInteger().with_variant(Integer(), "sqlite")
Digest = String(64)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", BigId, primary_key=True, autoincrement=True)


def _link(name: str, target: str, *, nullable: bool = False, **options: Any) -> Column[Any]:
    """A foreign key: what it points at cannot be deleted."""
    return Column(name, ForeignKey(target, ondelete="RESTRICT"), nullable=nullable, **options)


def _problem() -> Column[str]:
    """The name of the problem in force when the row was written."""
    return Column("problem", String(100), nullable=False, default=PROBLEM.name)


def _time(name: str, *, nullable: bool = False, index: bool = False) -> Column[datetime]:
    return Column(name, UtcTime, nullable=nullable, index=index)


runs = Table(
    "runs",
    metadata,
    _id(),
    Column("kind", String(20), nullable=False),  # nightly, backfill, judge, promote
    # running, completed, failed, cancelled, crashed
    Column("status", String(20), nullable=False, index=True),
    Column("outcome", String(20)),  # promoted, kept, ... of records.RunOutcome
    Column("message", Text),
    Column("parameters", JSON, nullable=False),
    Column("skipped_files", JSON),  # files that it looked at and that could not be read, or not yet
    Column("actor", String(200), nullable=False),
    Column("flow_run", String(64)),  # the orchestrator's id, for its UI
    Column("version", BigInteger),
    Column("challenger", BigInteger),
    Column("evaluation", BigInteger),
    Column("champion", BigInteger),  # after the run
    Column("report", Text),
    Column("error", Text),
    _time("started_at"),
    _time("finished_at", nullable=True),
    Index("ix_runs_kind", "kind", "started_at"),
)

run_steps = Table(
    "run_steps",
    metadata,
    _link("run", "runs.id"),
    Column("position", Integer, nullable=False),
    Column("name", String(40), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("detail", Text, nullable=False),
    UniqueConstraint("run", "position"),
)

store_identity = Table(
    "store_identity",
    metadata,
    Column("id", String(32), primary_key=True),  # also in its storage locations
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("token", BigInteger, nullable=False),  # grows with each owner; an old one is fenced off
    Column("owner", String(200), nullable=False),
    Column("host", String(200), nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("process_started", Float, nullable=False),  # distinguishes the owner from a reused pid
    Column("run", BigInteger),
    Column("held", Boolean, nullable=False),
    _time("acquired_at"),
    _time("heartbeat_at"),  # by the database's clock
)

blobs = Table(
    "blobs",
    metadata,
    Column("digest", Digest, primary_key=True),  # sha256 of the bytes
    Column("suffix", String(20), nullable=False),
    Column("kind", String(20), nullable=False),  # segment, sides, rejected, model, golden, ...
    Column("size", BigInteger, nullable=False),  # bytes
    _time("created_at"),
    Column("signature", String(80)),  # of a model: <key id>:<HMAC-SHA256>
    _time("pruned_at", nullable=True),  # retention dropped it; its bytes may be gone from here on
    _time("deleted_at", nullable=True),  # they are gone
)

backup_copies = Table(
    "backup_copies",
    metadata,
    Column("digest", ForeignKey("blobs.digest", ondelete="RESTRICT"), primary_key=True),
    Column("url", String(500), primary_key=True),
    _time("verified_at"),
)

batches = Table(
    "batches",
    metadata,
    _id(),
    Column("digest", Digest, nullable=False, unique=True),  # of the delivered content
    Column("source", String(40), nullable=False),
    Column("name", Text, nullable=False),
    # accepted, unchanged, empty, rejected, quarantined, released, discarded
    Column("status", String(20), nullable=False),
    Column("message", Text, nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("read_rows", BigInteger, nullable=False),
    Column("accepted_rows", BigInteger, nullable=False),
    Column("changed_rows", BigInteger, nullable=False, default=0),  # accepted: corrections
    Column("unchanged_rows", BigInteger, nullable=False, default=0),  # accepted: known as they are
    Column("rejected_rows", BigInteger, nullable=False),
    Column("rejections", JSON, nullable=False),
    Column("reasons", JSON, nullable=False, default=list),  # of its quarantine
    _link("segment", "blobs.digest", nullable=True),  # accepted rows; none where there are none
    _link("rejected", "blobs.digest", nullable=True),  # quarantined rows
    Column("watermark", Text),
    _link("run", "runs.id", nullable=True, index=True),
    _time("recorded_at"),
)

dataset_versions = Table(
    "dataset_versions",
    metadata,
    _id(),
    _link("parent", "dataset_versions.id", nullable=True),
    Column("operation", String(20), nullable=False),  # append, withdraw, restore, rollback
    Column("reason", Text, nullable=False),
    _problem(),
    _link("run", "runs.id", nullable=True),
    _time("created_at"),
)

# The batches of each version, as spans of versions: a batch adds one row, whatever the age of the
# table. Version v contains those with first_version <= v and (last_version is null or >= v).
version_batches = Table(
    "version_batches",
    metadata,
    Column("batch", ForeignKey("batches.id", ondelete="RESTRICT"), primary_key=True),
    Column("first_version", ForeignKey("dataset_versions.id"), primary_key=True),
    Column("last_version", ForeignKey("dataset_versions.id"), index=True),
    Column("position", BigInteger, nullable=False),  # reading order
)

dataset_profiles = Table(
    "dataset_profiles",
    metadata,
    Column("version", ForeignKey("dataset_versions.id"), primary_key=True, autoincrement=False),
    Column("rows", BigInteger, nullable=False),
    Column("train_rows", BigInteger, nullable=False),
    Column("test_rows", BigInteger, nullable=False),
    Column("unused_rows", BigInteger, nullable=False),  # not among rows: on neither side
    Column("digest", Digest, nullable=False),  # of the set of rows
    Column("sides", Digest, nullable=False),  # of the set of (key, side)
    # Of the set of (inputs, label, side), without keys: what is searched and judged once.
    Column("content", Digest, nullable=False, index=True),
    Column("columns", JSON, nullable=False),
    _time("measured_at"),
)

# Keys are hashes, so the keys of a batch would fall on as many pages of one large index as there
# are keys. Each generation has its own range of the index: a batch writes to the few
# pages of the newest. A key is in one generation only: the writer looks it up before it inserts.
split_sides = Table(
    "split_sides",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("side", SmallInteger, nullable=False),  # 0 training, 1 test, -1 neither
    sqlite_with_rowid=False,
)

# What rows agree in, three hashes a row (`training.fingerprints`), in generations as above. Of a
# hash that many rows share, only the first `near_duplicate_lookup.LISTED` are listed. The others
# have the words of their agreements, each once a side, and an equal row under another key has the
# word of all values: these have negative numbers and no rest.
near_duplicate_index = Table(
    "near_duplicate_index",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("hash", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),  # of the row, from 0
    Column("rest", BigInteger, nullable=False),  # the values that the hash leaves out, packed
    Column("side", SmallInteger, nullable=False),  # 0 training, 1 test, -1 neither
    Column("batch", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# How frequent values are (`training.chance`): one list of counts a column.
value_frequencies = Table(
    "value_frequencies",
    metadata,
    Column("name", String(64), primary_key=True),  # the column's
    Column("counts", JSON, nullable=False),  # of independent rows, one a bucket of values
)

batch_splits = Table(
    "batch_splits",
    metadata,
    Column("batch", ForeignKey("batches.id"), primary_key=True, autoincrement=False),
    _link("sides", "blobs.digest"),  # one side a row, in the segment's row order
    Column("new_keys", BigInteger, nullable=False),
    Column("known_keys", BigInteger, nullable=False),
    Column("unused_rows", BigInteger, nullable=False),  # near-duplicates of rows on both sides
    _time("recorded_at"),
)

# Where the rows of old batches are since they were put together (`data.packing`): the objects of
# `segment` and `sides` are pruned then, and their digests stay as the record of what was stored.
packed_batches = Table(
    "packed_batches",
    metadata,
    Column("batch", ForeignKey("batches.id"), primary_key=True, autoincrement=False),
    _link("pack", "blobs.digest", index=True),
    Column("first_row", BigInteger, nullable=False),  # of the batch in the pack
    Column("rows", BigInteger, nullable=False),
    Column("digest", Digest, nullable=False),  # of the set of its rows with their sides
    _time("packed_at"),
)

stratum_counts = Table(
    "stratum_counts",
    metadata,
    Column("batch", ForeignKey("batches.id"), primary_key=True, autoincrement=False),
    Column("stratum", String(200), primary_key=True),
    Column("keys", BigInteger, nullable=False),
    Column("test_keys", BigInteger, nullable=False),
)

searches = Table(
    "searches",
    metadata,
    _id(),
    Column("key", Digest, nullable=False, unique=True),  # same data and plan, same search
    _link("version", "dataset_versions.id"),
    Column("plan", JSON, nullable=False),
    _link("run", "runs.id", nullable=True),
    _time("started_at"),
    _time("finished_at", nullable=True),
    Column("warm_starts", JSON),  # candidates of earlier searches that are tried as well
    Column("preprocessing", JSON),  # the columns that its families compute, once checked
    Column("comparison", JSON),  # size and latency of families, and the baselines
    Column("curves", JSON),  # learning and validation curve, where measured
    Column("models", JSON),  # how many models of which candidate make the challenger; once finished
    Column("cv_error", Float),  # of their mean, by the plan's metric as all errors of a search
    Column("out_of_fold", ForeignKey("blobs.digest")),  # its out-of-fold predictions
)

fold_scores = Table(
    "fold_scores",
    metadata,
    Column("search", ForeignKey("searches.id"), primary_key=True, autoincrement=False),
    Column("candidate", Integer, primary_key=True, autoincrement=False),
    Column("fold", Integer, primary_key=True, autoincrement=False),
    Column("value", Float),  # its error; null where it failed
    Column("seconds", Float, nullable=False),
    Column("error", Text, nullable=False),
    Column("train_error", Float),  # on the rows of the fit; null where one family is searched
    _time("recorded_at"),
)

trials = Table(
    "trials",
    metadata,
    Column("search", ForeignKey("searches.id"), primary_key=True, autoincrement=False),
    Column("candidate", Integer, primary_key=True, autoincrement=False),
    Column("family", String(40), nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("fold_errors", JSON, nullable=False),
    Column("fold_train_errors", JSON, nullable=False),
    Column("cv_error", Float),  # mean over folds; null for a failed candidate
    Column("seconds", Float, nullable=False),
    Column("error", Text, nullable=False),
    Column("stopped", Boolean(create_constraint=False)),  # by the race, after some folds
    _time("recorded_at"),
)

models = Table(
    "models",
    metadata,
    _id(),
    _link("search", "searches.id"),
    Column("ensemble_size", Integer, nullable=False),  # seeds whose mean it is
    _link("version", "dataset_versions.id", index=True),
    Column("candidate", Integer, nullable=False),
    _problem(),
    Column("family", String(40), nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("cv_error", Float, nullable=False),
    Column("train_rows", BigInteger, nullable=False),
    Column("train_keys", Digest, nullable=False),  # digest of the keys that it was fitted on
    _link("artifact", "blobs.digest"),
    _link("golden", "blobs.digest"),
    Column("importances", JSON, nullable=False),
    Column("libraries", JSON, nullable=False),
    Column("fit_seconds", Float, nullable=False),
    _link("run", "runs.id", nullable=True),
    _time("created_at"),
    Column("members", JSON, nullable=False),  # candidates and seeds whose mean it is
    Column("groups", JSON, nullable=False),  # what each group of features is worth
    Column("unseen", JSON, nullable=False),  # error at unseen places; empty: not measured
    _link("out_of_fold", "blobs.digest"),  # out-of-fold predictions: key, predicted
    UniqueConstraint("search", "ensemble_size"),
)

# Calibration of a model, from its own training and test rows, so it never changes.
calibrations = Table(
    "calibrations",
    metadata,
    Column("model", ForeignKey("models.id"), primary_key=True, autoincrement=False),
    _link("training_index", "blobs.digest"),
    Column("facts", JSON, nullable=False),
    _time("created_at"),
)

# Promoted models as ONNX graphs, which other versions of libraries can use; none: the reason.
onnx_copies = Table(
    "onnx_copies",
    metadata,
    Column("model", ForeignKey("models.id"), primary_key=True, autoincrement=False),
    _link("artifact", "blobs.digest", nullable=True),
    Column("reason", Text, nullable=False),
    _time("created_at"),
)

# Logged predictions, one row for each file of them; the predictions are in the segment.
prediction_batches = Table(
    "prediction_batches",
    metadata,
    _id(),
    _link("segment", "blobs.digest"),
    Column("rows", BigInteger, nullable=False),  # that are in the segment
    Column("models", JSON, nullable=False),  # rows by model: {"m7": 120}
    Column("has_inputs", Boolean(create_constraint=False), nullable=False),
    _time("first_at"),
    _time("last_at", index=True),
    _time("recorded_at"),
    sqlite_autoincrement=True,  # the number of an expired one is never given again: see the monitor
)

# True values that arrived without the rest of their row, or from a person who checked it.
label_batches = Table(
    "label_batches",
    metadata,
    _id(),
    Column("digest", Digest, nullable=False, unique=True),  # of the delivered content
    Column("name", Text, nullable=False),
    Column("origin", String(40), nullable=False),  # labels, audit
    Column("rows", BigInteger, nullable=False),
    Column("rejected_rows", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    _link("segment", "blobs.digest", nullable=True),  # key, label; none where no row was a label
    _link("run", "runs.id", nullable=True),
    _time("recorded_at"),
)

# Predictions whose label arrived later, per promotion, so that its evidence stays separate.
labelled_predictions = Table(
    "labelled_predictions",
    metadata,
    _id(),
    _link("promotion", "promotion_log.seq"),  # active when the two were matched
    _link("model", "models.id"),
    Column("shadow", Boolean(create_constraint=False), nullable=False),
    Column("key", BigInteger, nullable=False),
    Column("origin", String(40), nullable=False),  # batch of labels: b5, l3
    Column("batch", BigInteger, nullable=False),  # of predictions; an expired one has no row
    _time("predicted_at"),
    Column("predicted", Float, nullable=False),
    Column("lower", Float),
    Column("upper", Float),
    Column("label", Float, nullable=False),
    Index("ix_labelled_predictions_key", "model", "shadow", "key"),
)

# What one run of the monitor found in one source of rows.
monitor_windows = Table(
    "monitor_windows",
    metadata,
    _id(),
    _link("model", "models.id"),
    _link("promotion", "promotion_log.seq"),  # evidence belongs to the line that promoted it
    Column("source", String(20), nullable=False),  # predictions, labels, batches or clock
    Column("rows", BigInteger, nullable=False),
    Column("labelled", BigInteger, nullable=False),
    Column("cursor", JSON, nullable=False),  # where the next run continues
    # By batch of labels, in columns: key, outside, above.
    Column("labelled_rows", JSON, nullable=False),
    Column("signals", JSON, nullable=False),  # each signal with its figures and state
    Column("errors", JSON, nullable=False),  # live error by model
    Column("actions", JSON, nullable=False),  # what it alerted, and what it started
    _time("recorded_at"),
    Index("ix_monitor_windows_source", "source"),
    Index("ix_monitor_windows_promotion", "promotion", "source"),
)

# The outbox: one alert for one channel, written in the transaction of what it reports.
alerts = Table(
    "alerts",
    metadata,
    _id(),
    Column("event", String(40), nullable=False),
    Column("about", String(200), nullable=False),  # what it reports, by content
    Column("cause", Text, nullable=False),  # what failed, if it is a state that can end
    Column("channel", String(40), nullable=False),
    Column("message", Text, nullable=False),
    Column("subject", Text, nullable=False),
    _time("recorded_at"),
    _time("resolved_at", nullable=True),  # the state has ended: the next time is another alert
    Column("attempts", Integer, nullable=False),
    _time("next_at"),  # no attempt before; while one is made, when it counts as interrupted
    _time("ended_at", nullable=True, index=True),  # delivered, or given up
    Column("error", Text, nullable=False),  # of the last attempt; "" if delivered
    Index("ix_alerts_about", "event", "about"),
)

# What another system was sent (`operations.mirror`): its id for each of ours there, and a digest of
# what may change in ours. Beside these, by `kind`: "server", the address that the ids are of;
# "failures", how many attempts in a row; "start", the instant before which nothing is sent.
mirrored = Table(
    "mirrored",
    metadata,
    Column("kind", String(20), primary_key=True),
    Column("ours", String(200), primary_key=True),
    Column("theirs", String(200), nullable=False),
    _time("at"),
    Column("digest", Digest, nullable=False),
)

# What the watchdog remembers about the times at which a run was due.
watchdog_marks = Table(
    "watchdog_marks", metadata, Column("key", String(200), primary_key=True), _time("at")
)

evaluations = Table(
    "evaluations",
    metadata,
    _id(),
    # Rows, challenger, champion and policy; of several with the same key the newest stands.
    Column("key", Digest, nullable=False, index=True),
    _link("version", "dataset_versions.id"),
    _link("challenger", "models.id", index=True),
    _link("champion", "models.id", nullable=True),
    _link("predictions", "blobs.digest"),
    Column("policy", JSON, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("verdict", JSON, nullable=False),
    Column("outcome", String(20), nullable=False),
    _link("run", "runs.id", nullable=True, index=True),
    _time("created_at"),
    Index("ix_evaluations_version", "version", "challenger", "run"),  # what reuse is counted by
)

# Append-only. `seq` has no gaps: the first to insert seq + 1 wins.
promotion_log = Table(
    "promotion_log",
    metadata,
    Column("seq", BigId, primary_key=True, autoincrement=False),
    # promote, rollback, block, unblock, restore
    Column("operation", String(20), nullable=False),
    _link("from_model", "models.id", nullable=True),
    _link("to_model", "models.id"),  # the champion from here on
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    _link("evaluation", "evaluations.id", nullable=True),
    _link("run", "runs.id", nullable=True),
    _time("at"),
    Column("blocked_model", ForeignKey("models.id")),  # what is blocked or unblocked
    Column("blocked_batch", ForeignKey("batches.id")),
    Column("overridden", JSON),  # checks of the gate against which a person promoted
)

# Checks that a rollback target loads in a fresh process.
readiness_checks = Table(
    "readiness_checks",
    metadata,
    _id(),
    _link("model", "models.id", index=True),
    Column("ready", Boolean(create_constraint=False), nullable=False),
    Column("detail", Text, nullable=False),
    Column("environment", Digest, nullable=False),  # of the libraries that it was loaded with
    Column("onnx_ready", Boolean(create_constraint=False)),  # of its ONNX copy; null: there is none
    Column("onnx_detail", Text),
    Column("seconds", Float, nullable=False),
    _time("checked_at"),
)

# Snapshots of the whole store in a backup, and the result of the last trial restore.
backups = Table(
    "backups",
    metadata,
    Column("snapshot", String(60), primary_key=True),
    Column("url", String(500), primary_key=True),
    Column("size", BigInteger, nullable=False),  # bytes, of all that it refers to
    Column("blobs", BigInteger, nullable=False),
    _time("created_at"),
    Column("verified", Boolean(create_constraint=False)),  # null: never tried
    Column("detail", Text, nullable=False),
    _time("verified_at", nullable=True),
    _time("pruned_at", nullable=True),
)

# What the gate would promote and a person must approve. The row changes once: from pending.
approvals = Table(
    "approvals",
    metadata,
    _id(),
    _link("run", "runs.id"),  # the run that requested it
    _link("evaluation", "evaluations.id", unique=True),
    # pending, approved, rejected, expired, superseded
    Column("status", String(20), nullable=False, index=True),
    _time("requested_at"),
    _time("expires_at"),
    _time("decided_at", nullable=True),
    Column("decided_by", String(200)),
    Column("reason", Text),
    _link("reevaluation", "evaluations.id", nullable=True),  # the comparison with a newer champion
)

APPEND_ONLY = (
    promotion_log, split_sides, near_duplicate_index, batch_splits, stratum_counts,
    dataset_versions, fold_scores, trials,
)  # fmt: skip
"""Tables on which the migrations put triggers against UPDATE and DELETE."""

_BY_LETTER = {
    "b": (batches, "batch", "housing batches"),
    "e": (evaluations, "evaluation", "housing runs"),
    "m": (models, "model", "housing models"),
    "r": (runs, "run", "housing runs"),
    "s": (searches, "search", "housing runs"),
    "v": (dataset_versions, "dataset version", "housing datasets"),
}
"""What an id with this letter is of, and the command that lists them."""


def row_of(connection: Connection, letter: str, id_: int) -> Row[Any]:
    """The row of m7, b3 or another id; UnknownId where there is none."""
    table, kind, listing = _BY_LETTER[letter]
    row = connection.execute(select(table).where(table.c.id == id_)).one_or_none()
    if row is None:
        raise UnknownId(kind=kind, id=f"{letter}{id_}", listing=listing)
    return row
