"""ONNX copies of promoted models, for the day on which the libraries have changed.

A copy is a blob beside the model's own artifact, signed and checked in the same way.
`inference.onnx.convert` makes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing.errors import HousingError, NotUsableHere
from housing.store.database.engine import Store
from housing.store.database.tables import onnx_copies, utc_now
from housing.store.objects.blobs import Blob
from housing.store.objects.recording import record_blob

NONE = "there is none: it is made before a promotion"


def get(connection: Connection, model: int) -> Row[Any] | None:
    """A model's copy (digest or None, reason), or None where none was tried."""
    query = sa.select(onnx_copies).where(onnx_copies.c.model == model)
    return connection.execute(query).one_or_none()


def digests(connection: Connection, model: int) -> tuple[str, ...]:
    """The digest of a model's copy, or nothing."""
    row = get(connection, model)
    return () if row is None or row.artifact is None else (row.artifact,)


def reasons(connection: Connection, models: Sequence[int]) -> Mapping[int, str]:
    """By each of these models for which a copy was tried: why there is none, or ""."""
    found = onnx_copies.c.model.in_(models)
    query = sa.select(onnx_copies.c.model, onnx_copies.c.reason).where(found)
    return {row.model: row.reason for row in connection.execute(query)}


def put(store: Store, model: int, copy: Blob | None, reason: str) -> None:
    """Record a stored copy in place of an earlier one, or the reason why there is none."""
    from housing.store.models import artifacts  # not for commands that only list copies

    with store.write() as connection:
        digest = None if copy is None else record_blob(connection, copy, artifacts.COPY_KIND)
        new = {"model": model, "artifact": digest, "reason": reason, "created_at": utc_now()}
        connection.execute(onnx_copies.delete().where(onnx_copies.c.model == model))
        connection.execute(onnx_copies.insert().values(**new))


@dataclass(frozen=True)
class VerifiedModel:
    """A loaded model whose golden predictions are what they were."""

    model: Any
    artifact: str  # digest of what was loaded
    artifact_error: str = ""  # why it is the ONNX copy


def load_verified(store: Store, row: Row[Any]) -> VerifiedModel:
    """A model, or its ONNX copy where the libraries installed here cannot use the model.

    Raises as `artifacts.load_verified` of the model where its copy cannot be used either.
    """
    from housing.store.models import artifacts

    try:
        model, _ = artifacts.load_verified(store, row.artifact, row.golden)
    except NotUsableHere as error:
        copies = store.query(digests, row.id)
        for copy in copies:
            try:
                model, _ = artifacts.load_verified(store, copy, row.golden)
            except HousingError as other:
                raise error from other
            return VerifiedModel(model, copy, str(error.facts["why"]))
        raise
    return VerifiedModel(model, row.artifact)
