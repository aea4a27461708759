"""The endpoints for programs: predictions, flags, files, model facts, error responses."""

import io
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from housing import schema
from housing.problems.california.simulated.scenarios import simulate
from housing.serving import uploads
from housing.serving.app_state import FILE_THREADS
from housing.serving.request_models import LISTED_FAULTS, READABLE_FAULTS
from housing.serving.response_models import (
    ExplanationWithNeighbours,
    ModelFacts,
    PredictionResponse,
    Readiness,
)
from housing.store.database.engine import Store
from housing.store.models import artifacts, promotion_log, registry
from tests.housing.serving.conftest import until

# Starlette leaves the temporary file of an unfinished form part to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning"
)

District = dict[str, Any]
INCOME = schema.TABLE.strata[0].column
LONGITUDE, LATITUDE = schema.COORDINATES
CATEGORY = schema.CATEGORIES[0]


def ask(client: httpx.Client, *districts: District) -> httpx.Response:
    return client.post("/predict", json={"districts": districts})


def _frame(rows: int = 40) -> pd.DataFrame:
    return simulate(rows, 7)[list(schema.FEATURES)]


def _districts(frame: pd.DataFrame) -> list[District]:
    rows = frame.astype(object).where(frame.notna(), None)
    return rows.to_dict(orient="records")


def test_answers_are_the_models_own_numbers(client: httpx.Client, own_store: Store) -> None:
    frame = _frame()
    answer = ask(client, *_districts(frame))
    assert answer.status_code == 200, answer.text
    content = PredictionResponse.model_validate_json(answer.content)
    with own_store.read() as connection:
        champion = promotion_log.champion(connection)
        row = registry.model(connection, champion)
    fitted = artifacts.get_model(own_store, row.artifact)
    expected = fitted.predict(frame)
    assert [p.predicted for p in content.predictions] == pytest.approx(expected, rel=1e-9)
    assert (content.model, content.unit) == (f"m{champion}", "US dollars")


def test_a_request_may_name_its_rows_as_any_table_does(
    client: httpx.Client, typical: District
) -> None:
    plain, own = (client.post("/predict", json={k: [typical]}) for k in ("rows", "districts"))
    assert plain.json() == own.json()
    wrong = client.post("/predict", json={"rows": [{**typical, INCOME: 99}]})
    assert wrong.json()["errors"][0]["field"] == f"rows[0].{INCOME}"
    nothing = client.post("/predict", json={}).json()
    assert '{"districts": [{...}, ...]}' in nothing["detail"]


def test_an_optional_field_may_be_left_out_or_null(client: httpx.Client, typical: District) -> None:
    optional = next(c.name for c in schema.COLUMNS if c.nullable)
    without = {name: value for name, value in typical.items() if name != optional}
    one = ask(client, without, {**without, optional: None}).json()["predictions"]
    assert one[0] == one[1]


def test_the_districts_own_id_comes_back(client: httpx.Client, typical: District) -> None:
    answer = ask(client, {**typical, schema.ID_COLUMN: "d-17"}, typical).json()
    assert [p.get(schema.ID_COLUMN) for p in answer["predictions"]] == ["d-17", None]


def test_a_district_outside_the_training_range_is_flagged(
    client: httpx.Client, typical: District
) -> None:
    answer = ask(client, typical, {**typical, INCOME: 49.5}).json()["predictions"]
    assert (answer[0]["extrapolates"], answer[0]["warnings"]) == (False, [])
    assert answer[1]["extrapolates"]
    assert "49.5 is outside what the model was trained on" in answer[1]["warnings"][0]
    assert "10,000 US dollars" in answer[1]["warnings"][0]


def test_a_district_far_from_all_others_is_flagged(client: httpx.Client, typical: District) -> None:
    at_sea = {**typical, LONGITUDE: -124.5, LATITUDE: 33.0}
    answer = ask(client, at_sea).json()["predictions"][0]
    assert answer["extrapolates"]
    assert "km away" in " ".join(answer["warnings"])


# --- what bad input gets --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({INCOME: 99}, ["99 is out of range", "0 to 50", "10,000 US dollars a year"]),
        ({INCOME: "rich"}, ["'rich' is not a number"]),
        ({INCOME: True}, ["True is not a number"]),
        ({INCOME: None}, ["not a number"]),
        ({CATEGORY: "MOON"}, ["'MOON' is not a known category", "INLAND"]),
        ({"colour": "red"}, ["there is no such field", INCOME]),
    ],
)
def test_a_bad_field_is_named_with_value_unit_and_range(
    client: httpx.Client, typical: District, change: District, words: list[str]
) -> None:
    answer = ask(client, typical, {**typical, **change})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    fault = answer.json()["errors"][0]
    assert fault["field"] == f"districts[1].{next(iter(change))}"
    for word in words:
        assert word in fault["message"]


def test_ranges_are_part_of_the_machine_readable_schema(
    client: httpx.Client, typical: District
) -> None:
    fault = ask(client, {**typical, INCOME: 99}).json()["errors"][0]
    column = schema.CATALOGUE[INCOME]
    assert (fault["value"], fault["unit"]) == (99, column.unit)
    assert (fault["minimum"], fault["maximum"]) == (column.minimum, column.maximum)


def test_an_integer_of_any_length_is_out_of_range(client: httpx.Client, typical: District) -> None:
    """Of more than 64 bits too, which the JSON writer cannot write."""
    answer = ask(client, {**typical, INCOME: 10**30})
    assert answer.status_code == 422
    assert "is out of range" in answer.json()["errors"][0]["message"]
    assert answer.json()["errors"][0]["value"] == 1e30


@pytest.mark.parametrize("count", [21, READABLE_FAULTS + 5, 150_000])
def test_of_many_faults_some_are_listed_and_all_are_counted(
    client: httpx.Client, typical: District, count: int
) -> None:
    district = {**typical, **{f"x{i}": 1 for i in range(count)}}
    answer = ask(client, district)
    assert answer.status_code == 422
    content = answer.json()
    assert len(content["errors"]) + content["more_errors"] == count
    assert len(content["errors"]) == (LISTED_FAULTS if count <= READABLE_FAULTS else 1)
    assert INCOME in content["detail"], "the first message names the fields of a district"


def test_a_missing_field_is_named(client: httpx.Client, typical: District) -> None:
    typical.pop(INCOME)
    fault = ask(client, typical).json()["errors"][0]
    assert fault["field"] == f"districts[0].{INCOME}"
    assert "is missing" in fault["message"]


def test_a_part_larger_than_its_whole_is_refused(client: httpx.Client, typical: District) -> None:
    part, whole = schema.TABLE.not_above[0]
    answer = ask(client, {**typical, part: typical[whole] + 1})
    assert answer.status_code == 422
    assert whole in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"districts": []}', b'{"districts": 3}',
        b'{"districts": [null]}', b"[" * 100_000, b'{"districts": ' + b"[" * 100_000,
        b'{"districts": [{"' + b"a" * 100_000 + b'": 1}]}',
    ],
)  # fmt: skip
def test_a_body_that_is_no_question_is_a_422_that_explains(
    client: httpx.Client, body: bytes
) -> None:
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["message"]
    assert len(answer.content) < 20_000


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_a_number_that_is_not_finite_is_refused(
    client: httpx.Client, typical: District, number: str
) -> None:
    import json

    body = json.dumps({"districts": [{**typical, INCOME: "HERE"}]}).replace('"HERE"', number)
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert "finite" in answer.json()["errors"][0]["message"]


def test_too_many_districts_are_sent_to_the_files_endpoint(
    client: httpx.Client, typical: District
) -> None:
    answer = ask(client, *[typical] * 1_001)
    assert answer.status_code == 422
    assert "/predict/batch" in answer.json()["errors"][0]["message"]


def test_a_body_too_large_is_a_413(client: httpx.Client) -> None:
    answer = client.post(
        "/predict", content=b" " * 3_000_000, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413
    assert "2,000,000 bytes" in answer.json()["detail"]


def test_a_body_too_large_without_a_length_is_a_413(client: httpx.Client) -> None:
    def chunks() -> Any:
        for _ in range(300):
            yield b" " * 10_000

    answer = client.post("/predict", content=chunks(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_a_file_that_is_too_large_is_refused_with_an_alternative(client: httpx.Client) -> None:
    """Its length alone is enough: nothing of it is sent."""
    with socket.create_connection((client.base_url.host, client.base_url.port), 10) as connection:
        connection.sendall(
            b"POST /predict/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
            b"Content-Length: 600000000\r\nConnection: close\r\n\r\n"
        )
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert b"in parts" in answer


def test_another_kind_of_body_is_a_415(client: httpx.Client) -> None:
    assert client.post("/predict", data={"a": "b"}).status_code == 415


@pytest.mark.parametrize(
    "path", ["/nothing", "/../etc/passwd", "/%2e%2e/housing.db", "/static/../app.py", "/blobs"]
)
def test_no_file_is_reachable(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["title"] == "Not Found"


def test_a_method_that_is_not_there_is_a_405(client: httpx.Client) -> None:
    assert client.delete("/predict").status_code == 405


# --- files ----------------------------------------------------------------------------------


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def test_a_csv_file_comes_back_with_answers(client: httpx.Client) -> None:
    frame = _frame(300)
    answer = client.post(
        "/predict/batch", content=_csv(frame), headers={"content-type": "text/csv"}
    )
    assert answer.status_code == 200, answer.text
    table = pd.read_csv(io.BytesIO(answer.content))
    expected = [p["predicted"] for p in ask(client, *_districts(frame)).json()["predictions"]]
    assert table["predicted"].to_numpy() == pytest.approx(np.array(expected))
    assert table["error"].isna().all()
    assert set(table["model"]) == {answer.headers["x-model"]}
    assert table[INCOME].to_numpy() == pytest.approx(frame[INCOME].to_numpy())


def test_a_parquet_file_comes_back_as_parquet(client: httpx.Client) -> None:
    buffer = io.BytesIO()
    _frame(300).to_parquet(buffer)
    answer = client.post(
        "/predict/batch",
        content=buffer.getvalue(),
        headers={"content-type": "application/vnd.apache.parquet"},
    )
    assert answer.status_code == 200, answer.text
    table = pq.read_table(io.BytesIO(answer.content))
    assert table.num_rows == 300
    assert table["predicted"].null_count == 0


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_form_with_one_file_is_answered(client: httpx.Client, kind: str) -> None:
    buffer = io.BytesIO()
    if kind == "csv":
        buffer.write(_csv(_frame()))
    else:
        _frame().to_parquet(buffer)
    form = {"file": (f"a.{kind}", buffer.getvalue())}
    answer = client.post("/predict/batch", files=form, data={"note": "hello"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-rows"] == "40"


def test_invalid_rows_get_a_reason_and_the_others_a_prediction(
    client: httpx.Client,
) -> None:
    frame = _frame(5).astype(object)
    frame.loc[1, INCOME] = "rich"
    frame.loc[2, INCOME] = 99
    frame.loc[3, CATEGORY] = "MOON"
    frame.loc[4, INCOME] = ""
    answer = client.post(
        "/predict/batch", content=_csv(frame), headers={"content-type": "text/csv"}
    )
    table = pd.read_csv(io.BytesIO(answer.content))
    assert table["predicted"].notna().tolist() == [True, False, False, False, False]
    assert "'rich' is not a number" in table["error"][1]
    assert "out of range" in table["error"][2]
    assert "'MOON'" in table["error"][3]
    assert "is missing" in table["error"][4]
    assert answer.headers["x-rows-invalid"] == "4"


def _parquet_of(columns: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


PARQUET = "application/vnd.apache.parquet"


def _nested(value: Any) -> bytes:
    return _parquet_of({**_frame(1).to_dict("list"), INCOME: [value]})


def _repeated_text() -> bytes:
    """A text of 200 kB in 40 rows, each stored as a few bits."""
    table = pa.Table.from_pandas(_frame(40), preserve_index=False)
    at = table.column_names.index(CATEGORY)
    buffer = io.BytesIO()
    pq.write_table(
        table.set_column(at, CATEGORY, pa.array(["x" * 200_000] * 40)), buffer,
        use_dictionary=False, column_encoding={CATEGORY: "DELTA_BYTE_ARRAY"},
    )  # fmt: skip
    return buffer.getvalue()


_HEADER = ",".join(schema.FEATURES).encode()


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("text/csv", b"", "is empty"),
        ("text/csv", _HEADER + b"\n", "has no districts"),
        ("text/csv", b"a,b\n1,2\n", "line 1 is not the header"),
        ("text/csv", _HEADER + b"\n1,2\n", "line 2: 2 fields where the header has 9"),
        ("text/csv", _HEADER + b'\n"' + b"x" * 3_000_000, "line 2 is longer than 65,536 bytes"),
        ("text/csv", _HEADER + b'\n"x\n', "line 2: a quotation mark is not closed"),
        ("text/csv", b"\xff\xfea\x00", "UTF-16"),
        ("text/csv", _HEADER + b"\n" + b"\xff,1,1,1,1,1,1,1,1\n", "line 2, column 1: byte 0xFF"),
        ("text/csv", _HEADER + b"," + _HEADER + b"\n", "is there 2 times"),
        ("application/vnd.apache.parquet", b"PAR1", "no Parquet footer"),
        ("application/vnd.apache.parquet", b"hello" * 100, "is called Parquet and is not"),
        ("application/vnd.apache.parquet", _parquet_of({"a": [1]}), "the schema is not the header"),
        (PARQUET, _nested([1.0]), f"column {INCOME} has the type list<"),
        (PARQUET, _nested({"a": 1.0}), f"column {INCOME} has the type struct<"),
        (PARQUET, _nested([[{"a": [1]}]]), f"column {INCOME} has the type list<"),
        (PARQUET, _nested(b"1"), f"column {INCOME} has the type binary"),
        (PARQUET, _repeated_text(), "DELTA_BYTE_ARRAY"),
    ],
)
def test_a_broken_file_is_a_400_that_names_the_fault(
    client: httpx.Client, kind: str, content: bytes, words: str
) -> None:
    answer = client.post("/predict/batch", content=content, headers={"content-type": kind})
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("header", "content", "words"),
    [
        ("multipart/form-data", b"", "Missing boundary"),
        ("multipart/form-data; boundary=x", b"hello", "Invalid multipart data"),
        ("multipart/form-data; boundary=x", b"--x\r\n", "no complete file"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b',
            "no complete file",
        ),
    ],
)
def test_a_broken_form_is_a_400(
    client: httpx.Client, header: str, content: bytes, words: str
) -> None:
    answer = client.post("/predict/batch", content=content, headers={"content-type": header})
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["detail"]


def test_two_files_are_refused(client: httpx.Client) -> None:
    files = [("file", ("a.csv", b"a")), ("file", ("b.csv", b"b"))]
    answer = client.post("/predict/batch", files=files)
    assert answer.status_code == 400
    assert "Too many files" in answer.json()["detail"]


def test_an_upload_leaves_no_file(client: httpx.Client, champion_home: Any) -> None:
    client.post("/predict/batch", content=b"a,b\n", headers={"content-type": "text/csv"})
    client.post(
        "/predict/batch", content=_csv(_frame()), headers={"content-type": "text/csv"}
    ).raise_for_status()
    # The folder goes once the last byte is sent, which the client may have before the server.
    until(lambda: not list((champion_home / "uploads").iterdir()))


def test_scoring_stops_when_the_client_has_gone(
    client: httpx.Client, champion_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first chunk is repeated until scoring is cancelled; a minute would be a failure."""
    begun, ended = threading.Event(), threading.Event()
    errors: list[BaseException] = []
    real = uploads.score

    def repeating(*args: Any, on_chunk: Any, **kwargs: Any) -> Any:
        def again(*chunk: Any) -> None:
            begun.set()
            until(lambda: on_chunk(*chunk))

        try:
            return real(*args, on_chunk=again, **kwargs)
        except BaseException as error:
            errors.append(error)
            raise
        finally:
            ended.set()

    monkeypatch.setattr(uploads, "score", repeating)
    body = _csv(_frame())
    with socket.create_connection((client.base_url.host, client.base_url.port), 10) as connection:
        connection.sendall(
            b"POST /predict/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        assert begun.wait(60)
    assert ended.wait(90)
    assert not isinstance(errors[0], TimeoutError), "scoring went on without its client"
    until(lambda: not list((champion_home / "uploads").iterdir()))


# --- the model ------------------------------------------------------------------------------


def test_the_model_endpoint_describes_the_served_model(client: httpx.Client) -> None:
    facts = ModelFacts.model_validate_json(client.get("/model").content)
    assert facts.model == "m2"
    assert facts.test_rmse is not None
    assert facts.test_rmse.lower < facts.test_rmse.value < facts.test_rmse.upper
    found = facts.corrected_error
    assert found is not None
    assert found.lower < found.value < found.upper
    assert (found.metric, found.evaluation[0], found.dataset[0]) == ("rmse", "e", "v")


def test_contributions_add_up_to_the_price(client: httpx.Client, typical: District) -> None:
    body = {"districts": [{**typical, INCOME: 9.0}]}
    found = ExplanationWithNeighbours.model_validate_json(
        client.post("/explain", json=body).content
    )
    total = found.base_value + sum(c.contribution for c in found.contributions)
    assert total == pytest.approx(found.predictions[0].predicted, rel=1e-9)
    assert found.contributions[0].feature == schema.CATALOGUE[INCOME].label
    distances = [n.distance for n in found.neighbours]
    assert distances == sorted(distances)
    assert len(distances) == 8


def test_one_district_only_is_explained(client: httpx.Client, typical: District) -> None:
    assert client.post("/explain", json={"districts": [typical] * 2}).status_code == 422


def test_ready_and_health(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    ready = Readiness.model_validate_json(client.get("/ready").content)
    assert (ready.ready, ready.model) == (True, "m2")
    assert (ready.reload_failure, ready.promotion_log_error) == (None, "")


def test_metrics_count_what_was_answered(client: httpx.Client, typical: District) -> None:
    def count() -> float:
        lines = client.get("/metrics").text.splitlines()
        found = [line for line in lines if line.startswith('housing_rows_total{model="m2"}')]
        return float(found[0].split()[1]) if found else 0.0

    before = count()
    ask(client, typical, typical)
    assert count() == before + 2


def test_scanners_do_not_fill_the_metrics(client: httpx.Client) -> None:
    for i in range(5):
        client.get(f"/scan-{i}")
    assert "scan-" not in client.get("/metrics").text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "required"),
        ("x=1", "x: Input should be"),
        ("x=-122&y=north", "y: Input should be a valid number"),
        ("x=nan&y=37", "finite"),
        ("x=1e400&y=37", "x: Input should be"),
    ],
)
def test_a_bad_location_is_a_422(client: httpx.Client, query: str, words: str) -> None:
    answer = client.get(f"/nearest?{query}")
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_a_location_gets_the_nearest_training_district(client: httpx.Client) -> None:
    found = client.get("/map").json()
    x, y, price = found["x"][0], found["y"][0], found["value"][0]
    nearest = client.get(f"/nearest?x={x}&y={y}").json()
    assert (nearest["row"][LONGITUDE], nearest["row"][LATITUDE]) == (x, y)
    assert nearest["distance"] == pytest.approx(0)
    assert price > 0


# --- what costs more to read than to send ---------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"districts":' + b"[" * 1_000_000,
        b'{"districts":[{"a":' + b'{"a":' * 300_000,
        b'{"districts":[' + b"{}," * 600_000 + b"{}]}",
        b'{"districts":[{' + b",".join(b'"x%d":1' % i for i in range(150_000)) + b"}]}",
        b'{"districts":"' + b"x" * 1_500_000 + b'"}',
        b'{"districts":[{"longitude":1' + b"0" * 1_500_000 + b"}]}",
        b'{"districts":[{"longitude":1e' + b"9" * 1_500_000 + b"}]}",
    ],
    ids=["open", "deep", "nested", "many", "wide", "long", "digits", "exponent"],
)
def test_a_large_or_deep_json_is_a_422_and_a_short_one(client: httpx.Client, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    for path in ("/predict", "/explain"):
        answer = client.post(path, content=body, headers=headers)
        assert answer.status_code == 422, answer.text[:500]
        assert len(answer.content) < 20_000


_PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'


@pytest.mark.parametrize(
    "body",
    [
        b'--x\r\nContent-Disposition: form-data; name="' + b"n" * 5_000_000,
        b"--x\r\n" + b"A: b\r\n" * 500_000,
        b"--x\r\n" + b"A" * 5_000_000,
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * 50_000) + b"--x--",
        _PART * 50_000,
        b"\r\n" * 1_000_000,
        b"--x--",
    ],
    ids=["value", "headers", "name", "parts", "files", "nothing", "end"],
)
def test_an_endless_form_is_a_400(client: httpx.Client, body: bytes) -> None:
    answer = client.post(
        "/predict/batch", content=body, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code == 400, answer.text[:500]
    assert len(answer.content) < 2_000


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    where=st.lists(st.floats(0, 1), min_size=1, max_size=4),
    put=st.binary(max_size=5),
    kind=st.sampled_from(["text/csv", PARQUET, "multipart/form-data; boundary=x"]),
)
def test_a_damaged_file_is_never_a_defect(
    client: httpx.Client, where: list[float], put: bytes, kind: str
) -> None:
    body = bytearray(
        _parquet_of(_frame(30).to_dict("list")) if kind == PARQUET else _csv(_frame(30))
    )
    if kind.startswith("multipart"):
        body = bytearray(_PART + body + b"\r\n--x--\r\n")
    for share in where:
        at = int(share * len(body))
        body[at : at + len(put)] = put
    answer = client.post("/predict/batch", content=bytes(body), headers={"content-type": kind})
    assert answer.status_code in (200, 400), answer.text[:500]


# --- what waits for what --------------------------------------------------------------------


def test_long_uploads_hold_up_nothing_but_uploads(
    client: httpx.Client, typical: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More files than threads; none ends before all other requests have been answered."""
    begun, go_on = threading.Semaphore(0), threading.Event()
    real = uploads.score

    def blocked(*args: Any, **kwargs: Any) -> Any:
        begun.release()
        assert go_on.wait(120)
        return real(*args, **kwargs)

    monkeypatch.setattr(uploads, "score", blocked)
    answered: list[int] = []

    def upload() -> None:
        headers = {"content-type": "text/csv"}
        answer = httpx.post(
            f"{client.base_url}/predict/batch", content=_csv(_frame()), headers=headers, timeout=120
        )
        answered.append(answer.status_code)

    threads = [threading.Thread(target=upload) for _ in range(FILE_THREADS + 2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(FILE_THREADS):
            assert begun.acquire(timeout=60)
        for path in ("/metrics", "/model", "/ready", "/health", "/form", "/map", "/dashboard/data"):
            assert client.get(path).status_code == 200, path
        question = {"districts": [typical]}
        for path in ("/predict", "/explain"):
            assert client.post(path, json=question).status_code == 200, path
        assert answered == []
    finally:
        go_on.set()
        for thread in threads:
            thread.join()
    assert answered == [200] * (FILE_THREADS + 2)
