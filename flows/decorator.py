"""The decorator of every flow, and how the end of a run is named in the UI."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from prefect import Flow, flow
from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun, TerminationSignal
from prefect.states import Cancelled, Completed, Failed

from housing.errors import HousingError, RunInProgress
from tasks.home import refuse_temporary_home
from tasks.logs import operator_logs
from tasks.run_labels import dated_run_name
from tasks.termination import stop_when_cancelled

P = ParamSpec("P")
T = TypeVar("T")


def housing_flow(function: Callable[P, State[T]]) -> Flow[P, State[T]]:
    """A flow that is named after its function and described by its docstring.

    An expected error becomes a state that says what to do; any other stays an exception. A run
    that a person cancelled ends as `Cancelled`.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> State[T]:
        with operator_logs(), stop_when_cancelled() as is_cancelled:
            try:
                refuse_temporary_home()
                return function(*args, **kwargs)
            except (TerminationSignal, CancelledRun) as error:
                if not (isinstance(error, CancelledRun) or is_cancelled()):  # `housing up` stops
                    raise
                return Cancelled(message="It was cancelled; what it had completed is kept.")
            except RunInProgress as error:
                return Completed(name="Skipped", message=str(error), data=error)
            except HousingError as error:
                return Failed(message=str(error), data=error)

    name = function.__name__
    return flow(name=name, flow_run_name=lambda: dated_run_name(name), persist_result=False)(run)


def completed(name: str, message: str, data: T) -> State[T]:
    """A completed state named after its outcome."""
    return Completed(name=name.capitalize(), message=message, data=data)
