"""One look at what the champion answered since the last one: drift, live error, staleness."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.nightly import nightly
from flows.states import refusals_named
from housing.steps.monitor import Look
from tasks.run import dated
from tasks.upkeep import look


@flow(
    name="monitor",
    description=__doc__,
    flow_run_name=lambda: dated("monitor"),
    persist_result=False,
)
@refusals_named
def monitor() -> State[Look]:
    """Look, and tell the team of what is an alarm."""
    seen = look()
    if seen.retrain:  # by the policy of HOUSING_MONITOR__...
        nightly()
    sentence = " ".join(seen.told) or f"m{seen.model}: nothing that somebody should look at."
    return Completed(name="Alarm" if seen.told else "Quiet", message=sentence, data=seen)
