"""What faults are tried on: operations that change the store, as a person or a night runs them."""

from collections.abc import Callable, Mapping

from housing.settings import load_settings
from housing.steps.promote import roll_back
from housing.store.opening import open_store
from tests.plain_nights import plain_night


def night() -> None:
    """One night, without the orchestrator."""
    plain_night()


def rollback() -> None:
    """Back to the champion before."""
    with open_store(load_settings()) as store:
        roll_back(store, None, "a fault is tried on it")


OPERATIONS: Mapping[str, Callable[[], None]] = {"night": night, "rollback": rollback}
