"""Tells the team of a run that failed and could not tell by itself; started by an automation."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.states import refusals_named
from tasks.run import dated
from tasks.upkeep import tell_of


@flow(
    name="alarm",
    description=__doc__,
    flow_run_name=lambda: dated("alarm"),
    persist_result=False,
)
@refusals_named
def alarm(flow_run: str) -> State[str]:
    """`flow_run` is the id of the run, as events name it. Nights have told by themselves."""
    said = tell_of(flow_run)
    return Completed(name="Told" if said else "Told before", message=said, data=said)
