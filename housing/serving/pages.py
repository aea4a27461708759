"""The two pages and their data: static files of this package, and JSON from the store.

The pages load nothing from other hosts, so they work without the internet.
"""

import re
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from housing.inference.columns import district_at
from housing.inference.loaded_model import LoadedModel
from housing.schema import CATALOGUE, CATEGORIES, COORDINATES, FEATURES, PROBLEM
from housing.serving.api import json_response
from housing.serving.app_state import state_of
from housing.serving.dashboard import overview
from housing.serving.response_models import UNIT

FOLDER = Path(__file__).with_name("pages")
STATIC = StaticFiles(directory=FOLDER)

MAP_DISTRICTS = 6_000
"""Most districts on the map; of more, every k-th."""

CAUTION = "A price is an estimate for a whole district, not an offer or a valuation."
SIMULATED = "SIMULATED DISTRICTS: this model was trained on simulated rows, not on real prices."

router = APIRouter(include_in_schema=False)  # for these pages alone


@router.get("/")
async def prices_page() -> FileResponse:
    """The page for people: form, map, price."""
    return FileResponse(FOLDER / "prices.html")


@router.get("/dashboard")
async def dashboard_page() -> FileResponse:
    """The dashboard for operators."""
    return FileResponse(FOLDER / "dashboard.html")


@router.get("/form")
async def form(request: Request) -> Response:
    """The fields of the form with units, ranges and default values."""
    served = state_of(request).champion()
    return json_response(
        {
            "model": served.name,
            "unit": UNIT,
            "notice": SIMULATED if served.simulated else f"{PROBLEM.wording.source}. {CAUTION}",
            "coordinates": list(COORDINATES),
            "fields": [_field(served, name) for name in FEATURES],
        }
    )


def _field(served: LoadedModel, name: str) -> dict[str, Any]:
    column, calibration = CATALOGUE[name], served.calibration
    low, high = calibration.ranges.get(name, (None, None))
    return {
        "name": name,
        "label": column.label,
        "unit": column.unit,
        "description": column.meaning,
        "categories": list(column.categories) if name in CATEGORIES else None,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "trained_minimum": low,
        "trained_maximum": high,
        "optional": column.nullable,
        "default": calibration.typical[name],
    }


@router.get("/map")
async def map_(request: Request) -> Response:
    """Coordinates and prices of training districts."""
    served = state_of(request).champion()
    index = served.training_index
    keep = slice(None, None, -(-len(index.label) // MAP_DISTRICTS))
    x, y, price = (
        np.ascontiguousarray(values[keep])
        for values in (*(index.columns[name] for name in COORDINATES), index.label)
    )
    return json_response({"model": served.name, "x": x, "y": y, "price": price})


_LONGITUDE, _LATITUDE = (CATALOGUE[name] for name in COORDINATES)


@router.get("/district")
async def district(
    request: Request,
    x: Annotated[float, Query(ge=_LONGITUDE.minimum, le=_LONGITUDE.maximum, allow_inf_nan=False)],
    y: Annotated[float, Query(ge=_LATITUDE.minimum, le=_LATITUDE.maximum, allow_inf_nan=False)],
) -> Response:
    """The training district nearest to a location (degrees east and north), and its price."""
    index = state_of(request).champion().training_index
    at, distance = index.nearest((x, y), 1)[0]
    return json_response(
        {
            "district": district_at(index.columns, at),
            "price": float(index.label[at]),
            "distance_km": distance,
        }
    )


_STYLE = re.compile(rb"<style>.*?</style>", re.DOTALL)
_LINK = b'<link rel="stylesheet" href="/static/style.css">'


@router.get("/model/card")
def card(request: Request) -> Response:
    """The champion's model card; 404 if there is none."""
    state = state_of(request)
    name = state.champion().name
    try:
        content = (state.settings.home / "reports" / f"card-{name}.html").read_bytes()
    except FileNotFoundError:
        detail = f"{name} has no model card yet; `housing card {name}` writes it."
        raise HTTPException(404, detail) from None
    # The security headers forbid styles inside a page, which a card as a file of its own has.
    return HTMLResponse(_STYLE.sub(_LINK, content, count=1))


@router.get("/dashboard/data")
def dashboard_data(request: Request) -> Response:
    """Champion, error history, drift, blocks, rollback candidates, runs and promotions."""
    return json_response(overview(state_of(request)))
