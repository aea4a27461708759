"""A signal whose exception was lost ends the run at its next step."""

import os
import signal

import pytest
from prefect.exceptions import TerminationSignal

from housing import progress
from tasks.termination import reraise_sigterm


def test_a_lost_signal_is_raised_at_the_next_step() -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # whose exception was lost
    try:
        with reraise_sigterm():
            progress.report("fit", 0, 0)
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(TerminationSignal):
                progress.report("promote", 0, 0)
        progress.report("another run", 0, 0)
    finally:
        signal.signal(signal.SIGTERM, before)
