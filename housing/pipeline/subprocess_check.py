"""Load stored models in a fresh process and replay their golden predictions.

It is what a server that starts tomorrow does: only a new process shows whether the installed
libraries can load what was written. The child reads its input from standard input, so no process
list shows a secret, and prints one line of JSON per model.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, replace
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.engine import Row

from housing.errors import Corrupt, HousingError
from housing.gate.evidence import LoadCheck
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import artifacts

PREFLIGHT_SECONDS = 120.0
"""Time limit for the check of a challenger."""

_LINE = TypeAdapter(LoadCheck)


class ModelSubprocess:
    """A process that loads models; `models` are pairs of digests: artifact and golden rows.

    It starts at once, and ends with the `with` block. OSError where no process can be started.
    """

    def __init__(self, store: Store, settings: Settings, models: Sequence[tuple[str, str]]) -> None:
        self._began, self._models = time.perf_counter(), len(models)
        given = {
            "home": str(settings.home),
            "database_url": store.engine.url.render_as_string(hide_password=False),
            "blob_url": settings.blob_url,
            "backup_url": settings.backup_url,
            "models": list(models),
        }
        if settings.signing_key is not None:
            given["signing_key"] = settings.signing_key.get_secret_value()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "housing.pipeline.subprocess_check"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._child.stdin is not None:
            with suppress(BrokenPipeError):  # it ended already: `results` reports that
                self._child.stdin.write(json.dumps(given))
                self._child.stdin.close()
            self._child.stdin = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child.poll() is None:
            self._child.kill()
            self._child.communicate()

    def results(self, timeout: float) -> list[LoadCheck]:
        """One per model, in order; `not_run` where the process died or exceeded the timeout."""
        try:
            out, err = self._child.communicate(timeout=timeout)
            last = (err.strip().splitlines() or ["no error message"])[-1]
            ended = f"the process ended with {self._child.returncode}: {last[:300]}"
        except subprocess.TimeoutExpired:
            self._child.kill()
            out, _ = self._child.communicate()
            ended = f"there was no result within {timeout:g} s"
        missing = LoadCheck(None, time.perf_counter() - self._began, not_run=ended)
        found = [missing] * self._models
        for number, line in enumerate(out.splitlines()[: self._models]):
            with suppress(ValidationError):  # half a line
                found[number] = _LINE.validate_json(line)
        return found

    def result(self, timeout: float) -> LoadCheck:
        """The result for the only model; its seconds include the start of the process."""
        (found,) = self.results(timeout)
        return replace(found, seconds=time.perf_counter() - self._began)


def preflight(
    store: Store, settings: Settings, model: Row[Any]
) -> AbstractContextManager[ModelSubprocess | None]:
    """Check a row of models beside what the block does; None where the policy does not ask."""
    if not settings.gate.preflight:
        return nullcontext()
    return ModelSubprocess(store, settings, [(model.artifact, model.golden)])


def _check(store: Store, artifact: str, golden: str) -> LoadCheck:
    """Load a model and replay its golden predictions; whatever fails is in the result."""
    began = time.perf_counter()
    found: dict[str, Any] = {"worst": None}
    try:
        _, found["worst"] = artifacts.load_verified(store, artifact, golden)
    except Corrupt as error:
        found["fault"] = str(error).rstrip(".")
    except HousingError as error:
        found["not_run"] = str(error)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from predicting is the finding
        found["fault"] = f"{type(error).__name__}: {error}"
    return LoadCheck(**found, seconds=time.perf_counter() - began)


def main() -> None:
    """Check the models that standard input names."""
    given = json.load(sys.stdin)
    models = given.pop("models")
    try:
        store = open_store(load_settings(**given))
    except HousingError as error:
        for _ in models:
            _print(LoadCheck(None, 0.0, not_run=str(error)))
        return
    with store:
        for artifact, golden in models:
            _print(_check(store, artifact, golden))


def _print(found: LoadCheck) -> None:
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
