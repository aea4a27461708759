"""How a run's end is named in the UI: a verdict is a completed run, a refusal no stack trace."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from housing.errors import AnotherNightRuns, HousingError
from housing.records import NightResult
from housing.steps.approval import Decided
from tasks.logs import operator_logs

P = ParamSpec("P")
T = TypeVar("T")


def named(result: NightResult) -> State[NightResult | Decided]:
    """A completed state that carries the outcome's name and sentence."""
    return Completed(name=result.outcome.capitalize(), message=result.sentence, data=result)


def refusals_named(flow: Callable[P, State[T]]) -> Callable[P, State[T]]:
    """A flow whose expected errors are states that say what to do; others stay exceptions."""

    @wraps(flow)
    def run(*args: P.args, **kwargs: P.kwargs) -> State[T]:
        with operator_logs():
            try:
                return flow(*args, **kwargs)
            except AnotherNightRuns as error:
                return Completed(name="Skipped", message=str(error), data=error)
            except HousingError as error:
                return Failed(message=str(error), data=error)

    return run
