"""No silence: what a person sees while a command loads, starts and works."""

import os
import pty
import subprocess
import sys

import pytest

from deployments import repeating
from deployments.cli import progress_bars as bars
from housing import progress


def _on_terminal(program: str) -> str:
    """What a program prints on a terminal of its own."""
    ours, its = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", program], stdout=its, stderr=its):
        os.close(its)
        text = b""
        try:
            while piece := os.read(ours, 4096):
                text += piece
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


def test_a_command_that_loads_says_so_and_erases_it_before_it_prints() -> None:
    assert _on_terminal(LONG) == "\rLoading ...\r\x1b[Kthe answer\r\n"


def test_without_a_terminal_it_is_a_line_of_standard_error() -> None:
    ran = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("the answer\n", "Loading ...\n")


def test_a_quick_command_prints_its_answer_alone() -> None:
    quick = LONG.replace("while not shown._shown:\n    time.sleep(0.01)", "shown._timer.cancel()")
    assert _on_terminal(quick) == "the answer\r\n"


def test_without_a_terminal_steps_begin_go_on_and_end_in_lines(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(repeating, "LINE_SECONDS", 0.001)
    text = ""
    with bars.progress_bars(visible=True):
        progress.report("search", 0, 0)
        progress.report("search", 2, 6, "best error so far $43,533")
        while "2 of 6" not in text:  # nothing else is reported meanwhile
            text += capfd.readouterr().err
        progress.report("search", 1, 1, "3.0 s  best error so far $43,000")
    text += capfd.readouterr().err
    lines = text.splitlines()
    assert lines[0].startswith("search: started (0:0")
    assert any(line.startswith("search: 2 of 6, best error so far $43,533 (") for line in lines)
    assert any(line.startswith("search: 3.0 s  best error so far $43,000 (") for line in lines)


def test_all_columns_but_the_message_are_whole_at_80_columns() -> None:
    program = (
        "from deployments.cli.output import errors\n"
        "errors.width = 80\n"
        "from deployments.cli.progress_bars import progress_bars\n"
        "from housing import progress\n"
        "with progress_bars(visible=True):\n"
        "    progress.report('check readiness', 10, 10, 'a message that is long ' * 9)\n"
    )
    shown = _on_terminal(program)
    assert "check readiness" in shown
    assert "10/10" in shown
    assert "0:00:00" in shown
    assert "a message that is long" in shown
