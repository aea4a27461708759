"""Data of the dashboard: read from the store, nothing is computed."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from sqlalchemy.engine import Connection

from housing.errors import HousingError, NoRollbackTarget
from housing.formatting import percent
from housing.metric import RMSE, metric_named
from housing.monitoring.signals import SOURCES, STATES, label_of, state, text_of
from housing.monitoring.staleness import QUARANTINED
from housing.serving.app_state import AppState
from housing.serving.shadow_comparison import ShadowComparison, compare_shadow
from housing.store import queries
from housing.store.models import registry
from housing.store.objects.pages import page_storage
from housing.store.queries import time as as_text
from housing.store.queries import with_letter
from housing.store.runs import monitor_windows

EVALUATIONS = 30
"""Evaluations in the error history."""

SHADOW_BATCHES = 100
"""Batches of logged predictions in which champion and shadow are compared."""

ROWS = 10
"""Runs and promotions that are listed."""


def overview(app: AppState) -> dict[str, Any]:
    """Champion, error history, monitor, shadow, rollback, runs and promotions as plain JSON."""
    reloader = app.reloader
    served = reloader.current
    calibration = None if served is None else served.calibration
    shadow = [_shadow(one) for one in compare_shadow(app.store, newest=SHADOW_BATCHES)]
    pages = _pages(app)
    with app.store.read() as connection:
        status = queries.status(connection)
        history = list(_error_history(connection))
        champion = status["champion"] and status["champion"]["model"]
        return {
            "model": None if served is None else served.name,
            "coverage": None
            if calibration is None or calibration.coverage is None or calibration.interval is None
            else {
                "value": calibration.coverage.value,
                "rows": calibration.coverage_rows,
                "nominal": calibration.interval.nominal,
            },
            "simulated": served is not None and served.simulated,
            "copy_notice": "" if served is None else served.copy_notice,
            "reload_error": None if reloader.failure is None else reloader.failure.error,
            "promotion_log_error": reloader.log_error,
            "shadow_error": app.shadow.error,
            "status": status,
            "error_history": history,
            "champion_error": next((e for e in history[::-1] if e["model"] == champion), None),
            "promotions": queries.list_history(connection, ROWS),
            "runs": [_with_links(app, row, pages) for row in queries.list_runs(connection, ROWS)],
            "rollback_candidates": status["readiness"],
            "rollback": _rollback(connection),
            "shadow": shadow,
            **_monitor(connection),
        }


def _error_history(connection: Connection) -> Iterator[dict[str, Any]]:
    """The test error of each run's champion with its interval, oldest first.

    By the newest evidence's metric, where older evidence has it; `rmse` is in the target's unit.
    """
    found = registry.newest_evaluations(connection, EVALUATIONS)
    metric = metric_named(found[0].evidence.get("metric", RMSE) if found else RMSE)
    for row in reversed(found):
        promoted = row.outcome == "promote" or row.evidence["champion"] is None
        champion = row.evidence["challenger" if promoted else "champion"]
        if champion is None or champion["metrics"] is None:
            continue
        if error := queries.error_by(champion["metrics"], metric.name):
            yield {
                "at": as_text(row.created_at),
                "model": with_letter("m", champion["id"]),
                "outcome": row.outcome,
                "metric": metric.label,
                "has_unit": metric.has_unit,
                "rmse": champion["metrics"]["rmse"]["value"],
                "corrected": queries.recorded_correction(row, champion["id"]),
                **error,
            }


def _pages(app: AppState) -> set[str]:
    """Names of the stored pages; none while their storage cannot be listed."""
    with suppress(HousingError):
        return set(page_storage(app.settings).names())
    return set()


def _with_links(app: AppState, run: dict[str, Any], there: set[str]) -> dict[str, Any]:
    """A run with the addresses of its report, its challenger's card, the page of its dataset and
    its page in Prefect."""
    parts = {"report": run["run"], "card": run["challenger"], "data": run["dataset"]}
    pages = {name: f"{name}-{part}.html" for name, part in parts.items()}
    prefect = app.settings.serve.prefect_url.rstrip("/")
    links = {name: f"/reports/{page}" for name, page in pages.items() if page in there}
    if prefect and run["flow_run"]:
        links["Prefect"] = f"{prefect}/v2/runs/flow-run/{run['flow_run']}"
    return {**run, "links": links}


def _rollback(connection: Connection) -> dict[str, str]:
    """The target of `housing rollback`; whether it loads is the doctor's to check."""
    try:
        target = registry.previous_champion(connection)
    except NoRollbackTarget as error:
        return {"target": "none", "message": str(error)}
    return {"target": f"m{target}", "message": "`housing rollback` makes it champion"}


def _shadow(found: ShadowComparison) -> dict[str, Any]:
    return {
        "models": f"{found.shadow} and {found.champion}",
        "day": found.day or "all",
        **{name: getattr(found, name) for name in ("rows", "mean", "median", "p90", "maximum")},
        "share_above": percent(found.share_above, 0),
        "share_outside": "" if found.share_outside is None else percent(found.share_outside),
    }


def _monitor(connection: Connection) -> dict[str, Any]:
    """The newest monitor window of each source: signals, alarms, live errors."""
    newest = monitor_windows.newest(connection)
    if not newest:
        return {"drift": None, "live_errors": [], "alarms": []}
    signals = [(row.source, signal) for row in newest for signal in row.signals]
    fired = [_signal(source, signal) for source, signal in signals if signal["fired"]]
    last = max(newest, key=lambda row: row.id)
    when = f"{last.recorded_at:%Y-%m-%d %H:%M} UTC"
    message = f"Monitor run of {when}: {len(signals)} signals, {len(fired)} beyond their limit."
    return {
        "drift": {"message": message, "rows": fired, "states": STATES},
        "live_errors": [_live_error(error) for error in last.errors],
        # `needs_a_person` names quarantined batches with the commands that end the alarm.
        "alarms": [text_of(s) for _, s in signals if s["alarm"] and s["name"] != QUARANTINED],
    }


def _signal(source: str, signal: dict[str, Any]) -> dict[str, Any]:
    figures = {
        name: None if signal[name] is None else f"{signal[name]:.3g}"
        for name in ("effect", "q_value")
    }
    name = label_of(signal)
    if source != "clock":
        name += f", {SOURCES[source].lower()}"
    found = state(signal["fired"], signal["alarm"])
    return {"name": name, **figures, "state": found, "message": signal["message"]}


def _live_error(error: dict[str, Any]) -> dict[str, Any]:
    rmse, covered = error["rmse"], error["covered"]
    return {
        "model": error["model"] + (" (shadow)" if error["shadow"] else ""),
        "rows": error["rows"],
        "rmse": rmse["value"],
        "lower": rmse["lower"],
        "upper": rmse["upper"],
        "coverage": None if covered is None else percent(covered["value"]),
        "first": error["first"][:10],
        "last": error["last"][:10],
    }
