"""No silence: what a person sees while a command loads, starts and works."""

import json
import os
import pty
import subprocess
import sys

import pytest

from deployments import repeating
from deployments.cli import progress_bars as bars
from housing import progress
from tests.deployments.conftest import Housing


def _on_terminal(program: str, ends_at: bytes = b"") -> str:
    """What a program prints on a terminal of its own; its standard input ends at some output."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=its, stderr=its
    ) as child:
        os.close(its)
        text = b""
        try:
            while piece := os.read(ours, 4096):
                text += piece
                if ends_at and ends_at in text and child.stdin:
                    child.stdin.close()
                    child.stdin = None
        except OSError:  # how Linux reports that the other side is closed
            pass
        os.close(ours)
    return text.decode()


LONG = """
import sys, time
from deployments.cli.loading import TEXT, loading, _Loading
shown = _Loading()
while not shown._shown:
    time.sleep(0.01)
print("the answer")
"""


def test_a_loading_notice_is_erased_before_the_output() -> None:
    assert _on_terminal(LONG) == "\rLoading ...\r\x1b[Kthe answer\r\n"


def test_without_a_terminal_the_loading_notice_is_a_line_of_standard_error() -> None:
    ran = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("the answer\n", "Loading ...\n")


def test_a_quick_command_prints_its_answer_alone() -> None:
    quick = LONG.replace("while not shown._shown:\n    time.sleep(0.01)", "shown._timer.cancel()")
    assert _on_terminal(quick) == "the answer\r\n"


def test_without_a_terminal_each_step_prints_its_start_progress_and_end(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(repeating, "LINE_SECONDS", 0.001)
    text = ""
    with bars.progress_bars():
        progress.report("search", 0, 0)
        progress.report("search", 2, 6, "best error so far $43,533")
        while "2 of 6" not in text:  # nothing else is reported meanwhile
            text += capfd.readouterr().err
        progress.report("search", 1, 1, "best error so far $43,000")
    text += capfd.readouterr().err
    lines = [line for line in text.splitlines() if not line.startswith("working")]
    assert lines[0].startswith("search: started (0:0")
    assert any(line.startswith("search: 2 of 6, best error so far $43,533 (") for line in lines)
    assert any(line.startswith("search: done, best error so far $43,000 (") for line in lines)


def test_only_the_message_column_is_cut_at_80_columns() -> None:
    program = (
        "from deployments.cli.output import errors\n"
        "errors.width = 80\n"
        "from deployments.cli.progress_bars import progress_bars\n"
        "from housing import progress\n"
        "with progress_bars():\n"
        "    progress.report('check readiness', 10, 10, 'a message that is long ' * 9)\n"
    )
    shown = _on_terminal(program)
    assert "check readiness" in shown
    assert "10/10" in shown
    assert "0:00:00" in shown
    assert "a message that is long" in shown


def test_a_block_that_reports_no_step_is_seen_to_work_on_a_terminal() -> None:
    program = (
        "import sys\n"
        "from deployments.cli.progress_bars import progress_bars\n"
        "with progress_bars():\n"
        "    sys.stdin.read()\n"
        "print('the answer')\n"
    )
    shown = _on_terminal(program, b"working")
    assert "working" in shown
    assert "0:00:0" in shown
    assert shown.rstrip().endswith("the answer")
    kept = shown.rpartition("\x1b[2K")[2]
    assert "working" not in kept, "it goes once there is an answer"


def test_a_quick_block_shows_nothing() -> None:
    quick = (
        "from deployments.cli import progress_bars as bars\n"
        "with bars.progress_bars():\n"
        "    print('the answer')\n"
    )
    assert _on_terminal(quick) == "the answer\r\n"


def test_progress_does_not_erase_output_that_goes_to_a_file() -> None:
    program = (
        "from deployments.cli.output import console\n"
        "from deployments.cli.progress_bars import progress_bars\n"
        "from housing import progress\n"
        "with progress_bars():\n"
        "    progress.report('search', 1, 2)\n"
        "    console.print('the answer')\n"
    )
    ours, its = pty.openpty()
    ran = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=its, text=True, check=True
    )
    os.close(its)
    os.close(ours)
    assert ran.stdout == "the answer\n"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("compare", "m1", "m2"), "compare: 1 of 2, m2 on the test rows of v2"),
        (("card", "m1"), "working (0:0"),
    ],
)
def test_each_slow_command_shows_progress(
    housing: Housing, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], shown: str
) -> None:
    monkeypatch.setattr(repeating, "LINE_SECONDS", 0.001)
    done = housing(*arguments, "--json")
    assert shown in done.stderr
    assert json.loads(done.stdout)
