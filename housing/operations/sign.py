"""Signs stored models with the present key, after the old one was lost or changed."""

from dataclasses import dataclass

from housing.errors import Corrupt, HousingError
from housing.records import RunOutcome
from housing.store.database.engine import Store
from housing.store.database.tables import blobs
from housing.store.models import artifacts
from housing.store.objects.blobs import Blob
from housing.store.objects.recording import live_rows
from housing.store.runs import runs


@dataclass(frozen=True)
class Signed:
    """Digests of models that were signed, and of those whose bytes are not the recorded ones."""

    signed: tuple[str, ...]
    damaged: tuple[str, ...]


def sign(store: Store, reason: str) -> Signed:
    """Sign, with the key here, every stored model that it has not signed yet.

    Only bytes with the digest that SQL holds are signed; damaged and missing ones are named.
    Recorded as a run.
    """
    fresh, damaged = [], []
    for row in store.query(live_rows, artifacts.SIGNED):
        try:
            artifacts.check_signature(store, row)
        except HousingError:
            try:
                store.blobs.get(row.digest, row.suffix)
                fresh.append(artifacts.signed(store, Blob(row.digest, row.suffix, row.size)))
            except Corrupt:
                damaged.append(row.digest)
    if fresh:
        text = f"{len(fresh)} models were signed with the key {store.signer.key_id()}"
        with runs.recorded(store, "sign", {"reason": reason}) as run:
            with store.write() as connection:
                for blob in fresh:
                    this = blobs.update().where(blobs.c.digest == blob.digest)
                    connection.execute(this.values(signature=blob.signature))
            runs.finish(store, run, "completed", outcome=RunOutcome.DONE, message=text)
    return Signed(tuple(blob.digest for blob in fresh), tuple(damaged))
