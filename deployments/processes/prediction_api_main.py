"""The process of the prediction API: `python -m deployments.processes.prediction_api_main PORT`."""

import sys

from deployments.processes import parent_death
from deployments.processes.prediction_api import Binding, serve
from housing.settings import load_settings


def main() -> None:
    """Answer on loopback until SIGTERM."""
    parent_death.exit_with_parent()
    serve(load_settings(), Binding(port=int(sys.argv[1])), print)


if __name__ == "__main__":
    main()
