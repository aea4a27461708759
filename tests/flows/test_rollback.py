"""The rollback flow, as the UI starts it."""

import pytest
from prefect.exceptions import ParameterTypeError

from flows.decisions import RollbackParameters, rollback
from flows.nightly import nightly
from housing.errors import NoRollbackTarget
from housing.settings import Settings
from housing.store.database.open import open_store
from housing.store.models import promotion_log, registry
from tests.fixtures.small_settings import landing_rows

pytestmark = pytest.mark.prefect


def test_the_rollback_flow_undoes_the_last_promotion(small: Settings) -> None:
    folder = small.sources.landing_dir
    assert folder is not None
    folder.mkdir(parents=True)
    landing_rows().to_csv(folder / "a.csv", index=False)
    nightly()
    refused = rollback(RollbackParameters(reason="just to see"), return_state=True)
    assert refused.is_failed()
    with pytest.raises(NoRollbackTarget):
        refused.result()

    landing_rows(1).to_csv(folder / "b.csv", index=False)
    second = nightly()
    with open_store(small) as store:
        if second.champion == 1:  # the gate kept m1: promote by hand, the rollback is the point
            change = registry.Change("promote", 2, 1, "test", "for the test")
            registry.change_champion(store, change)
        state = rollback(RollbackParameters(reason="worse in the field"), return_state=True)
        said = "m1 is champion again instead of m2; blocked: m2"
        assert (state.name, state.message) == ("Rolled back", said)
        with store.read() as connection:
            block, line, *_ = promotion_log.history(connection)
    assert (block.operation, block.blocked_model, block.to_model) == ("block", 2, 1)
    assert (line.operation, line.from_model, line.to_model) == ("rollback", 2, 1)
    assert line.reason == "worse in the field"
    again = rollback(RollbackParameters(reason="worse in the field"), return_state=True)
    assert again.is_failed()
    assert "m1 became champion by a rollback at" in str(again.message)


def test_the_rollback_flow_requires_a_reason(small: Settings) -> None:
    with pytest.raises(ParameterTypeError, match="reason"):
        rollback({"model": 1})
