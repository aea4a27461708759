"""The stored artifact in a fresh process: what a server that starts tomorrow would load.

The process that fitted a model has modules, caches and patches that a new one has not. The child
reads what it needs from standard input, so no address with a secret stands in a process list.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from housing import schema
from housing.errors import Corrupt, HousingError
from housing.gate.evidence import Preflight
from housing.settings import Settings, load_settings
from housing.store import artifacts
from housing.store.engine import Store
from housing.store.opening import open_store

TIMEOUT_SECONDS = 120.0


class Begun:
    """A preflight under way in another process."""

    def __init__(self, store: Store, settings: Settings, artifact: str, golden: str) -> None:
        self._began = time.perf_counter()
        asked = {
            "home": str(settings.home),
            "database_url": store.engine.url.render_as_string(hide_password=False),
            "blob_url": settings.blob_url,
            "backup_url": settings.backup_url,
            "artifact": artifact,
            "golden": golden,
        }
        self._child = subprocess.Popen(
            [sys.executable, "-m", "housing.steps.preflight"],
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

    def result(self, timeout: float = TIMEOUT_SECONDS) -> Preflight:
        """What it found; waits for it."""
        try:
            out, err = self._child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            return self._found(not_run=f"there was no answer within {timeout:.0f} s")
        try:
            answer = json.loads(out)
        except ValueError:
            last = (err.strip().splitlines() or ["it said nothing"])[-1]
            return self._found(
                not_run=f"the process ended with {self._child.returncode}: {last[:300]}"
            )
        return self._found(**answer)

    def _found(self, **answer: Any) -> Preflight:
        seconds = time.perf_counter() - self._began
        return Preflight(**{"worst": None, "seconds": seconds, **answer})

    def stop(self) -> None:
        """End the process, if it still runs."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.communicate()


@contextmanager
def preflight(store: Store, settings: Settings, model: Any) -> Iterator[Begun | None]:
    """Begin it beside what the block does; None where the policy does not ask for one.

    `model` is a row of models. OSError where no process can be started.
    """
    if not settings.gate.preflight:
        yield None
        return
    begun = Begun(store, settings, model.artifact, model.golden)
    try:
        yield begun
    finally:
        begun.stop()


def _answer(asked: dict[str, str]) -> dict[str, Any]:
    artifact, golden = asked.pop("artifact"), asked.pop("golden")
    try:
        store = open_store(load_settings(**asked))
    except HousingError as error:
        return {"not_run": str(error)}
    with store:
        try:
            model = artifacts.get_model(store, artifact)
            worst = artifacts.replay_golden(
                store, golden, lambda X: model.predict(X[list(schema.FEATURES)])
            )
        except Corrupt as error:
            return {"fault": str(error).rstrip(".")}
        except HousingError as error:
            return {"not_run": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever keeps it from predicting is the finding
            return {"fault": f"{type(error).__name__}: {error}"}
    return {"worst": worst}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(json.load(sys.stdin))))
