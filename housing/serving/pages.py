"""The two pages and what they ask for: plain files of this package, and JSON from the store.

Only the files named here can be asked for; a path is never made from a request. The pages bring
nothing from elsewhere, so they work without the internet.
"""

import re
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from housing.inference.columns import district_at
from housing.inference.loaded_model import LoadedModel
from housing.schema import CATALOGUE, CATEGORIES, COORDINATES, FEATURES, SOURCE
from housing.serving.api import PROBLEMS, asked, json_answer
from housing.serving.app_state import state_of
from housing.serving.dashboard import overview
from housing.serving.problems import HTTPProblem
from housing.serving.response_models import UNIT, Form, Map, RowRecord

FOLDER = Path(__file__).with_name("pages")

FILES = {
    "/": ("people.html", "text/html; charset=utf-8"),
    "/operator": ("operator.html", "text/html; charset=utf-8"),
    "/static/common.js": ("common.js", "text/javascript; charset=utf-8"),
    "/static/map.js": ("map.js", "text/javascript; charset=utf-8"),
    "/static/people.js": ("people.js", "text/javascript; charset=utf-8"),
    "/static/operator.js": ("operator.js", "text/javascript; charset=utf-8"),
    "/static/style.css": ("style.css", "text/css; charset=utf-8"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}

MAP_PLACES = 6_000
"""Districts on the map; of more, every k-th."""

CAUTION = "A price is an estimate for a whole district, not an offer or a valuation."
SIMULATED = (
    "SIMULATED DISTRICTS: this model was trained on made-up rows and says nothing of houses."
)

router = APIRouter(responses={s: PROBLEMS[s] for s in (401, 403, 421)})


def _file(name: str, media_type: str) -> Any:
    content = None

    async def answer() -> Response:
        nonlocal content
        content = content or (FOLDER / name).read_bytes()
        return Response(content, media_type=media_type)

    return answer


for _path, (_name, _media_type) in FILES.items():
    router.add_api_route(_path, _file(_name, _media_type), methods=["GET"], include_in_schema=False)


@router.get("/form", responses={200: {"model": Form}, **asked(503)})
async def form(request: Request) -> Response:
    """What the form asks for: fields with units and ranges, and a typical district."""
    served = state_of(request).champion()
    return json_answer(
        {
            "model": served.name,
            "unit": UNIT,
            "notice": SIMULATED if served.simulated else f"{SOURCE}. {CAUTION}",
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
        "meaning": column.meaning,
        "categories": list(column.categories) if name in CATEGORIES else None,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "trained_from": low,
        "trained_to": high,
        "optional": column.nullable,
        "typical": calibration.typical[name],
    }


@router.get("/map", responses={200: {"model": Map}, **asked(503)})
async def map_(request: Request) -> Response:
    """Training districts to draw: coordinates and prices."""
    served = state_of(request).champion()
    training_index = served.training_index
    keep = slice(None, None, -(-len(training_index.label) // MAP_PLACES))
    return json_answer(
        {
            "model": served.name,
            "x": np.ascontiguousarray(training_index.columns[COORDINATES[0]][keep]),
            "y": np.ascontiguousarray(training_index.columns[COORDINATES[1]][keep]),
            "price": np.ascontiguousarray(training_index.label[keep]),
        }
    )


_LONGITUDE, _LATITUDE = (CATALOGUE[name] for name in COORDINATES)


@router.get("/district", responses={200: {"model": RowRecord}, **asked(422, 503)})
async def district(
    request: Request,
    x: Annotated[float, Query(ge=_LONGITUDE.minimum, le=_LONGITUDE.maximum, allow_inf_nan=False)],
    y: Annotated[float, Query(ge=_LATITUDE.minimum, le=_LATITUDE.maximum, allow_inf_nan=False)],
) -> Response:
    """The training district nearest to a place (degrees east and north), and its price."""
    served = state_of(request).champion()
    at, kilometres = served.training_index.around((x, y), 1)[0]
    return json_answer(
        {
            "district": district_at(served.training_index.columns, at),
            "price": float(served.training_index.label[at]),
            "kilometres": kilometres,
        }
    )


_STYLE = re.compile(rb"<style>.*?</style>", re.DOTALL)
_LINK = b'<link rel="stylesheet" href="/static/style.css">'


@router.get(
    "/model/card",
    responses={
        200: {"description": "The champion's model card", "content": {"text/html": {}}},
        **asked(404, 503),
    },
)
async def card(request: Request) -> Response:
    """The champion's model card, where one has been written."""
    state = state_of(request)
    served = state.champion()
    path = state.settings.home / "reports" / f"card-{served.name}.html"
    try:
        content = await state.aside(path.read_bytes)
    except FileNotFoundError:
        words = f"{served.name} has no card yet; `housing card {served.name}` writes it."
        raise HTTPProblem(404, words) from None
    # The door lets no style inside a page through; a card stands alone elsewhere and has one.
    return Response(_STYLE.sub(_LINK, content, count=1), media_type="text/html; charset=utf-8")


@router.get("/operator/data", responses={200: {"description": "What the operator's page shows"}})
async def operator_data(request: Request) -> Response:
    """Champion, errors, drift, holds, readiness, last nights: what the operator's page shows."""
    state = state_of(request)
    return json_answer(await state.aside(overview, state))
