"""Champion against challenger."""

from prefect import task

from housing import progress
from housing.steps import evaluate as steps
from housing.steps.evaluate import Judged
from housing.steps.night import Night, step
from tasks import run
from tasks.options import PLAIN


@task(name="evaluate", task_run_name="evaluate m{challenger} on v{version}", **PLAIN)
def evaluate(night: Night, version: int, challenger: int) -> Judged:
    """Score both on tonight's test set and judge."""
    with step(night, "evaluate") as (store, settings):
        judged = steps.evaluate(store, night, version, challenger, settings)
        progress.report("evaluate", 1, 1, judged.sentence)
    champion = "the baselines" if judged.champion is None else f"m{judged.champion}"
    run.say(f"v{version}, m{challenger} against {champion}", [f"v{version}", f"m{challenger}"])
    return judged
