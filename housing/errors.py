"""Every expected way to fail: one base, one class per situation that someone handles.

A message names the thing and the next step. Nothing here knows how an error is shown.
"""

from typing import Any, ClassVar


class HousingError(Exception):
    """Base of all expected errors; `facts` fill the class's message template.

    `exit_code` is what the command line returns: 1 failed, 2 usage, 5 something is corrupt.
    """

    template: ClassVar[str] = "{message}"
    exit_code: ClassVar[int] = 1

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(self.template.format(**facts))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.facts)


def _rebuild(kind: type[HousingError], facts: dict[str, Any]) -> HousingError:
    return kind(**facts)


# --- what a user asked for ------------------------------------------------------------------


class SettingsInvalid(HousingError):
    """One or more settings are unknown or impossible; all of them are named."""

    template = "{faults}\nSettings are described in docs/settings.md."
    exit_code = 2


class UnknownId(HousingError):
    """An id that the store does not have."""

    template = "There is no {kind} {id}. `{listing}` lists those that exist."
    exit_code = 2


class NotPossible(HousingError):
    """A request that is understood and refused; the reason says what would make it possible."""

    template = "{what} is refused: {why}"
    exit_code = 2


# --- intake ---------------------------------------------------------------------------------


class SourceUnavailable(HousingError):
    """A source of rows cannot be read at all (not: has no new rows)."""

    template = "The source {source} cannot be read: {why}. {next_step}"


class FileUnreadable(HousingError):
    """A file that is not a table of districts; it is kept, and the other files go on."""

    template = "{file}: {why}"


# --- the store ------------------------------------------------------------------------------


class StoreUnavailable(HousingError):
    """The metadata store or the blob folder cannot be opened or written."""

    template = "{what} cannot be used: {why}. {next_step}"


class StoreBusy(HousingError):
    """Another process held the database longer than the busy timeout."""

    template = "The database {what} stayed locked for {seconds:.0f} s. {next_step}"


class SchemaTooNew(HousingError):
    """The database was written by a newer release."""

    template = (
        "The database is at schema {found}, newer than this release knows ({known}). "
        "Install the release that wrote it, or point HOUSING_DATABASE_URL elsewhere."
    )


class SchemaTooOld(HousingError):
    """The database was written before the first release."""

    template = (
        "The database is at schema {found}; this release reads {oldest} and newer. Start over "
        "with an empty HOUSING_HOME (and an empty database where HOUSING_DATABASE_URL names one), "
        "and ingest the files again."
    )


class DiskFull(HousingError):
    """No space left where the system writes; what was begun has been undone."""

    template = (
        "No space is left on the disk of {place}. Nothing was half written; free some space "
        "(`housing prune` drops what retention no longer needs) and run the same command again."
    )


class Corrupt(HousingError):
    """Stored bytes are not the bytes whose digest the database holds."""

    template = (
        "{what} is corrupt: {why}. `housing doctor` names every damaged object, "
        "`housing heal` copies back what the backup has."
    )
    exit_code = 5


class BlobMissing(Corrupt):
    """A stored object that the database refers to is not there."""

    template = (
        "{what} is missing from {place}. `housing doctor` names every missing object, "
        "`housing heal` copies back what the backup has."
    )


class BackupDamaged(Corrupt):
    """Bytes in the backup place that are not those that were written."""

    template = (
        "{what} is damaged: {why}. `housing backup verify` lists all that is damaged in a backup, "
        "and `housing backup create` then writes a whole one."
    )


class BackupCopyMissing(BlobMissing):
    """An object that a backup refers to is not in the backup place."""

    template = (
        "{what} is missing from the backup {place}. `housing backup verify` lists all that is "
        "missing in a backup, and `housing backup create` then writes a whole one."
    )


class SignatureWrong(Corrupt):
    """Bytes that the key of this system did not sign: they are never deserialised."""

    template = (
        "{what} is not loaded: {why}. If you trust its origin, run `housing sign --reason TEXT` "
        "to sign the stored models; otherwise see `housing doctor`."
    )


class WrongKey(HousingError):
    """A model that was signed with another key than the one here."""

    template = (
        "{what} was signed with another key ({theirs}) than the one in {place} ({ours}). Set "
        "HOUSING_SIGNING_KEY to the key of the machine that wrote it; where that key is lost, "
        "`housing sign --reason TEXT` signs again."
    )


class KeyMissing(HousingError):
    """A signed model, and no key to check it with."""

    template = (
        "{what} was signed with the key {theirs}, and there is no key here. Put it into {file} "
        "or set HOUSING_SIGNING_KEY; where it is lost, `housing sign --reason TEXT` signs again."
    )


class BackupKeyWrong(HousingError):
    """An encrypted backup, and another key than it was written with."""

    template = (
        "{path} was encrypted with another key than HOUSING_BACKUP_KEY here. Set it to the key "
        "of the machine that wrote the backup."
    )


class Pruned(HousingError):
    """Bytes that retention has dropped."""

    template = (
        "{what} was pruned on {day}: it was older than what is retained. `housing reproduce "
        "ID --keep` trains a model again from recorded facts."
    )
    exit_code = 2


# --- evaluation -----------------------------------------------------------------------------


class NotMeasurable(HousingError):
    """Figures that the test rows at hand cannot give."""

    template = "There is no measuring {what}: {why}."


# --- nights ---------------------------------------------------------------------------------


class RunInProgress(HousingError):
    """The lease on the night is held by a living owner."""

    template = (
        "{owner} has been running since {since} and was last heard of {heard:.0f} s ago. "
        "Wait for it, or stop that process; a dead owner's lease is taken over by itself."
    )


class LeaseLost(HousingError):
    """This process no longer owns the night; it must not write anything."""

    template = (
        "This run lost its lease ({why}); nothing more was written. "
        "`housing runs` shows who took over."
    )


class ChampionChanged(HousingError):
    """Compare-and-swap on the champion failed: another writer was first."""

    template = "The champion changed meanwhile: expected {expected}, found {found}. {next_step}"


class ModelBlocked(HousingError):
    """A model of a lineage that a person has taken back."""

    template = "{model} is not made champion: {why}. `housing status` lists what is blocked."
    exit_code = 2


class NothingToTrainOn(HousingError):
    """There is no dataset, or too little of it."""

    template = "There is nothing to train on: {why}. {next_step}"


class LeakFound(HousingError):
    """Training keys of a model and tonight's test keys overlap: the run stops."""

    template = (
        "The leak proof failed for {model}: {overlap} of its {rows} training districts are in "
        "the test set of {version}. Nothing was judged. `housing doctor` checks the split."
    )


class SearchFailed(HousingError):
    """Every draw of a search failed to fit."""

    template = "All {draws} draws of the search failed; the first said: {first}"


class ClusterUnavailable(HousingError):
    """The Dask scheduler that is named cannot do the work."""

    template = (
        "The Dask scheduler {address} cannot be used: {why}. Start it and its workers "
        "(`dask scheduler`, `dask worker ADDRESS`), or unset HOUSING_DASK_ADDRESS to compute here."
    )


class NoRollbackTarget(HousingError):
    """There is no former champion to go back to."""

    template = "There is nothing to roll back to: {why}. `housing history` shows the ledger."
    exit_code = 2
