"""Signing again after the key was lost."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from sklearn.linear_model import LinearRegression

from housing.errors import WrongKey
from housing.operations.sign import sign
from housing.settings import load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.database.tables import runs
from housing.store.models import artifacts
from housing.store.objects.recording import record_blob


def _keep(store: Store, slope: float) -> str:
    blob = artifacts.put_model(store, LinearRegression().fit([[0.0], [1.0]], [0.0, slope]))
    with store.write() as connection:
        return record_blob(connection, blob, "model")


def test_a_lost_key_is_replaced_and_damage_is_not_vouched_for(store: Store) -> None:
    whole, broken = _keep(store, 1.0), _keep(store, 2.0)
    assert sign(store, "nothing to do").signed == ()
    Path(store.blobs.path(broken, artifacts.FORMAT)).write_bytes(b"other bytes")
    settings = load_settings(signing_key="the key of another machine, 32 characters")
    with open_store(settings) as moved:
        with pytest.raises(WrongKey):
            artifacts.get_model(moved, whole)
        done = sign(moved, "the old machine burnt")
        assert (done.signed, done.damaged) == ((whole,), (broken,))
        assert artifacts.get_model(moved, whole).predict([[3.0]]) == pytest.approx([3.0])
        with pytest.raises(WrongKey):
            artifacts.get_model(moved, broken)
        with moved.read() as connection:
            (row,) = connection.execute(sa.select(runs)).all()
    assert (row.kind, row.status, row.parameters) == (
        "sign",
        "completed",
        {"reason": "the old machine burnt"},
    )
