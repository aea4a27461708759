"""The page of the monitor: HOME/reports/monitor.html."""

from pathlib import Path

from housing.pipeline.notices import notices
from housing.report.monitor_page import render
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
    with store.read() as connection:
        windows = {
            title: monitor_windows.recent(connection, source, limit=SHOWN)
            for source, title in SOURCES.items()
        }
        warnings = list(notices(connection, settings))
    write_page(path, render(windows, warnings).encode())
    return path
