"""A home that is deleted with the container or the folder that a work pool runs a flow in."""

import os
from pathlib import Path

from housing.errors import HousingError
from housing.settings import PREFIX, Settings, load_settings, values_of_env_file

STORED_IN_HOME = ("DATABASE_URL", "BLOB_URL", "BACKUP_URL", "SIGNING_KEY")
"""Settings of what is stored in the home unless they name another location."""


class TemporaryHome(HousingError):
    """What this run stores in its home would be lost."""

    template = (
        "HOUSING_HOME is {home}, {why}, so that what is stored there would be lost. Set it to a "
        "folder that is kept, or set {missing} to locations that are."
    )


def refuse_temporary_home(mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Raise TemporaryHome where a flow run would keep something in a home that is deleted."""
    given = values_of_env_file() | dict(os.environ)
    missing = [PREFIX + name for name in STORED_IN_HOME if not given.get(PREFIX + name)]
    home = given.get(f"{PREFIX}HOME") or "var"
    if not missing or "PREFECT__FLOW_RUN_ID" not in os.environ:
        return  # nothing is kept there, or no worker has started this process
    if not Path(home).expanduser().is_absolute():
        why = f"relative to {Path.cwd()}, the folder of this run alone"
    elif _is_deleted_with_container(load_settings(), mounts):
        why = "no volume but a part of this container"
    else:
        return
    raise TemporaryHome(home=home, why=why, missing=", ".join(missing))


def _is_deleted_with_container(settings: Settings, mounts: Path) -> bool:
    """Whether the home is on a container's own layer, or in an emptyDir of Kubernetes."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return False  # no Linux
    above = [each for each in lines if settings.home.is_relative_to(each[4])]
    mount = max(above, key=lambda each: len(each[4]))
    return mount[mount.index("-") + 1] == "overlay" or "kubernetes.io~empty-dir" in mount[3]
