"""The page of the monitor: monitor.html among the reports."""

from housing.monitoring.signals import SOURCES
from housing.pipeline.notices import notices
from housing.report.monitor_page import render
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.objects.pages import page_storage
from housing.store.runs import monitor_windows

PAGE = "monitor.html"

SHOWN = 60
"""Windows of a source that are drawn."""


def write(store: Store, settings: Settings) -> str:
    """Render the page; returns where it is."""
    with store.read() as connection:
        windows = {
            title: monitor_windows.recent(connection, source, limit=SHOWN)
            for source, title in SOURCES.items()
        }
        warnings = list(notices(connection, settings))
    pages = page_storage(settings)
    pages.write(PAGE, render(windows, warnings).encode())
    return pages.location(PAGE)
