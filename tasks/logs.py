"""Log lines of `housing` in the log of the flow run, without stack traces of expected errors.

The domain logs to the standard logger `housing` and does not know Prefect.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.exceptions import CancelledRun, MissingContextError
from prefect.logging import get_run_logger

from housing.errors import HousingError

_OURS = logging.getLogger("housing")
_THEIRS = ("prefect.flow_runs", "prefect.task_runs")


class _ToRun(logging.Handler):
    """Forwards a line to the current flow or task run."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            get_run_logger().log(record.levelno, record.getMessage())
        except MissingContextError:
            return  # a thread of ours beside the run


def is_relevant(record: logging.LogRecord) -> bool:
    """Drop the line about a completed task, which our own line repeats with figures, and that about
    the exception of a cancelled run; remove the stack trace of an expected error."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if record.getMessage() == "Finished in state Completed()" or isinstance(error, CancelledRun):
        return False
    if isinstance(error, HousingError):
        record.msg, record.args = str(error), ()
        record.exc_info, record.exc_text = None, None
    return True


@contextmanager
def operator_logs() -> Iterator[None]:
    """Forward our lines while the block runs; Prefect's are filtered until the process ends."""
    handler, before = _ToRun(), (_OURS.level, _OURS.propagate)
    _OURS.addHandler(handler)
    _OURS.setLevel(logging.INFO)
    _OURS.propagate = False  # else the console has each line twice
    for name in _THEIRS:
        logging.getLogger(name).addFilter(is_relevant)
    try:
        yield
    finally:
        _OURS.removeHandler(handler)
        _OURS.level, _OURS.propagate = before
