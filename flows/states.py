"""How a night's outcome is named in the UI: a verdict is a completed run, never a failure."""

from prefect.client.schemas.objects import State
from prefect.states import Completed

from housing.records import NightResult


def named(result: NightResult) -> State[NightResult]:
    """A completed state that carries the outcome's name and sentence."""
    return Completed(name=result.outcome.capitalize(), message=result.sentence, data=result)
