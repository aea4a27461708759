"""Fitted models as bytes, and back: the only place that deserialises.

Digest and keyed signature come from SQL and are checked before a byte is deserialised; nothing
here takes a path, so no file that a user names can ever be loaded as a model. The format is
skops, restricted to the types of `trusted_types`; joblib for models that skops cannot store; ONNX
for copies that need none of the libraries that fitted the model (`onnx_copies`).
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from housing import schema
from housing.errors import BlobMissing, HousingError, NotPossible, NotUsableHere, Pruned
from housing.problem import MARK
from housing.store.data.segments import get_table, put_frame, to_frame
from housing.store.database.engine import Store
from housing.store.database.tables import blobs
from housing.store.models import skops_format
from housing.store.models.onnx_format import OnnxModel
from housing.store.models.trusted_types import trusted_types
from housing.store.objects.blobs import Blob
from housing.training.workers import one_thread

FORMAT = "skops.zst"
PICKLED = "joblib.zst"
"""For models that skops cannot store. Only the signature protects from a malicious pickle; both
formats require it."""
ONNX = "onnx.zst"

KIND, COPY_KIND = SIGNED = "model", "onnx copy"
"""Kinds of the blobs that are signed: models and their ONNX copies."""

PREDICTION = f"{MARK}prediction"
GOLDEN_TOLERANCE = 1e-9
"""Relative; the same artifact in the same environment must give the same numbers."""


def put_model(store: Store, model: Any) -> Blob:
    """Store a fitted model, signed; NotPossible where it holds a type that is not trusted."""
    return signed(store, store.blobs.put(*_packed(model)))


def put_onnx(store: Store, data: bytes) -> Blob:
    """Store a model as an ONNX graph, signed like any other."""
    return signed(store, store.blobs.put(_compressed(data), ONNX))


def digest_of(model: Any) -> str:
    """The digest that a fitted model would be stored under."""
    return hashlib.sha256(_packed(model)[0]).hexdigest()


def size_of(model: Any) -> int:
    """The bytes that a fitted model would be stored in."""
    return len(_packed(model)[0])


def _packed(model: Any) -> tuple[bytes, str]:
    """A model's bytes and their format."""
    plain, suffix = skops_format.dump(model, trusted_types()), FORMAT
    if plain is None:
        buffer = io.BytesIO()
        joblib.dump(model, buffer)
        plain, suffix = buffer.getvalue(), PICKLED
    return _compressed(plain), suffix


def _compressed(plain: bytes) -> bytes:
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(plain)
    compressed: bytes = packed.getvalue().to_pybytes()
    return compressed


def _unpacked(packed: bytes, suffix: str) -> Any:
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        plain = stream.read()
    if suffix == ONNX:
        return OnnxModel(plain)
    if suffix == FORMAT:
        return skops_format.load(plain, trusted_types())
    return joblib.load(io.BytesIO(plain))


def check_storable(model: Any, rows: pd.DataFrame, what: str) -> None:
    """NotPossible where a fitted model cannot be stored, or predicts otherwise once it is loaded.

    Nothing is kept. `what` names the model in the message.
    """
    try:
        again = _unpacked(*_packed(model))
        same = np.allclose(again.predict(rows), model.predict(rows), rtol=GOLDEN_TOLERANCE, atol=0)
    except NotPossible:
        raise
    except Exception as error:  # whatever a strange type raises: it is the model that is at fault
        why = f"{type(error).__name__}: {error}."
        raise NotPossible(what=f"Storing {what}", why=why) from error
    if not same:
        why = "once it is loaded again it predicts otherwise."
        raise NotPossible(what=f"Storing {what}", why=why)


def signed(store: Store, blob: Blob) -> Blob:
    """The address of a model together with its signature by the key here."""
    signature = store.signer.sign(_claim(blob.digest, blob.suffix))
    return replace(blob, signature=signature)


def get_model(store: Store, digest: str) -> Any:
    """A stored model.

    SignatureWrong, WrongKey, KeyMissing, Corrupt, BlobMissing or Pruned before anything is
    deserialised; NotUsableHere where that fails.
    """
    row = store.query(_row, digest)
    check_signature(store, row)
    try:
        packed = store.blobs.get(row.digest, row.suffix)
    except BlobMissing:
        store.query(_row, digest)  # Pruned, where a prune has dropped it since
        raise
    try:
        return _unpacked(packed, row.suffix)
    except HousingError:
        raise
    except Exception as error:  # its bytes are those that were stored: the environment has changed
        text = str(error).rstrip(".")
        why = f"loading it fails ({type(error).__name__}: {text})"
        raise NotUsableHere(what=f"The model {digest[:12]}", why=why) from error


def check_signature(store: Store, row: Row[Any]) -> None:
    """SignatureWrong, WrongKey or KeyMissing unless the key here signed the model of this row."""
    what = f"The model {row.digest[:12]}"
    store.signer.check(row.signature, _claim(row.digest, row.suffix), what)


def _claim(digest: str, suffix: str) -> str:
    """What is signed: that these bytes, read in this format, are a model of this system."""
    return f"housing model {suffix} {digest}"


def _row(connection: Connection, digest: str) -> Row[Any]:
    row = connection.execute(sa.select(blobs).where(blobs.c.digest == digest)).one()
    if row.pruned_at is not None:
        raise Pruned(what=f"The model {digest[:12]}", day=f"{row.pruned_at:%Y-%m-%d}")
    return row


def put_golden(store: Store, rows: pd.DataFrame, predictions: np.ndarray[Any, Any]) -> Blob:
    """Store a few rows with the model's predictions."""
    return put_frame(store, rows.assign(**{PREDICTION: predictions}).reset_index(drop=True))


def load_verified(store: Store, artifact: str, golden: str) -> tuple[Any, float]:
    """A model that predicts its golden rows again, and the worst relative difference.

    NotUsableHere where that exceeds GOLDEN_TOLERANCE; otherwise as `get_model`. In one thread: for
    a few rows, waking others takes longer than they save.
    """
    with one_thread():
        model = get_model(store, artifact)
        features = list(schema.FEATURES)
        return model, replay_golden(store, golden, lambda X: model.predict(X[features]))


def worst_difference(now: npt.NDArray[Any], then: npt.NDArray[Any]) -> float:
    """The largest difference of predictions (n,), relative to the prediction or, where that is
    larger, to the mean one: a prediction may be zero."""
    size = np.maximum(np.abs(then), np.abs(then).mean())
    return float(np.max(np.abs(now - then) / np.where(size > 0, size, 1.0)))


def replay_golden(store: Store, digest: str, predict: Callable[[pd.DataFrame], Any]) -> float:
    """Predict the golden rows again; returns the worst relative difference (0 is the same).

    NotUsableHere where it exceeds GOLDEN_TOLERANCE, or predicting fails.
    """
    golden = to_frame(get_table(store, digest))
    then = golden.pop(PREDICTION).to_numpy()
    try:
        now = np.asarray(predict(golden))
    except Exception as error:  # what was loaded lacks what the installed libraries expect
        text = str(error).rstrip(".")
        why = f"predicting its golden rows fails ({type(error).__name__}: {text})"
        raise NotUsableHere(what="The model", why=why) from error
    worst = worst_difference(now, then)
    if not worst <= GOLDEN_TOLERANCE:
        why = f"its golden predictions differ by up to {worst:.2g} of what they were"
        raise NotUsableHere(what="The model", why=why)
    return worst
