"""What a client is told when it cannot be answered: problem details (RFC 9457), never a trace."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from housing.serving.request_models import Fault

MEDIA_TYPE = "application/problem+json"


class HTTPProblem(Exception):
    """A request that is turned away with a status and a sentence."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.detail, self.headers = status, detail, headers
        super().__init__(detail)


class BodyTooLarge(HTTPProblem):
    """More bytes than a request may have; they are read no further."""

    def __init__(self, limit: int, advice: str) -> None:
        super().__init__(413, f"The request is larger than {limit:,} bytes. {advice}")


class BodyTooSlow(HTTPProblem):
    """A request whose body did not arrive in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            408, f"The request did not arrive within {seconds:g} s.", {"Connection": "close"}
        )


def problem(
    status: int,
    detail: str,
    *,
    errors: Sequence[Fault] = (),
    more: int = 0,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response; `errors` name fields, `more` counts those left out."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        content["errors"] = list(errors)
    if more:
        content["more_errors"] = more
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, dict(headers or {}), media_type=MEDIA_TYPE)
