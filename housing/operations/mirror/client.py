"""The REST interface of an MLflow tracking server, as far as the mirror needs it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
from pydantic import SecretStr

from housing.errors import MirrorRefused, MirrorUnavailable

TIMEOUT = 10.0
"""Seconds; nothing is tried again within an attempt."""
AT_ONCE = 100
"""Parameters and tags of one request; MLflow's limit (of metrics it is 1,000)."""
_API, _FILES = "/api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/artifacts/"
_PROXIED, _NONE = "mlflow-artifacts", "RESOURCE_DOES_NOT_EXIST"
_NOT_OURS = (401, 403, 407, 429)
"""Statuses by which a server refuses any request."""

Json = dict[str, Any]
Pairs = Mapping[str, str]


class Mlflow:
    """A tracking server. MirrorUnavailable ends an attempt, MirrorRefused concerns one object."""

    def __init__(self, url: SecretStr, transport: httpx.BaseTransport | None = None) -> None:
        parts = urlsplit(url.get_secret_value())
        host = parts.netloc.rpartition("@")[2]
        self.address = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        bearer = {"Authorization": f"Bearer {user}"} if user and not password else {}
        self._http = httpx.Client(
            base_url=self.address, timeout=TIMEOUT, transport=transport, headers=bearer,
            auth=(user, password) if password else None,
        )  # fmt: skip

    def __enter__(self) -> "Mlflow":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, method: str, path: str, what: str, **given: Any) -> Json:
        """One request; the JSON of the response."""
        try:
            response = self._http.request(method, path, **given)
        except httpx.HTTPError as error:
            why = f"{type(error).__name__}" + (f" ({error})" if str(error) else "")
            raise self.unavailable(why) from error
        if response.status_code >= 500 or response.status_code in _NOT_OURS:
            raise self.unavailable(f"it responded with status {response.status_code}")
        try:
            found: Json = response.json() if response.content else {}
        except ValueError as error:
            raise self.unavailable("its response is not JSON; is it MLflow's address?") from error
        if not response.is_success:
            why = str(found.get("message", response.status_code))
            raise MirrorRefused(what=what, why=why, code=found.get("error_code"))
        return found

    def unavailable(self, why: str) -> MirrorUnavailable:
        """The error of an attempt that has to end."""
        next_step = "The next attempt sends what is left; HOUSING_MIRROR__URL names the server."
        return MirrorUnavailable(address=self.address, why=why, next_step=next_step)

    def post(self, path: str, what: str, body: Json, method: str = "POST") -> Json:
        """A request of the API that sends JSON."""
        return self.send(method, _API + path, what, json=body)

    def find(self, path: str, what: str, query: Pairs) -> Json | None:
        """A look-up by name; None where there is none."""
        try:
            return self.send("GET", _API + path, what, params=dict(query))
        except MirrorRefused as error:
            if error.facts["code"] == _NONE:
                return None
            raise

    def search(self, path: str, name: str, body: Json, method: str = "POST") -> Iterator[Json]:
        """All results of a search; `name` is their field in a response."""
        what, token = f"the search for {name}", ""
        while True:
            asked = body | ({"page_token": token} if token else {})
            sent = {"json": asked} if method == "POST" else {"params": asked}
            page = self.send(method, _API + path, what, **sent)
            yield from page.get(name, ())
            if not (token := page.get("next_page_token", "")):
                return

    # --- runs ---------------------------------------------------------------------------------

    def runs(self, experiment: str, filter_: str) -> Iterator[Json]:
        """Runs that are not deleted."""
        body = {"experiment_ids": [experiment], "filter": filter_, "max_results": 1000}
        return self.search("runs/search", "runs", body)

    def log(self, run: str, what: str, tags: Pairs, params: Pairs, metrics: Sequence[Json]) -> None:
        """Tags, parameters and metrics of a run; all may be sent again."""
        listed = {"tags": pairs(tags), "params": pairs(params), "metrics": list(metrics)}
        for start in range(0, max(map(len, listed.values())), AT_ONCE):
            part = {name: each[start : start + AT_ONCE] for name, each in listed.items()}
            self.post("runs/log-batch", what, {"run_id": run, **part})

    # --- files --------------------------------------------------------------------------------

    def takes_files(self, location: str) -> bool:
        """Whether files at a location go through the server; other ones need its credentials."""
        return urlsplit(location).scheme == _PROXIED

    def put_file(self, location: str, name: str, data: bytes) -> None:
        """Write a file below a location."""
        path = f"{_FILES}{urlsplit(location).path.lstrip('/')}/{name}"
        self.send("PUT", path, name, content=data)


def pairs(values: Pairs) -> list[Json]:
    """As MLflow lists tags and parameters."""
    return [{"key": key, "value": value} for key, value in values.items()]


def values_of(listed: Sequence[Json]) -> dict[str, Any]:
    """The inverse of `pairs`, of metrics too."""
    return {each["key"]: each["value"] for each in listed}
