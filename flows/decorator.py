"""How a run's end is named in the UI: a verdict is a completed run, a refusal no stack trace."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from housing.errors import HousingError, RunInProgress
from housing.pipeline.approval import ApprovalDecision
from housing.records import RunResult
from tasks.logs import operator_logs

P = ParamSpec("P")
T = TypeVar("T")


def completed(result: RunResult) -> State[RunResult | ApprovalDecision]:
    """A completed state that carries the outcome's name and message."""
    return Completed(name=result.outcome.capitalize(), message=result.message, data=result)


def expected_errors_as_states(flow: Callable[P, State[T]]) -> Callable[P, State[T]]:
    """A flow whose expected errors are states that say what to do; others stay exceptions."""

    @wraps(flow)
    def run(*args: P.args, **kwargs: P.kwargs) -> State[T]:
        with operator_logs():
            try:
                return flow(*args, **kwargs)
            except RunInProgress as error:
                return Completed(name="Skipped", message=str(error), data=error)
            except HousingError as error:
                return Failed(message=str(error), data=error)

    return run
