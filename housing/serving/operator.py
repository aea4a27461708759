"""What the operator's page shows, gathered from the store: nothing is computed, only read."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.engine import Connection

from housing.serving.state import State
from housing.store import listings, registry
from housing.store.listings import named
from housing.store.listings import time as as_text

NIGHTS = 30
"""Evaluations in the history of the error."""

LINES = 10
"""Lines of the ledger and nights that are listed."""


def overview(state: State) -> dict[str, Any]:
    """Champion, history of the error, ledger, nights, what needs a person."""
    follower = state.follower
    served = follower.current
    companion = None if served is None else served.companion
    with state.store.read() as connection:
        found = listings.status(connection)
        return {
            "serving": None if served is None else served.name,
            "coverage": None
            if companion is None or companion.coverage is None or companion.interval is None
            else {
                "value": companion.coverage.value,
                "rows": companion.coverage_rows,
                "nominal": companion.interval.nominal,
            },
            "behind": None if follower.failure is None else follower.failure.why,
            "ledger_error": follower.ledger_error,
            "status": found,
            "errors": list(_errors(connection)),
            "ledger": listings.list_history(connection, LINES),
            "nights": listings.list_runs(connection, LINES),
        }


def _errors(connection: Connection) -> Iterator[dict[str, Any]]:
    """The error of each night's champion-to-be with its interval, oldest first."""
    for row in reversed(registry.newest_evaluations(connection, NIGHTS)):
        promoted = row.outcome == "promote" or row.evidence["champion"] is None
        contender = row.evidence["challenger" if promoted else "champion"]
        if contender is not None and contender["metrics"] is not None:
            yield {
                "at": as_text(row.created_at),
                "model": named("m", contender["id"]),
                "outcome": row.outcome,
                **contender["metrics"]["rmse"],
            }
