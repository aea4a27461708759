"""One model after the other, loaded and asked for its golden predictions: a process of its own.

Reads settings and the models' numbers as JSON from standard input, and prints a line of JSON a
model. Run by `readiness`: only a fresh process says whether the libraries of now can load what
those of then have written.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass

from housing import schema
from housing.errors import HousingError
from housing.settings import load_settings
from housing.store import artifacts, registry
from housing.store.engine import Store
from housing.store.opening import open_store


@dataclass(frozen=True)
class Tried:
    """Whether a model could be loaded and said what it said before; `detail` says why not."""

    model: int
    ready: bool
    detail: str
    seconds: float


def try_model(store: Store, model: int) -> Tried:
    """Load a model and replay its golden predictions, whatever comes of it."""
    began = time.perf_counter()
    try:
        with store.read() as connection:
            row = registry.model(connection, model)
        fitted = artifacts.get_model(store, row.artifact)
        worst = artifacts.replay_golden(
            store, row.golden, lambda X: fitted.predict(X[list(schema.FEATURES)])
        )
        ready, detail = True, f"golden predictions within {worst:.1e}"
    except HousingError as error:
        ready, detail = False, str(error)
    except Exception as error:  # noqa: BLE001 - whatever a library does, the others are tried too
        ready, detail = False, f"{type(error).__name__}: {error}"
    return Tried(model, ready, detail, time.perf_counter() - began)


def main() -> None:
    """Answer what standard input asks."""
    asked = json.load(sys.stdin)
    models = asked.pop("models")
    with open_store(load_settings(**asked)) as store:
        for model in models:
            sys.stdout.write(json.dumps(asdict(try_model(store, model))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
