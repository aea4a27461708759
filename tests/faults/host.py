"""A process that has imported everything, and forks a child for each operation that is asked for.

Reads a JSON line a request: {"operation": ..., "environment": {...}}; answers with one:
{"code": exit code or minus the signal, "end": "done" | "expected" | "unexpected" | "killed",
"said": the error in words}. Run with the fault library preloaded; the children fall to it.
"""

import json
import os
import sys
import traceback

from housing.errors import HousingError
from housing.training.candidates import FAMILIES
from tests.faults.operations import HELPERS, OPERATIONS
from tests.fixtures.small_settings import small_forest


def main() -> None:
    """Serve until the pipe closes."""
    FAMILIES["forest"] = small_forest()  # type: ignore[index]
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_run(request["operation"], request["environment"])), flush=True)


def _run(operation: str, environment: dict[str, str]) -> dict[str, object]:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        answer = _child(operation, environment)
        with os.fdopen(write, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    answer = json.loads(said) if said else {"end": "killed" if code < 0 else "unexpected"}
    return {"code": code, "said": "", **answer}


def _child(operation: str, environment: dict[str, str]) -> dict[str, str]:
    os.environ.update(environment)
    try:
        {**OPERATIONS, **HELPERS}[operation]()
    except HousingError as error:
        return {"end": "expected", "said": f"{type(error).__name__}: {error}"}
    except BaseException:  # noqa: BLE001 - whatever it is, the campaign is told
        return {"end": "unexpected", "said": traceback.format_exc()}
    return {"end": "done"}


if __name__ == "__main__":
    main()
