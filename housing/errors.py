"""All expected errors: one base class and one class per situation.

A message names the object and the next step.
"""

from functools import partial
from typing import Any, ClassVar


class HousingError(Exception):
    """Base of all expected errors; `facts` are the fields of the message template.

    `exit_code` is the exit code of the command: 1 failed, 2 usage, 5 corrupt.
    """

    template: ClassVar[str] = "{message}"
    exit_code: ClassVar[int] = 1

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(self.template.format(**facts))

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self.facts), ()


# --- requests ------------------------------------------------------------------


class SettingsInvalid(HousingError):
    """One or more settings are unknown or invalid; the message names all of them."""

    template = "{faults}\nSettings are described in docs/settings.md."
    exit_code = 2


class ProblemInvalid(HousingError):
    """HOUSING_PROBLEM names no usable problem."""

    template = "HOUSING_PROBLEM={name} is no problem: {why}."
    exit_code = 2


class ProblemDiffers(HousingError):
    """The store holds data of another problem than the one in force."""

    template = (
        "The store {store} holds data of the problem {found}, and HOUSING_PROBLEM is {name}. Set "
        "HOUSING_PROBLEM to the module of {found}, or HOUSING_HOME and HOUSING_DATABASE_URL to an "
        "empty location."
    )
    exit_code = 2


class UnknownId(HousingError):
    """An id that the store does not have."""

    template = "There is no {kind} {id}. `{listing}` lists those that exist."
    exit_code = 2


class NotPossible(HousingError):
    """A valid request that is refused; the reason names what would make it possible."""

    template = "{what} is refused: {why}"
    exit_code = 2


# --- sources ---------------------------------------------------------------------------------


class SourceUnavailable(HousingError):
    """A source of rows cannot be read."""

    template = "The source {source} cannot be read: {why}. {next_step}"


class FileUnreadable(HousingError):
    """A file that is not a table of the problem's rows; other files are ingested."""

    template = "{file}: {why}"


# --- the mirror ------------------------------------------------------------------------------


class MirrorUnavailable(HousingError):
    """The other system cannot be reached, or refuses everything; nothing is lost."""

    template = "The MLflow server {address} cannot be used: {why}. {next_step}"


class MirrorRefused(HousingError):
    """The other system refused one object; `code` is its code of the error."""

    template = "The MLflow server refused {what}: {why}"


# --- the store ------------------------------------------------------------------------------


class StoreUnavailable(HousingError):
    """The metadata store or the blob folder cannot be opened or written."""

    template = "{what} cannot be used: {why}. {next_step}"


class NotOwned(StoreUnavailable):
    """Files may belong to another database, or to a newer state of this one."""


class StoreBusy(HousingError):
    """Another process locked the database for longer than the busy timeout."""

    template = "The database {what} stayed locked for {seconds:.0f} s. {next_step}"


class SchemaTooNew(HousingError):
    """The database schema is newer than this release."""

    template = (
        "The database is at schema {found}, newer than this release knows ({known}). "
        "Install the release that wrote it, or point HOUSING_DATABASE_URL elsewhere."
    )


class SchemaTooOld(HousingError):
    """The database schema is older than the first release."""

    template = (
        "The database is at schema {found}; this release reads {oldest} and newer. Start over "
        "with an empty HOUSING_HOME (and an empty database where HOUSING_DATABASE_URL names one), "
        "and ingest the files again."
    )


class DiskFull(HousingError):
    """No space left on the disk; the operation was undone."""

    template = (
        "No space is left on the disk of {location}. The operation was undone. Free some space and "
        "run the command again; `housing prune`, which needs a little space itself, deletes what "
        "retention no longer needs."
    )


class Corrupt(HousingError):
    """Stored bytes do not match their digest in the database."""

    template = (
        "{what} is corrupt: {why}. `housing doctor` lists all damaged objects, "
        "`housing heal` restores them from the backup."
    )
    exit_code = 5


class NotUsableHere(Corrupt):
    """An undamaged model that the installed libraries cannot load, or that predicts otherwise."""

    template = "{what} cannot be used with the libraries installed here: {why}."


class BlobMissing(Corrupt):
    """A stored object that the database refers to does not exist."""

    template = (
        "{what} is missing from {location}. `housing doctor` lists all missing objects, "
        "`housing heal` restores them from the backup."
    )


class NoIntactCopy(Corrupt):
    """A stored object that is lost here and in the backup."""

    template = (
        "The {kind} {digest} is damaged or missing in {location}, and so is its copy in the backup "
        "{backup}. {next_step}"
    )


class BackupDamaged(Corrupt):
    """Bytes in the backup do not match their digest."""

    template = (
        "{what} is damaged: {why}. `housing backup verify` lists all damage in a backup; "
        "`housing backup create` writes a complete new one."
    )


class BackupCopyMissing(BlobMissing):
    """An object that a backup refers to does not exist."""

    template = (
        "{what} is missing from the backup {location}. `housing backup verify` lists all that is "
        "missing in a backup; `housing backup create` writes a complete new one."
    )


class SignatureWrong(Corrupt):
    """Bytes without a valid signature; they are never deserialised."""

    template = (
        "{what} is not loaded: {why}. If you trust its origin, run `housing sign --reason TEXT` "
        "to sign the stored models; otherwise see `housing doctor`."
    )


class WrongKey(HousingError):
    """A model was signed with another key."""

    template = (
        "{what} was signed with another key ({theirs}) than the one in {location} ({ours}). Set "
        "HOUSING_SIGNING_KEY to the key of the machine that wrote it; if that key is lost, "
        "`housing sign --reason TEXT` signs again."
    )


class KeyMissing(HousingError):
    """A signed model, but no key to verify it."""

    template = (
        "{what} was signed with the key {theirs}, and there is no key here. Put it into {file} "
        "or set HOUSING_SIGNING_KEY; if it is lost, `housing sign --reason TEXT` signs again."
    )


class BackupKeyWrong(HousingError):
    """A backup was encrypted with another key."""

    template = (
        "{path} was encrypted with another key than HOUSING_BACKUP_KEY here. Set it to the key "
        "of the machine that wrote the backup."
    )


class Pruned(HousingError):
    """Bytes were deleted by retention."""

    template = (
        "{what} was deleted on {day} by the retention policy. `housing reproduce "
        "ID --keep` trains a model again from its record."
    )
    exit_code = 2


# --- evaluation -----------------------------------------------------------------------------


class NotMeasurable(HousingError):
    """A figure cannot be computed from the given test rows."""

    template = "Cannot measure {what}: {why}."


# --- runs ---------------------------------------------------------------------------------


class RunInProgress(HousingError):
    """Another live process holds the lease."""

    template = (
        "{owner} has been running since {since}; its last heartbeat was {heartbeat_age:.0f} s ago. "
        "Wait for it or stop that process; the lease of a dead process is taken over "
        "automatically."
    )


class LeaseLost(HousingError):
    """This process no longer holds the lease and must not write."""

    template = (
        "This run lost its lease ({why}); nothing more was written. "
        "`housing runs` shows who took over."
    )


class ChampionChanged(HousingError):
    """Compare-and-swap on the champion failed: another process changed it first."""

    template = "The champion has changed: expected {expected}, found {found}. {next_step}"


class ModelBlocked(HousingError):
    """A model that is blocked after a rollback."""

    template = "{model} is not made champion: {why}. `housing status` lists what is blocked."
    exit_code = 2


class NothingToTrainOn(HousingError):
    """There is no dataset, or it is too small."""

    template = "There is nothing to train on: {why}. {next_step}"


class LeakFound(HousingError):
    """Training keys of a model are in the test set: the run stops."""

    template = (
        "Leakage check failed for {model}: {overlap} of its {rows} training rows are in "
        "the test set of {version}. Nothing was judged. `housing doctor` checks the split."
    )


class SearchFailed(HousingError):
    """Every candidate of a search failed to fit."""

    template = (
        "All {trials} trials of the search failed; the first error: {first}. "
        "`housing retrain --families NAMES` or `--seed N` starts another search."
    )


class ClusterUnavailable(HousingError):
    """The Dask scheduler cannot be used."""

    template = (
        "The Dask scheduler {address} cannot be used: {why}. Start it and its workers "
        "(`dask scheduler`, `dask worker ADDRESS`), or unset HOUSING_DASK_ADDRESS to compute here."
    )


class ClusterDiffers(ClusterUnavailable):
    """A Dask worker has another Python, other libraries or no code of ours."""

    template = (
        "The Dask scheduler {address} cannot be used: {why}. Install the same release with the "
        "same lock file on every worker, or unset HOUSING_DASK_ADDRESS to compute here."
    )


class NoRollbackTarget(HousingError):
    """There is no former champion, or none that is not blocked."""

    template = "There is nothing to roll back to: {why}. `housing history` shows all promotions."
    exit_code = 2
