"""Champion against challenger."""

from prefect import task

from housing import progress
from housing.pipeline import evaluate as steps
from housing.pipeline.evaluate import JudgedEvaluation
from housing.pipeline.run_context import RunContext, step
from tasks import run_labels
from tasks.options import PLAIN


@task(name="evaluate", task_run_name="evaluate m{challenger} on v{version}", **PLAIN)
def evaluate(run: RunContext, version: int, challenger: int) -> JudgedEvaluation:
    """Score both on tonight's test set and judge."""
    with step(run, "evaluate") as (store, settings):
        judged = steps.evaluate(store, run, version, challenger, settings)
        progress.report("evaluate", 1, 1, judged.message)
    champion = "the baselines" if judged.champion is None else f"m{judged.champion}"
    run_labels.append_to_run_name(
        f"v{version}, m{challenger} against {champion}", [f"v{version}", f"m{challenger}"]
    )
    return judged
