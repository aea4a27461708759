"""The suite in the background: `nohup make test &` has its processes ignore SIGINT and SIGHUP."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

LISTEN = "import signal; print('there', flush=True); signal.pause()"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_of_a_test_reaches_its_child_process(number: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", LISTEN],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "there\n"
    child.send_signal(number)
    child.communicate(timeout=120)
    assert child.returncode == -number


@pytest.mark.system
def test_a_signal_reaches_the_child_of_a_suite_that_ignores_signals() -> None:
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    within = [*suite, "-k", test_a_signal_of_a_test_reaches_its_child_process.__name__]
    ignoring = ["sh", "-c", 'trap "" INT HUP; exec "$@"', "sh", *within]
    subprocess.run(ignoring, cwd=Path(__file__).parents[1], check=True, capture_output=True)
