"""How a night ends: by its outcome or, where it asks a person, by the answer."""

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.states import named
from housing.records import NightResult
from housing.steps.approval import Decided
from tasks.approval import decide, decided_elsewhere, may_wait, wait_for_answer
from tasks.run import say


def settled(result: NightResult) -> State[NightResult | Decided]:
    """A completed state. A run that asks is suspended here, and comes here again when resumed."""
    if not may_wait(result):
        return named(result)
    answer = wait_for_answer(result)
    done = decided_elsewhere(result.run) or decide(result.run, answer.decision, answer.reason)
    say(done.status, [done.status])
    return Completed(name=done.status.capitalize(), message=done.sentence, data=done)
