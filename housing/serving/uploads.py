"""A file that is uploaded: to disk as it arrives, answered in chunks, sent back as a stream.

Neither the upload nor the answer is ever held in memory. The answer is complete before its first
byte is sent, so that a fault on the last line is a 4xx and not half a file.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from anyio import to_thread
from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from housing.errors import FileUnreadable
from housing.inference.file_scoring import FileScore, score
from housing.inference.loaded_model import LoadedModel
from housing.serving.app_state import State
from housing.serving.problems import HTTPProblem

KINDS = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/x-parquet": "parquet",
}
MEDIA_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
_MAGIC = b"PAR1"


async def answer_file(request: Request, state: State, served: LoadedModel) -> Response:
    """Answer an uploaded file; everything that is wrong with it is a 4xx that says so."""
    folder = tempfile.TemporaryDirectory(prefix="upload-", dir=state.scratch)
    try:
        upload, answers = Path(folder.name) / "upload", Path(folder.name) / "answers"
        form = await _arrived(request, upload)
        done = await state.within(state.files, _score, state, served, upload, answers, form)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        answers,
        media_type=MEDIA_TYPES[form],
        filename=f"answers.{form}",
        headers={
            "X-Model": served.name,
            "X-Rows": str(done.rows),
            "X-Rows-Invalid": str(done.invalid),
        },
        background=BackgroundTask(folder.cleanup),
    )


async def _arrived(request: Request, upload: Path) -> str:
    """Write the uploaded file as it arrives; returns what it is, "csv" or "parquet"."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    media_type = kind.decode("latin-1").lower()
    with upload.open("wb") as file:
        if media_type == "multipart/form-data":
            await _receive_form(request, file, options.get(b"boundary", b""))
            return _sniffed(upload)
        if media_type in KINDS:
            await _receive(request.stream(), file)
            return KINDS[media_type]
    raise HTTPProblem(
        415,
        "This endpoint reads text/csv, application/vnd.apache.parquet and multipart/form-data "
        "with one file.",
    )


def _score(state: State, served: LoadedModel, upload: Path, answers: Path, form: str) -> FileScore:
    try:
        done = score(
            served, upload, answers, name="the file", kind=form,
            seen=lambda columns, found: state.note(served, columns, found),
        )  # fmt: skip
    except FileUnreadable as error:
        raise HTTPProblem(400, f"{error}.") from error
    state.metrics.rejected.inc(done.invalid)
    return done


async def _receive(chunks: AsyncIterator[bytes], file: IO[bytes]) -> None:
    async for chunk in chunks:
        if chunk:
            await to_thread.run_sync(file.write, chunk)
    file.flush()


def _sniffed(path: Path) -> str:
    with path.open("rb") as file:
        return "parquet" if file.read(len(_MAGIC)) == _MAGIC else "csv"


async def _receive_form(request: Request, file: IO[bytes], boundary: bytes) -> None:
    """The content of the form's one file part, written as it arrives."""
    if not boundary:
        raise HTTPProblem(400, "The form has no boundary in its Content-Type.")
    form = _Form(file)
    with _readable():
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        async for chunk in request.stream():
            await to_thread.run_sync(parser.write, chunk)
        parser.finalize()
    file.flush()
    if form.files != 1:
        raise HTTPProblem(400, f"The form holds {form.files} files; send one, in the field `file`.")
    if not form.complete:
        raise HTTPProblem(400, "The form ends before its last boundary: the upload was cut short.")


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except MultipartParseError as error:
        raise HTTPProblem(400, f"The form cannot be read: {error}") from error


class _Form:
    """Callbacks of the parser: parts with a file name go to the file, others nowhere."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.files, self.complete = file, 0, False
        self._name, self._value, self._writing = b"", b"", False

    def callbacks(self) -> dict[str, Any]:
        """As `MultipartParser` wants them."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._header,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._name, self._value, self._writing = b"", b"", False

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            if b"filename" in options:
                self.files += 1
                self._writing = self.files == 1
        self._name, self._value = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._writing:
            self.file.write(data[start:end])

    def _end(self) -> None:
        self.complete = True
