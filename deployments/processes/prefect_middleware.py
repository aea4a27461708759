"""What stands before the Prefect server: host names, origins, signing in; reports beside its UI.

Rollback, approval and prune are deployments there, and any page that a browser has open can send
requests to a server on loopback. So the server answers only to its own host names, refuses what
pages of other origins send, and wants the auth string, which `/sign-in` gives to the browser, with
a cookie for the reports.
"""

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.processes.prefect_access import ORIGINS, SERVER_SECRET, SIGN_IN, basic
from housing.serving.origins import is_cross_origin, is_loopback

LOOPBACK = ("127.0.0.1", "localhost")


def guarded(
    app: ASGIApp, host: str, secret: str | None, allowed: str, api_url: str = ""
) -> ASGIApp:
    """`app` with all checks before it; `allowed` origins are separated by commas, "*" is none.

    `api_url` is the API's address as pages use it.
    ValueError where the server listens beyond loopback without an auth string: the names under
    which it is reached are then not known, so that only the auth string keeps strangers out.
    """
    origins = frozenset(origin.strip().lower() for origin in allowed.split(",")) - {"*"}
    policy = content_policy(api_url).encode()

    async def own_pages(scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse requests and WebSockets of pages of other origins; answer `/sign-in`."""
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
        elif is_cross_origin(scope["headers"], origins):
            await _refuse(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == SIGN_IN and secret is not None:
            answer = _sign_in(Request(scope), secret)
            await answer(scope, receive, _restricted(send, policy))
        else:
            await app(scope, receive, _restricted(send, policy))

    if is_loopback(host):
        return TrustedHostMiddleware(own_pages, LOOPBACK, www_redirect=False)
    if secret is None:
        raise ValueError(f"Set {SERVER_SECRET} to USER:PASSWORD, or listen on 127.0.0.1.")
    return own_pages


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "another origin"})
        return
    words = f"Pages of other origins may not use this server. {ORIGINS} names those that may."
    await PlainTextResponse(words, 403)(scope, receive, send)


def content_policy(api_url: str) -> str:
    """Content-Security-Policy: pages load and ask nothing of other hosts than the API's.

    Prefect's UI fetches the configuration of its analytics from their maker although they are off.
    """
    found, address = "'self'", urlsplit(api_url)
    if address.netloc:
        secure = "s" if address.scheme == "https" else ""
        found += f" http{secure}://{address.netloc} ws{secure}://{address.netloc}"
    return f"default-src {found} 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'"


def _restricted(send: Send, policy: bytes) -> Send:
    """Add headers: no page loads anything from other hosts, or is shown in another's frame."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = (b"x-frame-options", b"DENY"), (b"content-security-policy", policy)
            message["headers"] = [*message.get("headers", ()), *own]
        await send(message)

    return sending


# --- signing in -----------------------------------------------------------------------------

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Prefect: sign in</title>
<p id="message">Signing in ...</p>
<script>
(async () => {
  const secret = location.hash.slice(1), message = document.getElementById("message");
  history.replaceState(null, "", location.pathname);
  const known = await fetch("/sign-in", {headers: {Authorization: "Basic " + secret}});
  if (known.status === 204) {
    localStorage.setItem("prefect-password", secret);
    location.replace("/");
  } else {
    message.textContent = "This is not the address that `housing up` printed last.";
  }
})();
</script></html>"""


def _sign_in(request: Request, secret: str) -> Response:
    """The page without credentials; with the right ones the cookie that opens the reports."""
    if "Authorization" not in request.headers:
        return HTMLResponse(_PAGE, headers={"Cache-Control": "no-store"})
    if not is_signed_in(request, secret):
        return PlainTextResponse(
            "Wrong auth string: use the address that `housing up` prints.", 403
        )
    answer = Response(status_code=204)
    name, value = _cookie(secret)
    answer.set_cookie(name, value, path="/reports", httponly=True, samesite="lax")
    return answer


def is_signed_in(request: Request, secret: str) -> bool:
    """Whether a request holds the auth string, or the cookie of a browser that signed in."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic" and _equal(given.strip(), basic(secret)):
        return True
    name, value = _cookie(secret)
    return _equal(request.cookies.get(name, ""), value)


def _cookie(secret: str) -> tuple[str, str]:
    """Name and value, which does not reveal the auth string. All ports share cookies."""
    value = hmac.new(secret.encode(), b"reports", hashlib.sha256).hexdigest()
    return f"reports-{value[:8]}", value


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


# --- reports --------------------------------------------------------------------------------


def with_reports(inner: ASGIApp, secret: str | None) -> ASGIApp:
    """`inner` and, below /reports/, the reports; `secret` is USER:PASSWORD, or None for anyone.

    The domain is imported at the first report, so that the server starts sooner.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/reports/"):
            return await inner(scope, receive, send)
        answer = await run_in_threadpool(_report, Request(scope), secret)
        return await answer(scope, receive, send)

    return app


def _report(request: Request, secret: str | None) -> Response:
    from housing.errors import HousingError
    from housing.settings import load_settings
    from housing.store.objects.pages import PAGE_HEADERS, media_type, page_storage

    if secret is not None and not is_signed_in(request, secret):
        ask = {"WWW-Authenticate": 'Basic realm="housing"'}
        return PlainTextResponse("Log in with the user and password of the Prefect UI.", 401, ask)
    if request.method not in ("GET", "HEAD"):
        return PlainTextResponse("Reports are read-only: send GET.", 405, {"Allow": "GET, HEAD"})
    name = request.url.path.removeprefix("/reports/")
    try:
        data = page_storage(load_settings()).served(name)
    except FileNotFoundError:
        return PlainTextResponse(f"There is no report {name}.", 404)
    except HousingError as error:
        return PlainTextResponse(str(error), 503)
    return Response(data, media_type=media_type(name), headers=PAGE_HEADERS)
