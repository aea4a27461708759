"""What the operator's page shows, gathered from the store: nothing is computed, only read."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.engine import Connection

from housing.errors import NoRollbackTarget
from housing.retention import RetentionPolicy
from housing.serving.app_state import State
from housing.serving.shadow_comparison import ShadowComparison, compare_shadow
from housing.store import queries
from housing.store.models import blocks, registry, retention
from housing.store.queries import named
from housing.store.queries import time as as_text
from housing.store.runs import monitor_windows

NIGHTS = 30
"""Evaluations in the history of the error."""

NEWEST_BATCHES = 100
"""Batches of logged answers in which champion and shadow are compared."""

LINES = 10
"""Lines of the ledger and nights that are listed."""


def overview(state: State) -> dict[str, Any]:
    """Champion, history of the error, ledger, nights, what needs a person."""
    follower = state.follower
    served = follower.current
    calibration = None if served is None else served.calibration
    shadow = [_shadow(d) for d in compare_shadow(state.store, newest=NEWEST_BATCHES)]
    with state.store.read() as connection:
        found = queries.status(connection)
        return {
            "serving": None if served is None else served.name,
            "coverage": None
            if calibration is None or calibration.coverage is None or calibration.interval is None
            else {
                "value": calibration.coverage.value,
                "rows": calibration.coverage_rows,
                "nominal": calibration.interval.nominal,
            },
            "behind": None if follower.failure is None else follower.failure.why,
            "ledger_error": follower.ledger_error,
            "status": found,
            "errors": list(_errors(connection)),
            "ledger": queries.list_history(connection, LINES),
            "nights": queries.list_runs(connection, LINES),
            "blocks": _blocks(connection),
            "readiness": _readiness(connection),
            "retained": list(_retained(connection, state.settings.retention)),
            "shadow": shadow,
            **_watched(connection),
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


def _blocks(connection: Connection) -> list[str]:
    found = blocks.current(connection)
    return [f"m{id_}" for id_ in found.models] + [f"b{id_}" for id_ in found.batches]


def _retained(connection: Connection, policy: RetentionPolicy) -> Iterator[dict[str, Any]]:
    """What the nightly trial in a fresh process said of each champion that is kept."""
    tried = retention.trials(connection)
    for model in retention.champions(connection, policy, policy.days):
        trial = tried.get(model)
        state = "not tried yet" if trial is None else "ready" if trial.ready else "NOT READY"
        yield {
            "model": named("m", model),
            "state": state,
            "tried_at": None if trial is None else as_text(trial.checked_at),
            "seconds": None if trial is None else f"{trial.seconds:.2f}",
            "message": "" if trial is None else trial.detail,
        }


def _shadow(found: ShadowComparison) -> dict[str, Any]:
    beyond = "" if found.share_outside is None else f"{found.share_outside:.1%}"
    return {
        "models": f"{found.shadow} beside {found.champion}",
        "day": found.day or "all",
        "rows": found.rows,
        "mean": f"{found.mean:,.0f}",
        "quantiles": f"{found.median:,.0f} / {found.p90:,.0f} / {found.maximum:,.0f}",
        "higher": f"{found.share_above:.0%}",
        "beyond": beyond,
    }


def _readiness(connection: Connection) -> dict[str, str]:
    """Whether a rollback has somewhere to go; that its model still loads is the doctor's to say."""
    try:
        target = registry.previous_champion(connection)
    except NoRollbackTarget as error:
        return {"state": "none", "message": str(error)}
    return {"state": f"m{target}", "message": "housing rollback goes back to it"}


def _watched(connection: Connection) -> dict[str, Any]:
    """The newest look of the monitor: signals, alarms, live errors."""
    newest = monitor_windows.newest(connection)
    if not newest:
        return {"drift": None, "live": [], "alarms": []}
    signals = [(row, signal) for row in newest for signal in row.signals]
    shown = [_signal(row.source, s) for row, s in signals if s["fired"]]
    last = max(newest, key=lambda row: row.id)
    when = f"{last.recorded_at:%Y-%m-%d %H:%M} UTC"
    message = f"Last look {when}: {len(signals)} signals, {len(shown)} beyond their limit."
    return {
        "drift": {"message": message, "rows": shown},
        "live": [_live(error) for error in last.errors],
        "alarms": [s["message"] for _, s in signals if s["alarm"]],
    }


def _signal(source: str, signal: dict[str, Any]) -> dict[str, Any]:
    figures = {
        name: None if signal[name] is None else f"{signal[name]:.3g}"
        for name in ("effect", "q_value")
    }
    state = "alarm" if signal["alarm"] else "fired once"
    return {"name": f"{source}: {signal['name']}", **figures, "state": state,
            "message": signal["message"]}  # fmt: skip


def _live(error: dict[str, Any]) -> dict[str, Any]:
    rmse, covered = error["rmse"], error["covered"]
    return {
        "model": error["model"] + (" (shadow)" if error["shadow"] else ""),
        "rows": error["rows"],
        "rmse": f"{rmse['value']:,.0f}",
        "interval": f"{rmse['lower']:,.0f} to {rmse['upper']:,.0f}",
        "covered": None if covered is None else f"{covered['value']:.1%}",
        "first": error["first"][:10],
        "last": error["last"][:10],
    }
