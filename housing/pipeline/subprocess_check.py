"""Stored models in a fresh process: loaded, and asked for their golden predictions.

What a server that starts tomorrow would load. The process that fitted a model has modules, caches
and patches that a new one has not, and only a new one says whether the libraries of now can load
what those of then have written. The child reads what it needs from standard input, so no address
with a secret stands in a process list, and prints a line of JSON a model.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from housing.errors import Corrupt, HousingError
from housing.gate.evidence import LoadCheck
from housing.settings import Settings, load_settings
from housing.store.database.engine import Store
from housing.store.database.open import open_store
from housing.store.models import artifacts

ANSWER = TypeAdapter(LoadCheck)


class ModelSubprocess:
    """Models being tried in another process, each a pair of digests: artifact and golden rows."""

    def __init__(self, store: Store, settings: Settings, models: Sequence[tuple[str, str]]) -> None:
        self._began, self._models = time.perf_counter(), len(models)
        asked = {
            "home": str(settings.home),
            "database_url": store.engine.url.render_as_string(hide_password=False),
            "blob_url": settings.blob_url,
            "backup_url": settings.backup_url,
            "models": list(models),
        }
        if settings.signing_key is not None:
            asked["signing_key"] = settings.signing_key.get_secret_value()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "housing.pipeline.subprocess_check"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._child.stdin is not None:
            # A child that is gone already is told by what it did not answer.
            with suppress(BrokenPipeError):
                self._child.stdin.write(json.dumps(asked))
                self._child.stdin.close()
            self._child.stdin = None

    def answers(self, timeout: float) -> list[LoadCheck]:
        """One a model, in their order; those that a dead or slow process owes were not run."""
        try:
            out, err = self._child.communicate(timeout=timeout)
            last = (err.strip().splitlines() or ["it said nothing"])[-1]
            ended = f"the process ended with {self._child.returncode}: {last[:300]}"
        except subprocess.TimeoutExpired:
            self._child.kill()
            out, _ = self._child.communicate()
            ended = f"there was no answer within {timeout:g} s"
        found = list(map(_told, out.splitlines()))[: self._models]
        missing = LoadCheck(None, time.perf_counter() - self._began, not_run=ended)
        whole = [missing if one is None else one for one in found]
        return whole + [missing] * (self._models - len(whole))

    def result(self, timeout: float) -> LoadCheck:
        """The answer about the only model; its seconds count from when the process began."""
        (found,) = self.answers(timeout)
        return replace(found, seconds=time.perf_counter() - self._began)

    def stop(self) -> None:
        """End the process, if it still runs."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.communicate()


def _told(line: str) -> LoadCheck | None:
    """A line of the child's; None for half a one."""
    try:
        return ANSWER.validate_json(line)
    except ValidationError:
        return None


def try_model(store: Store, artifact: str, golden: str) -> LoadCheck:
    """Load a model and replay its golden predictions, whatever comes of it."""
    began = time.perf_counter()
    found: dict[str, Any] = {"worst": None}
    try:
        found["worst"] = artifacts.rehearse(store, artifact, golden)
    except Corrupt as error:
        found["fault"] = str(error).rstrip(".")
    except HousingError as error:
        found["not_run"] = str(error)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from predicting is the finding
        found["fault"] = f"{type(error).__name__}: {error}"
    return LoadCheck(**found, seconds=time.perf_counter() - began)


def main() -> None:
    """Answer what standard input asks."""
    asked = json.load(sys.stdin)
    models = asked.pop("models")
    try:
        store = open_store(load_settings(**asked))
    except HousingError as error:
        for _ in models:
            _say(LoadCheck(None, 0.0, not_run=str(error)))
        return
    with store:
        for artifact, golden in models:
            _say(try_model(store, artifact, golden))


def _say(found: LoadCheck) -> None:
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
