"""Makes the ONNX copy of a model that is about to be promoted."""

from typing import Any

from sqlalchemy.engine import Row

from housing import schema
from housing.errors import HousingError
from housing.inference.onnx.convert import to_onnx
from housing.store.database.engine import Store
from housing.store.models import artifacts, onnx_copies
from housing.store.models.onnx_format import OnnxModel

MOST_ROWS = 200_000
"""Training rows up to which a copy is made: of more, neighbours by all distances take too long."""


def store_copy(store: Store, row: Row[Any], fitted: Any) -> str:
    """Store the ONNX copy of a model; returns why there is none, or "".

    It must reproduce the golden predictions. Nothing that fails here stops a promotion.
    """
    reason, copy = "", None
    if row.train_rows > MOST_ROWS:
        reason = f"{row.train_rows:,} training rows are more than {MOST_ROWS:,}"
    else:
        try:
            data = to_onnx(fitted, {"artifact": row.artifact, "target_unit": schema.UNIT})
            artifacts.replay_golden(
                store, row.golden, lambda X: OnnxModel(data).predict(X[list(schema.FEATURES)])
            )
            copy = artifacts.put_onnx(store, data)
        except HousingError as error:
            reason = str(error.facts.get("why", error)).rstrip(".")
        except Exception as error:  # noqa: BLE001 - a model is promoted without its copy
            reason = f"{type(error).__name__}: {error}"
    onnx_copies.put(store, row.id, copy, reason and f"there is none: {reason}")
    return reason
