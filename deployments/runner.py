"""Serves all deployments: `python -m deployments.runner`, started and watched by `housing up`."""

from prefect import serve

from deployments.catalogue import DEPLOYMENTS
from housing.settings import load_settings


def main() -> None:
    """Register the deployments and run what is due, until stopped."""
    settings = load_settings()
    built = [deployment.build(settings) for deployment in DEPLOYMENTS]
    # Schedules stay on through a restart: a night must not be lost to an upgrade.
    serve(*built, pause_on_shutdown=False, limit=4)


if __name__ == "__main__":
    main()
