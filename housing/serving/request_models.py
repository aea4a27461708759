"""JSON requests of the prediction API, derived from the column catalogue, and their errors.

The body is parsed from bytes into plain dictionaries. Files have a reader of their own
(`inference.file_scoring`), with the same rules and messages.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from housing.problem import Column
from housing.quality.values import LONGEST_ID, LONGEST_SHOWN, fault_message
from housing.schema import CATALOGUE, FEATURES, ID_COLUMN, TABLE, WORDING

KEY = WORDING.request_key
"""The problem's name for the rows of a request."""

REQUEST_KEYS = tuple(dict.fromkeys(("rows", KEY)))
"""Names under which a request may send them."""

LISTED_FAULTS = 20
"""Faults that a response lists; it counts the others."""

READABLE_FAULTS = 10_000
"""Faults from which on a response only counts them: each costs memory and time of all clients."""


class Fault(TypedDict):
    """An error in one field of a request."""

    field: str
    message: str
    value: NotRequired[Any]
    unit: NotRequired[str]
    minimum: NotRequired[float | None]
    maximum: NotRequired[float | None]
    allowed: NotRequired[list[str]]


class InvalidRequest(Exception):
    """A request with invalid fields; `more` counts the faults that are not listed."""

    def __init__(self, faults: Sequence[Fault], more: int = 0) -> None:
        self.faults = list(faults[:LISTED_FAULTS])
        self.more = more + len(faults) - len(self.faults)
        super().__init__("; ".join(f"{fault['field']}: {fault['message']}" for fault in faults))


def _field(column: Column) -> Any:
    words = f"{column.meaning} ({column.unit})"
    if column.kind == "category":
        kind: Any = Annotated[Literal[column.categories], Field(description=words)]
    else:
        kind = Annotated[
            float,
            Field(
                strict=True,
                ge=column.minimum,
                le=column.maximum,
                allow_inf_nan=False,
                description=words,
                json_schema_extra={"unit": column.unit},
            ),
        ]
    return NotRequired[kind | None] if column.nullable else kind


_ID = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_ID,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        strict=True,
        description=f"The {WORDING.row}'s own id; it is returned with the prediction",
    ),
]


def _shape(name: str, fields: Mapping[str, Any]) -> Any:
    """Plain dictionaries with exactly these fields."""
    typed_dict: Any = TypedDict  # called as a function: the fields are the catalogue's
    made = typed_dict(name, dict(fields))
    made.__pydantic_config__ = ConfigDict(extra="forbid", title=name)
    return made


RequestRow: Any = _shape(
    "Row",
    {**{name: _field(CATALOGUE[name]) for name in FEATURES}, ID_COLUMN: NotRequired[_ID | None]},
)


def request_schema(max_rows: int) -> TypeAdapter[Any]:
    """Parses `{"rows": [...]}` with 1 to `max_rows` rows from JSON bytes."""
    words = "Predicted in this order; send " + " or ".join(f"`{key}`" for key in REQUEST_KEYS)
    many = Field(min_length=1, max_length=max_rows, description=words)
    rows: Any = NotRequired[Annotated[list[RequestRow], many]]
    shape = _shape("Request", dict.fromkeys(REQUEST_KEYS, rows))
    shape.__pydantic_config__["json_schema_extra"] = {"minProperties": 1, "maxProperties": 1}
    return TypeAdapter(shape)


def read(adapter: TypeAdapter[Any], body: bytes) -> list[dict[str, Any]]:
    """The rows of a JSON body; InvalidRequest names each field that is wrong."""
    try:
        sent: dict[str, list[dict[str, Any]]] = adapter.validate_json(body)
    except ValidationError as error:
        raise _invalid(error) from None
    if len(sent) != 1:
        fault: Fault = {"field": KEY, "message": f"is missing; send {EXAMPLE}"}
        if sent:
            both = " and ".join(sent)
            fault = {"field": "body", "message": f"has {both}, which are the same. Send {EXAMPLE}"}
        raise InvalidRequest([fault])
    ((key, rows),) = sent.items()
    faults: list[Fault] = [
        {
            "field": f"{key}[{i}].{part}",
            "message": fault_message("exceeds", part, row[part]),
            "value": row[part],
            "unit": CATALOGUE[part].unit,
        }
        for i, row in enumerate(rows)
        for part, whole in TABLE.not_above
        if None not in (row.get(part), row.get(whole)) and row[part] > row[whole]
    ]
    if faults:
        raise InvalidRequest(faults)
    return rows


def _invalid(error: ValidationError) -> InvalidRequest:
    count = error.error_count()
    if count > READABLE_FAULTS:
        message = f"it has {count:,} faults. Send {EXAMPLE}, each with {_FIELDS}"
        return InvalidRequest([{"field": "body", "message": message}], count - 1)
    listed = error.errors(include_url=False)[:LISTED_FAULTS]
    return InvalidRequest([_fault(detail) for detail in listed], count - len(listed))


_CODES = {
    "missing": "missing",
    "float_type": "not-a-number",
    "finite_number": "not-finite",
    "greater_than_equal": "range",
    "less_than_equal": "range",
    "literal_error": "category",
}


def _fault(detail: ErrorDetails) -> Fault:
    path = detail["loc"]
    column = CATALOGUE.get(str(path[-1])) if len(path) == 3 else None
    code = _CODES.get(detail["type"])
    if column is not None and column.name in FEATURES and code is not None:
        return _column_fault(_path(path), code, column, detail["input"])
    return {"field": _path(path) or "body", "message": _other(detail)}


def _column_fault(path: str, code: str, column: Column, value: Any) -> Fault:
    shown = None if code == "missing" else value
    fault: Fault = {"field": path, "message": fault_message(code, column.name, shown)}
    if code != "missing" and isinstance(value, str | bool | int | float) and code != "not-finite":
        # JSON numbers are floats: an integer of more than 64 bits cannot be written back.
        fault["value"] = float(value) if type(value) is int else value
        if isinstance(value, str):
            fault["value"] = value[:LONGEST_SHOWN]
    if column.kind == "category":
        fault["allowed"] = list(column.categories)
    else:
        fault["unit"] = column.unit
        fault["minimum"], fault["maximum"] = column.minimum, column.maximum
    return fault


def _other(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"there is no such field; each {WORDING.row} has {_FIELDS}"
    if kind == "too_long":
        return (
            f"{context['actual_length']:,} {WORDING.rows} are more than the "
            f"{context['max_length']:,} of one request; send a CSV or Parquet file to "
            "/predict/batch"
        )
    if kind == "json_invalid":
        return f"the body is not JSON: {context.get('error', 'it cannot be read')}"
    return detail["msg"]


EXAMPLE = f'{{"{KEY}": [{{...}}, ...]}}'
_FIELDS = ", ".join((*FEATURES, ID_COLUMN))


def _path(path: Sequence[int | str]) -> str:
    parts = [
        f"[{part}]" if isinstance(part, int) else f".{str(part)[:LONGEST_SHOWN]}" for part in path
    ]
    return "".join(parts).removeprefix(".")
