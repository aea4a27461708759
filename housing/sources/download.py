"""Downloads with time limits, and atomic file writes.

A missing network must be noticed in seconds, whatever the cause: no route, no name server, a
server that never answers. Which addresses are downloaded belongs in the sources.
"""

import os
import threading
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

_BLOCK = 1 << 16  # bytes


class NotFetched(Exception):
    """A download failed, with the reason."""


class TimeLimits(NamedTuple):
    """Seconds that a server may take."""

    connect: float  # seconds until it answers, name look-up included
    transfer: float  # seconds until the last byte


def fetch(address: str, limits: TimeLimits, max_bytes: int) -> bytes:
    """The content at an http(s) address; NotFetched whatever goes wrong."""
    host = urlsplit(address).hostname or address
    if urlsplit(address).scheme not in ("http", "https"):
        raise NotFetched(f"{host} is not a web address")
    outcome: dict[str, Any] = {}
    # Name look-up has no timeout of its own, so the wait for an answer is bounded from outside.
    opening = threading.Thread(target=_open, args=(address, limits, outcome), daemon=True)
    opening.start()
    opening.join(limits.connect)
    if "error" in outcome:
        raise NotFetched(f"{host}: {outcome['error']}")
    if "response" not in outcome:
        raise NotFetched(f"{host} did not answer within {limits.connect:g} s")
    return _body(outcome["response"], host, limits, max_bytes)


def _open(address: str, limits: TimeLimits, outcome: dict[str, Any]) -> None:
    request = Request(address, headers={"User-Agent": "housing-nightly"})  # noqa: S310 - checked above
    try:
        outcome["response"] = urlopen(request, timeout=limits.connect)  # noqa: S310
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is a response, too
        outcome["error"] = _reason(error)


def _reason(error: Exception) -> str:
    # An HTTPError is a URLError as well, whose reason lacks the number.
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        return str(getattr(error.reason, "strerror", None) or error.reason)  # without a number
    return str(error) or type(error).__name__


def _body(response: Any, host: str, limits: TimeLimits, max_bytes: int) -> bytes:
    deadline = time.monotonic() + limits.transfer
    content = bytearray()
    try:
        with response:
            expected = response.headers.get("Content-Length")
            while block := response.read1(_BLOCK):
                content += block
                if len(content) > max_bytes:
                    raise NotFetched(f"{host} sent more than {max_bytes:,} bytes")
                if time.monotonic() > deadline:
                    raise NotFetched(f"{host} was not done after {limits.transfer:g} s")
    except (OSError, HTTPException) as error:
        raise NotFetched(f"{host} broke off: {error}") from error
    if expected is not None and int(expected) != len(content):
        raise NotFetched(f"{host} broke off after {len(content):,} of {int(expected):,} bytes")
    return bytes(content)


def store_file(path: Path, content: bytes) -> None:
    """Write a file atomically: readers see all of it or nothing, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
