"""The temporary server of `housing retrain`, begun before anything else is imported.

Libraries take seconds to come in, and so does the server: side by side they take half. Only where
an earlier night has made the folder, so that a wrong setting leaves nothing behind; a server whose
command ends without it ends by its lifeline.
"""

import os
import time
from pathlib import Path

from dotenv import dotenv_values

from deployments import environment
from deployments.server import Server, running, start

BEGAN = time.perf_counter()
"""When the program began, but for some hundredths of a second: libraries come in after this."""

_begun: dict[Path, Server] = {}


def begin() -> None:
    """Start it, unless one runs already or somebody has named another."""
    home = _home()
    if home is None or os.environ.get("PREFECT_API_URL") or not (home / "prefect").is_dir():
        return
    if running(home) is None:
        environment.prepare(home, quiet=True)
        _begun[home] = start(home)


def taken(home: Path) -> Server | None:
    """The server that was begun for this home; it is the caller's to stop."""
    return _begun.pop(home, None)


def _home() -> Path | None:
    """HOUSING_HOME as the settings will read it; None where that takes more than a look."""
    try:
        named = {**dotenv_values(".env"), **os.environ}
    except (OSError, UnicodeDecodeError):
        return None  # the settings say what is wrong with it
    found = {value for name, value in named.items() if name.upper() == "HOUSING_HOME"}
    if len(found) > 1:
        return None
    return Path((found and found.pop()) or "var").expanduser().resolve()
