"""Whether the problem in force works: a whole run on a few rows, and all that is shown of it.

The settings must already point to a scratch home whose landing folder holds the rows. Not here:
making that home (`deployments.cli.problem`), and the draft of a package (`problem_draft`).
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from httpx import ASGITransport, AsyncClient, Response
from sklearn.model_selection import ParameterSampler

from housing.errors import HousingError
from housing.features.preprocess import set_parameters
from housing.pipeline import approval, datasets, evaluate, ingest, promote, report, train
from housing.pipeline.manual_promotion import promote_model
from housing.pipeline.result import of_verdict
from housing.pipeline.run_context import NightlyParameters, RunContext, finish_run, start_run, step
from housing.records import RunOutcome
from housing.schema import PROBLEM
from housing.serving.app import create_app
from housing.settings import load_settings
from housing.store.data import datasets as versions
from housing.store.models import artifacts
from housing.training.candidates import BASELINES, FAMILIES
from housing.training.families import ModelFamily
from housing.training.workers import one_thread

PAGES = ("/", "/dashboard", "/form", "/model/card", "/model")


@dataclass(frozen=True)
class PartChecked:
    """One part of a problem and whether it works."""

    name: str
    passed: bool
    message: str


def check_problem() -> Iterator[PartChecked]:
    """Check part after part; the first that fails where the rest needs it is the last."""
    with start_run("nightly", NightlyParameters()) as run:
        state: dict[str, Any] = {}
        for name, part in _PARTS.items():
            checked = _try(name, partial(part, run, state))
            yield checked
            if not checked.passed:
                return
        for kind, families in (("family", FAMILIES), ("baseline", BASELINES)):
            for name, family in families.items():
                yield _try(f"{kind} {name}", partial(_family, state, family))
    if not state["judged"].promotes:
        yield (promoted := _try("promotion", partial(_promote_anyway, state)))
        if not promoted.passed:
            return
    for page in PAGES:
        yield _try(f"page {page}", partial(_page, page))
    yield _try("prediction", _prediction)


def _try(name: str, part: Callable[[], str]) -> PartChecked:
    try:
        return PartChecked(name, True, part())
    except HousingError as error:
        return PartChecked(name, False, str(error))
    except Exception as error:  # noqa: BLE001 - whatever a team's own code raises is what is to be shown
        return PartChecked(name, False, f"{type(error).__name__}: {error}")


def _rows(run: RunContext, state: dict[str, Any]) -> str:
    with step(run, "ingest") as (store, settings):
        found = ingest.ingest(store, settings, run=run.id)
    if not found.accepted:
        raise HousingError(message=f"no row is accepted: {found.message}")
    with step(run, "freeze") as (store, _):
        state["version"] = datasets.freeze(store, run).id
    return found.message


def _split(run: RunContext, state: dict[str, Any]) -> str:
    with step(run, "split") as (store, settings):
        new = datasets.split(store, settings)
        state["rows"] = versions.read(store, state["version"])
    test = len(versions.test_rows(state["rows"]))
    return f"{test:,} of {new:,} on the test side, in strata that stay as they are"


def _search(run: RunContext, state: dict[str, Any]) -> str:
    with step(run, "preprocess") as (store, settings):
        train.preprocess(store, run, state["version"], settings)
    with step(run, "search") as (store, settings):
        state["search"] = train.search(store, run, state["version"], settings)
    with step(run, "fit") as (store, settings):
        state["model"] = train.fit(store, run, state["search"], settings)
    return f"{PROBLEM.default_family} was searched, fitted and stored as m{state['model']}"


def _gate(run: RunContext, state: dict[str, Any]) -> str:
    with step(run, "evaluate") as (store, settings):
        judged = evaluate.evaluate(store, run, state["version"], state["model"], settings)
    if judged.promotes:
        with step(run, "promote") as (store, settings):
            promote.back_up(store, state["model"])
            judged = approval.promote_or_request(store, run, judged, settings)
    state["judged"] = judged
    return judged.message


def _report(run: RunContext, state: dict[str, Any]) -> str:
    result = of_verdict(run.id, state["version"], state["judged"], dry_run=False)
    with step(run, "report") as (store, settings):
        written = report.write_report(store, settings, run, result)
    with step(run, "finish") as (store, _):
        finish_run(store, run, written.result)
    return "written"


_PARTS: dict[str, Callable[[RunContext, dict[str, Any]], str]] = {
    "rows": _rows,
    "split": _split,
    "search": _search,
    "gate": _gate,
    "report and card": _report,
}


def _promote_anyway(state: dict[str, Any]) -> str:
    """Pages and predictions need a champion, however little a few rows can prove."""
    found = promote_model(state["model"], "housing problem check", override=True)
    if found.result.outcome != RunOutcome.PROMOTED:
        raise HousingError(message=found.verdict.message)
    return f"m{state['model']} is champion here, so that its pages can be tried"


def _family(state: dict[str, Any], family: ModelFamily) -> str:
    """Fit a model with parameters as a search draws them, store it and load it."""
    if not family.installed:
        return f"left out: {family.missing}"
    X, y = train.training_side(state["rows"])
    parameters = ParameterSampler(family.space, 1, random_state=0) if family.space else [{}]
    model = set_parameters(family.build(0), next(iter(parameters)))
    with one_thread():
        model.fit(X, y)
    artifacts.check_storable(model, X[:50], f"a model of the family {family.name}")
    return family.explanation


def _page(path: str) -> str:
    return f"{len(_asked(path).content):,} bytes"


def _prediction() -> str:
    examples = _asked("/openapi.json").json()["components"]["examples"]
    return _asked("/predict", next(iter(examples.values()))["value"]).text[:100]


def _asked(path: str, body: Any = None) -> Response:
    """The answer of the prediction service to one request."""

    async def ask() -> Response:
        app = create_app(load_settings())
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=ASGITransport(app), base_url="http://localhost") as client,
        ):
            return await (client.get(path) if body is None else client.post(path, json=body))

    found = asyncio.run(ask())
    if found.status_code != 200:
        raise HousingError(message=f"status {found.status_code}: {found.text[:200]}")
    return found
