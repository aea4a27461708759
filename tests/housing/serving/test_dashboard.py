"""Data of the dashboard: rollback candidates and the shadow."""

from datetime import timedelta
from pathlib import Path

import pytest

from housing.inference.loaded_model import load
from housing.pipeline import promote, rollback_readiness
from housing.serving import shadow
from housing.store.database.engine import Store
from housing.store.runs import runs
from tests.housing.serving.conftest import only_settings, running, until
from tests.housing.serving.test_shadow_comparison import NOW, _log


@pytest.mark.system
def test_each_rollback_candidate_has_the_result_of_its_check(
    own_home: Path, own_store: Store
) -> None:
    with only_settings(own_home) as settings, running(settings) as client:
        before = client.get("/dashboard/data").json()["rollback_candidates"]
        assert [(row["model"], row["ready"]) for row in before] == [("m2", None), ("m1", None)]
        digest = load(own_store, 1).model_facts["artifact"]
        path = next((own_home / "blobs").rglob(f"{digest}*"))
        path.write_bytes(b"damaged")
        for copy in (own_home / "backup").rglob(f"{digest}*"):
            copy.unlink()
        rollback_readiness.check(own_store, settings)
        after = {
            row["model"]: row for row in client.get("/dashboard/data").json()["rollback_candidates"]
        }
        assert after["m2"]["ready"]
        assert after["m1"]["ready"] is False
        assert after["m1"]["detail"]
        assert after["m2"]["checked_at"]


def test_the_test_error_is_that_of_the_champion_also_after_a_rollback(
    own_home: Path, own_store: Store
) -> None:
    with only_settings(own_home) as settings, running(settings) as client:
        before = client.get("/dashboard/data").json()
        assert before["champion_error"] == before["error_history"][-1]
        assert before["champion_error"]["model"] == "m2"
        promote.roll_back(own_store, None, "complaints")
        after = client.get("/dashboard/data").json()
    assert after["status"]["champion"]["model"] == "m1"
    assert after["champion_error"] == after["error_history"][0]
    assert after["champion_error"]["model"] == "m1"


def test_the_shadow_is_compared_with_the_champion(own_home: Path, own_store: Store) -> None:
    _log(own_store, load(own_store, 2), load(own_store, 1), NOW)
    with only_settings(own_home) as settings, running(settings) as client:
        rows = client.get("/dashboard/data").json()["shadow"]
    assert [(row["models"], row["day"], row["rows"]) for row in rows] == [
        ("m1 and m2", "all", 20), ("m1 and m2", "2026-03-05", 20),
    ]  # fmt: skip
    assert rows[0]["share_outside"].endswith("%")


def test_a_shadow_that_cannot_be_loaded_is_shown_until_it_can(
    own_home: Path, own_store: Store, typical: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "CHECK_EVERY", timedelta(0))
    digest = load(own_store, 1).model_facts["artifact"]
    path = next((own_home / "blobs").rglob(f"{digest}*"))
    path.rename(path.with_suffix(".away"))
    with (
        only_settings(own_home, {"log_seconds": 0.1, "shadow": "m1"}) as settings,
        running(settings) as client,
    ):
        error = until(lambda: client.get("/ready").json()["shadow_error"])
        assert "The shadow m1 cannot be loaded" in error
        assert digest[:12] in error
        assert client.get("/dashboard/data").json()["shadow_error"] == error
        assert "housing_shadow_failed 1.0" in client.get("/metrics").text
        path.with_suffix(".away").rename(path)

        def is_loaded() -> bool:
            client.post("/predict", json={"districts": [typical]})
            return bool(client.get("/ready").json()["shadow_error"] == "")

        until(is_loaded)
        assert "housing_shadow_failed 0.0" in client.get("/metrics").text


def test_a_run_that_prefect_began_links_to_its_page_there(own_home: Path, own_store: Store) -> None:
    runs.note(own_store, 2, flow_run="0a1b")
    address = {"prefect_url": "http://127.0.0.1:4200/"}
    with only_settings(own_home, serve=address) as settings, running(settings) as client:
        newest, oldest = client.get("/dashboard/data").json()["runs"]
    assert newest["links"]["Prefect"] == "http://127.0.0.1:4200/v2/runs/flow-run/0a1b"
    assert "Prefect" not in oldest["links"]
