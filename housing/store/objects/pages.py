"""Pages for people by name, e.g. `report-r3.html`: reports, model cards, data pages, the monitor's.

They lie in HOME/reports, or in the folder `reports` of a blob store that is elsewhere, so that
every machine serves the same ones. They are made from what SQL and the blobs hold; no row names
them. `read` raises FileNotFoundError where there is none.
"""

import re
from collections.abc import Iterator

from housing.settings import Settings
from housing.store.objects.filesystem import DurableFileSystem, is_scratch

PAGE = re.compile(
    r"(?:report-r|card-m|data-v)[1-9][0-9]{0,17}\.html"
    r"|r[1-9][0-9]{0,17}-[a-z-]{1,40}\.svg|monitor\.html"
)
"""The names that are served."""

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""A page is one file with its styles inside; scripts and requests stay forbidden."""


class PageStorage(DurableFileSystem):
    """The folder of pages."""

    role = "folder of reports"

    def names(self, below: str = "", *, raw: bool = False) -> Iterator[str]:
        """All pages, without what interrupted writers left."""
        return (name for name in super().names(below, raw=raw) if not is_scratch(name))

    def left_over(self) -> Iterator[str]:
        """Files that interrupted writers left, and those that are being written."""
        return filter(is_scratch, super().names())

    def served(self, name: str) -> bytes:
        """A page for a browser; FileNotFoundError where there is none, or it is no page's name."""
        if not PAGE.fullmatch(name):
            raise FileNotFoundError(name)
        return self.read(name)

    def location(self, name: str) -> str:
        """A page's path, or its URL in an object store."""
        return self.at(name) if self.local else f"{self.url}/{name}"


def page_storage(settings: Settings) -> PageStorage:
    """The pages of these settings."""
    return PageStorage(settings.page_url)


def media_type(name: str) -> str:
    """The Content-Type of a page."""
    return "image/svg+xml" if name.endswith(".svg") else "text/html"
