"""What the operator is told: could we go back, how far is the shadow, what needs a person."""

from pathlib import Path

from housing.inference.loaded_model import load
from housing.pipeline import rollback_readiness
from housing.store.database.engine import Store
from tests.housing.serving.conftest import only_settings, running
from tests.housing.serving.test_shadow_comparison import NOW, _log


def test_each_kept_champion_says_whether_it_could_be_gone_back_to(
    own_home: Path, own_store: Store
) -> None:
    with only_settings(own_home) as settings, running(settings) as client:
        before = client.get("/operator/data").json()["retained"]
        assert [(row["model"], row["state"]) for row in before] == [
            ("m2", "not tried yet"), ("m1", "not tried yet"),
        ]  # fmt: skip
        digest = load(own_store, 1).artifact
        path = next((own_home / "blobs").rglob(f"{digest}*"))
        path.write_bytes(b"damaged")
        for copy in (own_home / "backup").rglob(f"{digest}*"):
            copy.unlink()
        rollback_readiness.check(own_store, settings)
        after = {row["model"]: row for row in client.get("/operator/data").json()["retained"]}
        assert after["m2"]["state"] == "ready"
        assert after["m1"]["state"] == "NOT READY"
        assert after["m1"]["message"]
        assert after["m2"]["tried_at"]


def test_the_shadow_stands_beside_the_champion(own_home: Path, own_store: Store) -> None:
    _log(own_store, load(own_store, 2), load(own_store, 1), NOW)
    with only_settings(own_home) as settings, running(settings) as client:
        rows = client.get("/operator/data").json()["shadow"]
    assert [(row["models"], row["day"], row["rows"]) for row in rows] == [
        ("m1 beside m2", "all", 20), ("m1 beside m2", "2026-03-05", 20),
    ]  # fmt: skip
    assert rows[0]["beyond"].endswith("%")
