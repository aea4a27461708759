"""The two pages and their data: static files of this package, and JSON from the store.

The pages load nothing from other hosts, so they work without the internet. Their words and units
are the problem's (`/words`).
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from housing.inference.columns import row_at
from housing.inference.loaded_model import SIMULATED, LoadedModel
from housing.metric import metric_named
from housing.report.design.palette import css
from housing.schema import CATALOGUE, COORDINATES, FEATURES, LOCATION, PROBLEM, WORDING
from housing.serving.api import json_response
from housing.serving.app_state import state_of
from housing.serving.dashboard import overview
from housing.store.objects.pages import PAGE_HEADERS, media_type, page_storage

FOLDER = Path(__file__).with_name("pages")
STATIC = StaticFiles(directory=FOLDER)

MAP_ROWS = 6_000
"""Most rows on the map; of more, every k-th."""

WORDS = {
    **{
        name: getattr(WORDING, name)
        for name in ("row", "rows", "value", "values", "title", "page", "request_key")
    },
    **vars(PROBLEM.amount),
    "in_unit": f" in {PROBLEM.amount.unit}" if PROBLEM.amount.unit else "",
    "simulated": SIMULATED,
}
"""What the pages call things, and how they write values of the target."""

router = APIRouter(include_in_schema=False)  # for these pages alone


router.add_api_route("/", lambda: FileResponse(FOLDER / "predict.html"))
router.add_api_route("/dashboard", lambda: FileResponse(FOLDER / "dashboard.html"))
router.add_api_route("/docs", lambda: FileResponse(FOLDER / "docs.html"))


@router.get("/static/style.css")
async def style() -> Response:
    """The style sheet of all pages."""
    return Response(css(), media_type="text/css")


@router.get("/words")
async def words() -> Response:
    """Words and unit of the problem, for both pages."""
    return json_response(WORDS)


@router.get("/form")
async def form(request: Request) -> Response:
    """The fields of the form with units, ranges and default values; `location` if there is one."""
    served = state_of(request).champion()
    source = "" if served.simulated else f"Source: {WORDING.source}. "
    location = LOCATION and {**vars(LOCATION), "ratio": LOCATION.ratio}
    return json_response(
        {
            "model": served.name,
            "error": size_of_errors(served),
            "value_range": served.calibration.value_range,
            "simulated": served.simulated,
            "notice": f"{source}{WORDING.caution} {served.copy_notice}".strip(),
            "location": location,
            "fields": [field(served, name) for name in FEATURES],
        }
    )


def size_of_errors(served: LoadedModel) -> float:
    """The model's error in the target's unit, by which the page rounds predictions."""
    error, metric = served.model_facts["cv_error"], metric_named(served.model_facts["metric"])
    return float(
        error if metric.has_unit else error * max(map(abs, served.calibration.value_range))
    )


def field(served: LoadedModel, name: str) -> dict[str, Any]:
    """A feature as a field of the form."""
    column, calibration = CATALOGUE[name], served.calibration
    low, high = calibration.ranges.get(name, (None, None))
    return {
        "name": name,
        "label": column.label,
        "unit": column.unit_beside,
        "description": column.meaning,
        "categories": list(column.categories) if column.kind == "category" else None,
        "trained_minimum": low,
        "trained_maximum": high,
        "optional": column.nullable,
        "default": calibration.typical[name],
    }


if LOCATION is not None:
    _X, _Y = (
        Query(ge=CATALOGUE[name].minimum, le=CATALOGUE[name].maximum, allow_inf_nan=False)
        for name in COORDINATES
    )

    @router.get("/map")
    async def map_(request: Request) -> Response:
        """Coordinates and values of training rows."""
        served = state_of(request).champion()
        index = served.training_index
        keep = slice(None, None, -(-len(index.values) // MAP_ROWS))
        x, y, value = (
            np.ascontiguousarray(values[keep])
            for values in (*(index.columns[name] for name in COORDINATES), index.values)
        )
        facts = {"model": served.name, "notice": served.notice}
        return json_response({**facts, "x": x, "y": y, "value": value})

    @router.get("/nearest")
    async def nearest(
        request: Request, x: Annotated[float, _X], y: Annotated[float, _Y]
    ) -> Response:
        """The training row nearest to a location, and its value."""
        served = state_of(request).champion()
        index = served.training_index
        at, distance = index.nearest((x, y), 1)[0]
        facts = {"value": float(index.values[at]), "distance": distance, "notice": served.notice}
        return json_response({"row": row_at(index.columns, at), **facts})


@router.get("/model/card")
def card(request: Request) -> Response:
    """The champion's model card; 404 if there is none."""
    name = state_of(request).champion().name
    hint = f"{name} has no model card yet; `housing card {name}` writes it."
    return _report(request, f"card-{name}.html", hint)


@router.get("/reports/{name}")
def report(request: Request, name: str) -> Response:
    """A run's report, a model's card, a dataset's page or the monitor's, as it is stored."""
    return _report(request, name, f"There is no report {name}.")


def _report(request: Request, name: str, hint: str) -> Response:
    try:
        data = page_storage(state_of(request).settings).served(name)
    except FileNotFoundError as error:
        raise HTTPException(404, hint) from error
    return Response(data, media_type=media_type(name), headers=PAGE_HEADERS)


@router.get("/dashboard/data")
def dashboard_data(request: Request) -> Response:
    """Champion, error history, drift, blocks, rollback candidates, runs and promotions."""
    return json_response(overview(state_of(request)))
