"""How a night ends: by its outcome or, where it asks a person, by the answer."""

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.decorator import completed
from housing.pipeline.approval import ApprovalDecision
from housing.records import RunResult
from tasks.approval import decide, decided_elsewhere, may_wait, wait_for_answer
from tasks.run_labels import append_to_run_name


def final_state(result: RunResult) -> State[RunResult | ApprovalDecision]:
    """A completed state. A run that asks is suspended here, and comes here again when resumed."""
    if not may_wait(result):
        return completed(result)
    answer = wait_for_answer(result)
    done = decided_elsewhere(result.run) or decide(result.run, answer.decision, answer.reason)
    append_to_run_name(done.status, [done.status])
    return Completed(name=done.status.capitalize(), message=done.message, data=done)
