"""The prediction API as a part of `housing up`: `python -m deployments.predicting PORT`."""

import sys

from deployments import lifeline
from deployments.serving import Binding, serve
from housing.settings import load_settings


def main() -> None:
    """Answer on loopback until SIGTERM."""
    lifeline.hold()
    serve(load_settings(), Binding(port=int(sys.argv[1])), print)


if __name__ == "__main__":
    main()
