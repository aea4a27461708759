"""What stands before the Prefect server."""

import pytest

from deployments.processes.prefect_middleware import content_policy


@pytest.mark.parametrize(
    ("api_url", "hosts"),
    [
        ("", "'self'"),
        ("/api", "'self'"),
        ("http://127.0.0.1:4200/api", "'self' http://127.0.0.1:4200 ws://127.0.0.1:4200"),
        ("https://ui.example/api", "'self' https://ui.example wss://ui.example"),
    ],
)
def test_pages_of_the_ui_may_ask_the_api_and_no_other_host(api_url: str, hosts: str) -> None:
    policy = dict(part.strip().split(" ", 1) for part in content_policy(api_url).split(";"))
    assert policy["default-src"].startswith(f"{hosts} 'unsafe-inline'")
    assert "*" not in policy["default-src"]
    assert not {"connect-src", "script-src", "img-src"} & {*policy}, "else it would not apply"
