"""ASGI middleware: token, host name, origin, limits of the request body, security headers.

Starlette's middlewares for host names and body sizes answer in plain text without the next step;
so both checks are made here, where every refusal is a problem response.
"""

import asyncio
import base64
import binascii
import hmac
import time
from collections.abc import Callable
from typing import NamedTuple

from anyio import move_on_after
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from housing.serve_options import ServeOptions
from housing.serving.origins import is_cross_origin
from housing.serving.problems import problem

PUBLIC_PATHS = frozenset({"/health"})
"""Paths that need no token."""

UPLOAD_PATH = "/predict/batch"

# Each is added unless the response has one of that name: a report has a policy of its own.
SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)

DRAIN_BYTES = 64 * 2**20
DRAIN_SECONDS = 5.0
"""Read of the body of a refused request before the response: a connection that is closed with
unread bytes is reset, and its client may lose the response."""

Observe = Callable[[str, int, float], None]
"""Called for each request: path, status, seconds."""


class BodyLimit(NamedTuple):
    """The most that a request body may have."""

    bytes: int
    seconds: float  # until its last byte
    hint: str  # what to do with a larger one

    @property
    def too_large(self) -> str:
        """The message for a larger body."""
        return f"The request is larger than {self.bytes:,} bytes. {self.hint}"


class AccessMiddleware:
    """Checks each request, limits its body, adds the security headers and observes the response."""

    def __init__(
        self, app: ASGIApp, options: ServeOptions, token: str | None, observe: Observe
    ) -> None:
        self.app, self.token, self.observe = app, token, observe
        self.hosts = {host.lower() for host in options.allowed_hosts}
        self.body_limit = BodyLimit(
            options.max_body_bytes,
            options.body_seconds,
            "Send fewer rows at once, or a CSV or Parquet file to /predict/batch.",
        )
        self.upload_limit = BodyLimit(
            options.max_upload_bytes,
            options.upload_seconds,
            "Send the file in parts, as Parquet, or raise HOUSING_SERVE__MAX_UPLOAD_BYTES.",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= 400:
                    await body.drain()
                own = [*message.get("headers", ())]
                names = {name for name, _ in own}
                more = (header for header in SECURITY_HEADERS if header[0] not in names)
                message["headers"] = [*own, *more]
            await send(message)

        limit = self.upload_limit if scope["path"] == UPLOAD_PATH else self.body_limit
        body = _LimitedReceive(receive, limit)
        app = self._refusal(scope, limit) or self.app
        try:
            await app(scope, body, send_with_headers)
        finally:
            self.observe(scope["path"], status, time.perf_counter() - began)

    def _refusal(self, scope: Scope, limit: BodyLimit) -> Response | None:
        headers = Headers(scope=scope)
        if self.token is None:
            host = headers.get("host", "").lower()
            name = f"{host.rpartition(']')[0]}]" if host.startswith("[") else host.partition(":")[0]
            if name not in self.hosts:
                return problem(
                    421,
                    "This server does not answer to this host name. Set HOUSING_SERVE__TOKEN, or "
                    "add the name to HOUSING_SERVE__ALLOWED_HOSTS.",
                )
        elif scope["path"] not in PUBLIC_PATHS and not _token_matches(self.token, headers):
            return problem(
                401,
                "A token is needed: Authorization: Bearer TOKEN, or as the password of a browser's "
                "log-in with any user name.",
                headers={"WWW-Authenticate": 'Basic realm="housing", charset="UTF-8"'},
            )
        if is_cross_origin(scope["headers"]):
            return problem(403, "A web page of another origin may not use this server.")
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > limit.bytes:
            return problem(413, limit.too_large)
        return None


class _LimitedReceive:
    """`receive` that raises HTTPException for a body that is too large (413) or too slow (408)."""

    def __init__(self, receive: Receive, limit: BodyLimit) -> None:
        self.receive, self.limit = receive, limit
        self.bytes, self.complete = 0, False
        self.deadline: float | None = None

    async def __call__(self) -> Message:
        if self.complete:
            return await self.receive()  # waits for the client to disconnect
        if self.deadline is None:
            self.deadline = asyncio.get_running_loop().time() + self.limit.seconds
        try:
            async with asyncio.timeout_at(self.deadline):
                message = await self.receive()
        except TimeoutError:
            self.complete = True
            detail = f"The request did not arrive within {self.limit.seconds:g} s."
            raise HTTPException(408, detail, {"Connection": "close"}) from None
        if message["type"] == "http.request":
            self.bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
            if self.bytes > self.limit.bytes:
                raise HTTPException(413, self.limit.too_large)
        return message

    async def drain(self) -> None:
        """Read and drop the rest of the body, within bounds."""
        left = DRAIN_BYTES
        with move_on_after(DRAIN_SECONDS):
            while not self.complete and left > 0:
                message = await self.receive()
                left -= len(message.get("body", b""))
                self.complete = not message.get("more_body", False)


def _token_matches(token: str, headers: Headers) -> bool:
    """Whether the request has the token, compared in constant time."""
    scheme, _, given = headers.get("authorization", "").encode("latin-1").partition(b" ")
    if scheme.lower() == b"basic":
        try:
            given = base64.b64decode(given.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            given = b""
    elif scheme.lower() != b"bearer":
        given = b""
    return hmac.compare_digest(given.strip(), token.encode())
