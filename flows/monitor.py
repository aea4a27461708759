"""One look at what the champion answered since the last one: drift, live error, staleness."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.decorator import expected_errors_as_states
from flows.nightly import nightly
from housing.operations.monitor import MonitorRun
from tasks.maintenance import run_monitor
from tasks.run_labels import dated_run_name


@flow(
    name="monitor",
    description=__doc__,
    flow_run_name=lambda: dated_run_name("monitor"),
    persist_result=False,
)
@expected_errors_as_states
def monitor() -> State[MonitorRun]:
    """Look, and tell the team of what is an alarm."""
    seen = run_monitor()
    if seen.retrain:  # by the policy of HOUSING_MONITOR__...
        nightly()
    message = " ".join(seen.told) or f"m{seen.model}: nothing that somebody should look at."
    return Completed(name="Alarm" if seen.told else "Quiet", message=message, data=seen)
