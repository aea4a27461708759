"""Health check of the containers: `python -m ...processes.health_probe URL [--end PIDFILE]`.

Docker marks a container that hangs and does not restart it. With `--end` the check kills the
process of the file once it has not answered for a minute, so that Docker starts it again. What has
never answered is still starting and is left alone, and so is what answers that it is not ready, as
a server without its database: a restart would not help.
"""

import argparse
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

SECONDS = 5.0
SILENCE_LIMIT = 60.0
"""Seconds without an answer after which a process hangs."""


def main() -> None:
    """Exit with 0 where the address answers with a success, with 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m deployments.processes.health_probe")
    parser.add_argument("url")
    parser.add_argument("--end", type=Path, help="File with the pid of what answers there.")
    chosen = parser.parse_args()
    answered = chosen.end and chosen.end.with_suffix(".answered")
    fault = ""
    try:
        with urllib.request.urlopen(chosen.url, timeout=SECONDS):  # noqa: S310 - ours, on loopback
            pass
    except urllib.error.HTTPError as error:
        fault = f"{chosen.url} is not ready: {error}"
    except OSError as error:
        last = answered.stat().st_mtime if answered and answered.exists() else time.time()
        if time.time() - last > SILENCE_LIMIT:
            answered.unlink()  # the next process may take its time to start
            os.kill(int(chosen.end.read_text()), signal.SIGKILL)
        sys.exit(f"{chosen.url} does not answer: {error}")
    if answered:
        answered.touch()
    if fault:
        sys.exit(fault)


if __name__ == "__main__":
    main()
