"""Pages of other origins, in the browser of an operator who has signed in: they change nothing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import a_browser
from tests.fixtures.housing_up import Up

pytestmark = [
    pytest.mark.system,
    pytest.mark.prefect,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("browser"),
]

ELSEWHERE = "evil.example"

ATTACKS = """
async ({api, id, event, log}) => {
  const run = `${api}/deployments/${id}/create_flow_run`;
  const text = JSON.stringify({name: "forged"});
  const send = (url, method, body, more) => fetch(url, {method, body, ...more})
    .then(answer => answer.status).catch(() => "refused");
  const form = (url, enctype, name, value) => new Promise(done => {
    const frame = document.createElement("iframe"), form = document.createElement("form");
    frame.name = "f" + Math.random();
    frame.onload = () => done("sent");
    document.body.append(frame, form);
    Object.assign(form, {action: url, method: "POST", enctype, target: frame.name});
    const field = document.createElement("input");
    Object.assign(field, {name, value});
    form.append(field);
    form.submit();
  });
  const socket = (path, ...messages) => new Promise(done => {
    const opened = new WebSocket(api.replace("http", "ws") + path, path.endsWith("in")
      ? [] : ["prefect"]);
    opened.onerror = () => done("refused");
    opened.onopen = () => {
      messages.forEach(message => opened.send(message));
      setTimeout(() => { opened.close(); done("open"); }, 500);
    };
  });
  const simple = {mode: "no-cors", credentials: "include"};
  const json = {headers: {"Content-Type": "application/json"}, credentials: "include"};
  return [
    await send(run, "POST", text, json),
    await send(run, "POST", new Blob([text]), simple),
    await send(run, "POST", text, {...simple, headers: {"Content-Type": "text/plain"}}),
    await send(`${api}/deployments/${id}`, "DELETE", undefined, json),
    await send(`${api}/deployments/${id}`, "PATCH", '{"paused": true}', json),
    await send(`${api}/logs/`, "POST", new Blob([log]), simple),
    await send(`${api}/events`, "POST", new Blob([event]), simple),
    await send(`${api}/admin/database/clear`, "POST", new Blob(['{"confirm": true}']), simple),
    await form(run, "text/plain", text.slice(0, -1) + ', "tags": ["', '"]}'),
    await form(run, "application/x-www-form-urlencoded", "name", "forged"),
    await form(run, "multipart/form-data", "name", "forged"),
    await socket("/events/in", event),
    await socket("/events/out", '{"type": "auth"}'),
    await socket("/logs/out", '{"type": "auth"}'),
  ];
}
"""


class _Page(BaseHTTPRequestHandler):
    """The attacker's page: empty, the browser's console does the rest."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><body></body>")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of another server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for which the attacker's name leads to this machine, as DNS rebinding would have it."""
    with a_browser(f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1") as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, up: Up) -> Iterator[Page]:
    """Of a browser that has signed in, to the UI and, with a password kept, to its reports."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(up.sign_in())
    page.get_by_role("link", name="Deployments", exact=True).first.wait_for()
    page.goto("about:blank")
    yield page
    context.close()


def _all_of_it(up: Up) -> dict[str, Any]:
    """Everything that the attacks are after."""
    forged = {"event": {"name": ["forged"]}}
    return {
        "runs": up.ask("flow_runs/filter", {"flow_runs": {"name": {"any_": ["forged"]}}}),
        "tagged": up.ask("flow_runs/filter", {"flow_runs": {"tags": {"all_": ["="]}}}),
        "deployments": {n: d["paused"] for n, d in up.deployments().items()},
        "events": up.ask("events/filter", {"filter": forged})["events"],
        "logs": [e for e in up.ask("logs/filter", {}) if e["message"] == "forged"],
    }


def _arguments(up: Up) -> dict[str, Any]:
    at = "2026-11-29T00:00:00Z"
    event = {"event": "forged", "resource": {"prefect.resource.id": "forged"}, "id": None}
    event |= {"id": "00000000-0000-4000-8000-000000000001", "occurred": at}
    log = {"name": "x", "level": 50, "message": "forged", "timestamp": at}
    return {
        "api": f"http://127.0.0.1:{up.port}/api",
        "id": up.deployments()["rollback"]["id"],
        "event": json.dumps(event),
        "log": json.dumps([log]),
    }


@pytest.mark.parametrize("host", [ELSEWHERE, "127.0.0.1", "localhost"])
def test_a_page_of_another_origin_changes_nothing(
    page: Page, up: Up, elsewhere: int, host: str
) -> None:
    before = _all_of_it(up)
    page.goto(f"http://{host}:{elsewhere}/")
    answers = page.evaluate(ATTACKS, _arguments(up))
    assert set(answers) <= {"refused", "sent", 0, 403}, answers
    assert _all_of_it(up) == before


def test_a_name_that_leads_here_is_not_answered(page: Page, up: Up) -> None:
    answer = page.goto(f"http://{ELSEWHERE}:{up.port}/v2/")
    assert answer is not None
    assert (answer.status, answer.text()) == (400, "Invalid host header")
    before = _all_of_it(up)
    page.evaluate(ATTACKS, {**_arguments(up), "api": f"http://{ELSEWHERE}:{up.port}/api"})
    assert _all_of_it(up) == before


def test_another_page_cannot_frame_the_ui(page: Page, up: Up, elsewhere: int) -> None:
    page.goto(f"http://127.0.0.1:{elsewhere}/")
    framed = f"http://127.0.0.1:{up.port}/v2/deployments"
    page.evaluate("""url => new Promise(done => {
      const frame = document.createElement("iframe");
      frame.onload = done;
      frame.src = url;
      document.body.append(frame);
    })""", framed)  # fmt: skip
    assert page.frames[1].url.startswith("chrome-error:")


def test_a_link_from_elsewhere_still_opens_the_ui(page: Page, up: Up, elsewhere: int) -> None:
    page.goto(f"http://127.0.0.1:{elsewhere}/")
    page.evaluate("url => { location.href = url }", f"http://127.0.0.1:{up.port}/v2/deployments")
    page.get_by_role("link", name="nightly", exact=True).first.wait_for()


def test_the_ui_works_under_its_other_name(page: Page, up: Up) -> None:
    page.goto(up.sign_in().replace("127.0.0.1", "localhost"))
    page.get_by_role("link", name="Deployments", exact=True).first.wait_for()
    page.goto(f"http://localhost:{up.port}/v2/deployments")
    page.get_by_role("link", name="nightly", exact=True).first.wait_for()


def test_requests_without_the_auth_string_are_refused(up: Up) -> None:
    api = f"http://127.0.0.1:{up.port}"
    for path in ("/api/deployments/filter", "/api/flow_runs/filter", "/api/logs/filter"):
        assert httpx.post(api + path, json={}).status_code in (401, 403)
    assert httpx.get(f"{api}/reports/report-r1.html").status_code == 401
    assert httpx.get(f"{api}/api/csrf-token?client=x").status_code == 401
    wrong = {"Authorization": "Basic aG91c2luZzp4"}
    assert httpx.get(f"{api}/sign-in", headers=wrong).status_code == 403
    assert httpx.get(f"{api}/api/admin/version", headers=wrong).status_code == 401
    assert httpx.get(f"{api}/api/admin/version", headers=up.headers()).status_code == 200
    assert httpx.get(f"{api}/api/health").status_code == 200


def test_files_with_the_auth_string_are_readable_by_their_owner_only(up: Up) -> None:
    for name in ("auth", "server.json"):
        assert (up.home / "prefect" / name).stat().st_mode & 0o077 == 0
    assert up.secret() not in (up.home / "prefect" / "server.log").read_text()
