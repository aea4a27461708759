"""The whole OpenAPI description against the server, by what Schemathesis makes up."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

EXAMPLES = 25
"""Generated requests of each kind an operation gets; the soak makes more."""


def run_schemathesis(
    client: httpx.Client, examples: int, tmp_path: Path
) -> "subprocess.CompletedProcess[str]":
    """Requests by the description of a server, and its answers checked against it."""
    address = str(client.base_url).rstrip("/")
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{address}/openapi.json",
            "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
            "response_schema_conformance,negative_data_rejection,unsupported_method",
            "--max-examples", str(examples), "--seed", "1", "--no-color",
            "--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip


@pytest.mark.system
def test_no_request_that_schemathesis_makes_up_is_a_server_error(
    client: httpx.Client, tmp_path: Path
) -> None:
    done = run_schemathesis(client, EXAMPLES, tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert client.get("/health").status_code == 200


@pytest.mark.slow
def test_many_invalid_requests_are_no_server_error(client: httpx.Client, tmp_path: Path) -> None:
    done = run_schemathesis(client, 500, tmp_path)
    assert done.returncode == 0, done.stdout[-6000:]
