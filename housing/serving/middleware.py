"""The door: who may ask, how much, how slowly, and what every answer carries.

Plain ASGI around the application, as each request passes here. Nothing in it knows of models.
"""

import asyncio
import base64
import binascii
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from housing.serving.origins import foreign
from housing.serving.problems import BodyTooLarge, BodyTooSlow, HTTPProblem, problem

OPEN = frozenset({"/health"})
"""Paths that need no token."""

DRAINED_BYTES = 64 * 2**20
DRAIN_SECONDS = 5.0
"""What is thrown away of a request that was refused, so that its client reads the answer."""

HEADERS: tuple[tuple[bytes, bytes], ...] = (
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

Observe = Callable[[str, str, int, float], None]
"""Told of each request: method, path, status, seconds."""


@dataclass(frozen=True)
class Limit:
    """What one request may send, and for how long."""

    bytes: int
    seconds: float
    advice: str  # to who sends more


@dataclass(frozen=True)
class AccessRules:
    """What the door goes by."""

    token: str | None
    hosts: frozenset[str]  # asked for only where there is no token
    usual: Limit
    uploads: Limit
    upload_paths: frozenset[str]


class AccessMiddleware:
    """Checks host, token, origin and size; counts and times bodies; adds headers; observes."""

    def __init__(self, app: ASGIApp, rules: AccessRules, observe: Observe) -> None:
        self.app, self.rules, self.observe = app, rules, observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        body = _LimitedReceive(receive, self._limit(scope["path"]))
        try:
            try:
                self._admit(scope, body)
                await self.app(scope, body, sending)
            except HTTPProblem as refused:
                # Outside the application: those of its own it turns into answers itself.
                await body.drain()
                await refusal(refused)(scope, receive, sending)
        finally:
            self.observe(scope["method"], scope["path"], status, time.perf_counter() - began)

    def _limit(self, path: str) -> Limit:
        return self.rules.uploads if path in self.rules.upload_paths else self.rules.usual

    def _admit(self, scope: Scope, body: "_LimitedReceive") -> None:
        host = authorization = length = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"authorization":
                authorization = value
            elif name == b"content-length":
                length = value
        token = self.rules.token
        if token is None:
            if _host_name(host) not in self.rules.hosts:
                raise HTTPProblem(
                    421, "This server does not answer to that host name. Set HOUSING_SERVE__TOKEN, "
                    "or name the host in HOUSING_SERVE__ALLOWED_HOSTS.",
                )  # fmt: skip
        elif scope["path"] not in OPEN and not _token_matches(token, authorization):
            raise HTTPProblem(
                401,
                "A token is needed: Authorization: Bearer TOKEN, or as the password of a browser's "
                "log-in with any user name.",
                {"WWW-Authenticate": 'Basic realm="housing", charset="UTF-8"'},
            )
        if foreign(scope["headers"]):
            raise HTTPProblem(403, "A web page of another origin may not use this server.")
        if length.isdigit() and int(length) > body.limit.bytes:
            raise BodyTooLarge(body.limit.bytes, body.limit.advice)


class _LimitedReceive:
    """`receive` with a count and a clock."""

    def __init__(self, receive: Receive, limit: Limit) -> None:
        self.receive, self.limit = receive, limit
        self.bytes, self.complete = 0, False
        self.deadline: float | None = None

    async def __call__(self) -> Message:
        if self.complete:
            return await self.receive()  # waits for the client to leave
        if self.deadline is None:
            self.deadline = asyncio.get_running_loop().time() + self.limit.seconds
        try:
            async with asyncio.timeout_at(self.deadline):
                message = await self.receive()
        except TimeoutError:
            raise BodyTooSlow(self.limit.seconds) from None
        if message["type"] == "http.request":
            self.bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
            if self.bytes > self.limit.bytes:
                raise BodyTooLarge(self.limit.bytes, self.limit.advice)
        return message

    async def drain(self) -> None:
        """Read on and throw away, within bounds."""
        left = DRAINED_BYTES
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self.complete and left > 0:
                    message = await self.receive()
                    left -= len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        self.complete = True
        except TimeoutError:
            return


def refusal(refused: HTTPProblem) -> ASGIApp:
    """The answer to a refused request."""
    return problem(refused.status, refused.detail, headers=refused.headers)


def _host_name(host: bytes) -> str:
    text = host.decode("latin-1").lower()
    return text.rpartition("]")[0] + "]" if text.startswith("[") else text.partition(":")[0]


def _token_matches(token: str, authorization: bytes) -> bool:
    """Whether a header holds the token; every comparison takes the same time."""
    scheme, _, given = authorization.partition(b" ")
    if scheme.lower() == b"basic":
        try:
            given = base64.b64decode(given.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            given = b""
    elif scheme.lower() != b"bearer":
        given = b""
    return hmac.compare_digest(given.strip(), token.encode())
