"""Uploaded files: written to disk as they arrive, scored in chunks, sent back as a file.

The result is complete before its first byte is sent, so a fault on the last line is a 4xx and not
half a file. Scoring stops when the client disconnects.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from anyio import CancelScope, CapacityLimiter, from_thread, to_thread
from fastapi import Request
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response

from housing.errors import FileUnreadable
from housing.inference.columns import Columns
from housing.inference.file_scoring import FileScore, Ids, score
from housing.inference.loaded_model import LoadedModel, Predictions
from housing.serving.app_state import AppState

CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
KINDS = {
    CSV: "csv",
    "application/csv": "csv",
    PARQUET: "parquet",
    "application/x-parquet": "parquet",
}

T = TypeVar("T")


async def score_upload(request: Request, state: AppState) -> Response:
    """Score an uploaded file; HTTPException 4xx for one that cannot be read."""
    served = state.champion()
    folder = tempfile.TemporaryDirectory(prefix="upload-", dir=state.upload_dir)
    try:
        source, target = Path(folder.name) / "upload", Path(folder.name) / "predictions"
        kind = await _save(request, source)
        done = await _while_connected(
            request, state.file_slots, lambda: _score(state, served, source, target, kind)
        )
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        target,
        media_type=PARQUET if kind == "parquet" else CSV,
        filename=f"predictions.{kind}",
        headers={
            "X-Model": served.name,
            "X-Rows": str(done.rows),
            "X-Rows-Invalid": str(done.invalid),
            "X-Simulated": str(served.simulated).lower(),
        },
        background=BackgroundTask(folder.cleanup),
    )


async def _save(request: Request, path: Path) -> str:
    """Write the uploaded file to `path` as it arrives; returns its kind, "csv" or "parquet"."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    with path.open("wb") as file:
        if media_type in KINDS:
            async for chunk in request.stream():
                await to_thread.run_sync(file.write, chunk)
            return KINDS[media_type]
        if media_type != "multipart/form-data":
            raise HTTPException(
                415, f"This endpoint reads {CSV}, {PARQUET} and multipart/form-data with one file."
            )
        async with request.form(max_files=1, max_fields=100) as form:
            uploads = [part for part in form.values() if isinstance(part, UploadFile)]
            if not uploads:
                raise HTTPException(
                    400, "The form has no complete file. Send one in the field `file`."
                )
            await to_thread.run_sync(shutil.copyfileobj, uploads[0].file, file)
    with path.open("rb") as saved:
        return "parquet" if saved.read(4) == b"PAR1" else "csv"


async def _while_connected(request: Request, slots: CapacityLimiter, work: Callable[[], T]) -> T:
    """Run `work` in a thread; ClientDisconnect once the client has gone.

    `work` calls `from_thread.check_cancelled` at points where it may be stopped.
    """

    async def cancel_on_disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    with CancelScope() as scope:
        watcher = asyncio.create_task(cancel_on_disconnect())
        try:
            return await to_thread.run_sync(work, limiter=slots)
        finally:
            watcher.cancel()
    raise ClientDisconnect


def _score(
    state: AppState, served: LoadedModel, source: Path, target: Path, kind: str
) -> FileScore:
    def on_chunk(columns: Columns, predictions: Predictions | None, ids: Ids) -> None:
        from_thread.check_cancelled()
        if predictions is not None:
            state.record(served, columns, predictions, ids)

    try:
        done = score(served, source, target, name="the file", kind=kind, on_chunk=on_chunk)
    except FileUnreadable as error:
        raise HTTPException(400, f"{error}.") from error
    state.metrics.rejected.inc(done.invalid)
    return done
