"""The page of the monitor: HOME/reports/monitor.html."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Row

from housing.monitoring.signals import state
from housing.pipeline.notices import notices
from housing.report.monitor_page import distance, live, page, picture, section, signals
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.objects.filesystem import write_page
from housing.store.runs import monitor_windows

SOURCES = {
    "predictions": "Logged predictions",
    "batches": "New batches",
    "clock": "Ages, rejections, quarantined batches",
}
SHOWN = 60
"""Windows of a source that are drawn."""


def write(store: Store, settings: Settings) -> Path:
    """Render the page; returns where it is."""
    path = settings.home / "reports" / "monitor.html"
    parts = []
    errors: list[tuple[datetime, str, Mapping[str, float]]] = []
    for source, title in SOURCES.items():
        with store.read() as connection:
            rows = monitor_windows.recent(connection, source, limit=SHOWN)
        parts.append(section(title, _source(rows)))
        if source == "clock":  # one per run
            errors = [(r.recorded_at, e["model"], e["rmse"]) for r in rows for e in r.errors]
    drawn = live(errors)
    parts.append(section("Live error", [picture(drawn, "No prediction has a label yet.")]))
    with store.read() as connection:
        warnings = list(notices(connection, settings))
    write_page(path, page("Monitoring", parts, warnings).encode())
    return path


def _source(rows: Sequence[Row[Any]]) -> list[str]:
    if not rows:
        return ["<p>Too few rows to judge yet.</p>"]
    history = [(row.recorded_at, _shares(row.signals)) for row in rows]
    newest = rows[-1]
    listed = [(state(s["fired"], s["alarm"]), s["name"], s["message"]) for s in newest.signals]
    return [
        picture(distance(history), "Nothing is measured here."),
        f"<p>{newest.recorded_at:%Y-%m-%d %H:%M} UTC, m{newest.model}: {newest.rows:,} rows, "
        f"{newest.labelled:,} with a label.</p>",
        signals(listed),
    ]


def _shares(signals: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {s["name"]: s["effect"] / s["limit"] for s in signals if s["limit"] and s["effect"]}
