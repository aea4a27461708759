"""The nights' reports and model cards over HTTP, on the Prefect server's own address, for its UI.

Behind the same auth string as the API, where one is set: a browser that signed in has a cookie.
Only the report of a run and the card of a model by their numbers; nothing else of the folder.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from deployments.processes.prefect_middleware import knows

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

ADDRESS = re.compile(r"/reports/((?:report-r|card-m)[1-9][0-9]{0,17}\.html)")


def beside(inner: App, folder: Path, secret: str | None) -> App:
    """`inner`, but for the addresses of reports; `secret` is USER:PASSWORD, or None for anyone."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        found = scope["type"] == "http" and ADDRESS.fullmatch(scope["path"])
        if not found:
            await inner(scope, receive, send)
            return
        answer = _answer(Request(scope), folder / found[1], secret)
        await answer(scope, receive, send)

    return app


def _answer(request: Request, path: Path, secret: str | None) -> Response:
    if secret is not None and not knows(request, secret):
        ask = {"WWW-Authenticate": 'Basic realm="housing"'}
        return PlainTextResponse("The user and password of the Prefect UI, please.", 401, ask)
    if request.method not in ("GET", "HEAD"):
        return PlainTextResponse("Reports can only be read.", 405, {"Allow": "GET, HEAD"})
    if not path.is_file():
        return PlainTextResponse(f"There is no {path.name}.", 404)
    # What a report shows of landing files is escaped; should that ever fail, no script runs.
    headers = {"Content-Security-Policy": "script-src 'none'", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type="text/html", headers=headers)
