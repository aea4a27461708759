"""What a user can set, from the environment (prefix HOUSING_) or `.env`: its only reader.

Objects that belong to a step (gate policy, search plan) are defined beside that step; here they
are only given their place and their defaults.
"""

import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeGuard
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from dotenv import dotenv_values
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from housing.errors import SettingsInvalid
from housing.gate.policy import GatePolicy
from housing.monitoring.options import MonitorOptions
from housing.notify import NotifySettings
from housing.quality.policy import QualityPolicy
from housing.retention import RetentionPolicy
from housing.serve_options import ServeOptions
from housing.sources.settings import SourceSettings
from housing.training.search_config import SearchPlan

PREFIX = "HOUSING_"
ENV_FILE = ".env"
LEAST_TOKEN = 16
"""Characters of an API token; a shorter one can be guessed."""


class Settings(BaseSettings):
    """Every setting, with its default; docs/settings.md is made from these descriptions.

    A variable that is there and empty counts as not set. Lists are separated by commas.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=ENV_FILE,
        env_ignore_empty=True,
        enable_decoding=False,  # lists are no JSON, and what is no JSON is a fault like others
        extra="ignore",  # `.env` holds other programs' variables too; see `_unknown_names`
        frozen=True,
        validate_default=True,
    )

    home: Path = Field(Path("var"), description="Folder in which everything is written.")
    database_url: SecretStr = Field(
        SecretStr(""), description="Metadata store; default is a SQLite file in HOME."
    )
    blob_url: str = Field("", description="Where models and data go: a folder, or s3://...")
    backup_url: str = Field("", description="A second place for the same bytes, on another disk.")
    signing_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="Key that models are signed with; default is a key made in HOME/keys.",
    )
    backup_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Passphrase by which backups are encrypted; without it they are not.",
    )
    sources: SourceSettings = Field(
        default_factory=SourceSettings, description="Where rows come from."
    )
    seed: int = Field(
        42, ge=0, lt=2**31, description="Decides the split and the simulated districts."
    )
    test_share: float = Field(0.2, gt=0.01, lt=0.9, description="Share of rows kept for testing.")
    schedule: str = Field("0 2 * * *", description="Cron expression of the nightly run.")
    schedule_search: str = Field(
        "0 4 * * 0", description="Cron expression of the full search, or off."
    )
    search_draws: int = Field(60, ge=1, le=10_000, description="Draws of the full search.")
    schedule_monitor: str = Field(
        "30 * * * *", description="Cron expression of the monitor's looks, or off."
    )
    schedule_backup: str = Field(
        "0 6 * * *", description="Cron expression of the backup and its trial restore, or off."
    )
    schedule_prune: str = Field("0 7 * * 0", description="Cron expression of the prune, or off.")
    timezone: str = Field("UTC", description="Time zone of the schedule, e.g. Europe/Berlin.")
    notify: NotifySettings = Field(
        default_factory=lambda: NotifySettings.model_validate({}), description="Where messages go."
    )
    gate: GatePolicy = Field(
        default_factory=lambda: GatePolicy.model_validate({}), description="When to promote."
    )
    search: SearchPlan = Field(default_factory=SearchPlan, description="What to try each night.")
    retention: RetentionPolicy = Field(
        default_factory=lambda: RetentionPolicy.model_validate({}), description="What to keep."
    )
    dask_address: str | None = Field(
        None,
        description="Address of a Dask scheduler, e.g. tcp://10.0.0.5:8786, on whose workers draws "
        "are scored and models fitted; they need this package and its libraries.",
    )
    quality: QualityPolicy = Field(default_factory=QualityPolicy, description="What to let in.")
    api_token: SecretStr | None = Field(
        None, description="When set, the prediction API asks for it everywhere but on /health."
    )
    serve: ServeOptions = Field(default_factory=ServeOptions, description="The prediction API.")
    monitor: MonitorOptions = Field(
        default_factory=lambda: MonitorOptions.model_validate({}),
        description="What is watched between two nights.",
    )

    @field_validator("api_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < LEAST_TOKEN:
            raise ValueError(f"it must have {LEAST_TOKEN} characters or more; make one at random")
        return value

    @field_validator("home")
    @classmethod
    def _usable_in_a_url(cls, value: Path) -> Path:
        if "?" in str(value):
            raise ValueError("a path with ? in it cannot stand in a database URL")
        return value

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str) -> str:
        if not _is_cron(value):
            raise ValueError("it is not a cron expression such as 0 2 * * * (at 2:00 every day)")
        return value

    @field_validator("schedule_search", "schedule_monitor", "schedule_backup", "schedule_prune")
    @classmethod
    def _cron_or_off(cls, value: str) -> str:
        return value if value == "off" else cls._cron(value)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is not a time zone such as Europe/Berlin") from error
        return value

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, values: dict[str, Any]) -> dict[str, Any]:
        return _split_lists(values, cls)

    @model_validator(mode="before")
    @classmethod
    def _below_home(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Everything that is not set and has a path has it in HOME."""
        home = Path(values.get("home") or "var").expanduser().resolve()
        paths = {
            "database_url": f"sqlite:///{home / 'housing.db'}",
            "blob_url": str(home / "blobs"),
            "backup_url": str(home / "backup"),
        }
        filled = {name: values.get(name) or path for name, path in paths.items()}
        sources = values.get("sources") or {}
        if isinstance(sources, dict) and not sources.get("landing_dir"):
            sources = {**sources, "landing_dir": home / "landing"}
        return {**values, **filled, "home": home, "sources": sources}

    @property
    def backup_on_same_disk(self) -> bool:
        """Whether losing one disk would lose the models and their backup together."""
        folders = [url.removeprefix("file://") for url in (self.blob_url, self.backup_url)]
        if any("://" in folder for folder in folders):
            return False
        places = [_existing_parent(Path(folder)) for folder in folders]
        return places[0].stat().st_dev == places[1].stat().st_dev


def _split_lists(values: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """`values` with each text that stands for a list split at its commas, in groups too."""
    split = dict(values)
    for name, field in model.model_fields.items():
        value, kind = values.get(name), field.annotation
        if isinstance(value, str) and str(kind).startswith("tuple["):
            split[name] = tuple(part.strip() for part in value.split(",") if part.strip())
        elif isinstance(value, dict) and _is_group(kind):
            split[name] = _split_lists(value, kind)
    return split


def _is_group(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_cron(text: str) -> bool:
    """Whether a schedule is one, of five fields, whose time comes at all.

    It is for the orchestrator, which cannot be asked here. It reads neither 5L (the last Friday)
    nor LW (the last weekday), nor 1#2 (the second Monday) beside a day of the month.
    """
    fields = text.split()
    if len(fields) != 5 or re.search(r"\dL|LW", text, re.IGNORECASE):
        return False
    if "#" in fields[4] and fields[2] not in ("*", "?"):
        return False
    try:
        next(CronSim(text, datetime(2026, 1, 1)))
    except (CronSimError, StopIteration):
        return False
    return True


def _existing_parent(path: Path) -> Path:
    return path if path.exists() else _existing_parent(path.parent)


def load_settings(**overrides: Any) -> Settings:
    """The settings in force; SettingsInvalid names all faults at once.

    `overrides` come from the command line and win over the environment.
    """
    names = [*os.environ, *_names_in_env_file(), *(PREFIX + name.upper() for name in overrides)]
    faults = _unknown_names(names)
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        faults += [_fault(item) for item in error.errors()]
    if faults:
        raise SettingsInvalid(faults="\n".join(faults))
    return settings


def _names_in_env_file() -> list[str]:
    try:
        return list(dotenv_values(ENV_FILE))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(faults=f"The file {ENV_FILE} cannot be read: {error}") from error


def _unknown_names(names: Iterable[str]) -> list[str]:
    """Names with our prefix that no setting has; those within a group are the group's to judge."""
    ours = {name for name in names if name.upper().startswith(PREFIX)}
    return [f"{name} is not a setting." for name in sorted(ours) if not _is_known(name)]


def _is_known(name: str) -> bool:
    head, *rest = name.upper().removeprefix(PREFIX).lower().split("__")
    field = Settings.model_fields.get(head)
    return field is not None and (not rest or _is_group(field.annotation))


def _fault(item: Any) -> str:
    name = PREFIX + "__".join(str(part) for part in item["loc"]).upper()
    if item["type"] == "extra_forbidden":
        return f"{name} is not a setting."
    if item["type"] == "model_type":
        return f"{name} is a group of settings; set its parts, each as {name}__PART."
    shown = "" if _is_secret(item["loc"]) else f" (it is {item['input']!r})"
    return f"{name}: {item['msg'].removeprefix('Value error, ')}{shown}"


def _is_secret(place: Sequence[int | str]) -> bool:
    """Whether what was set there may be shown to nobody; an address may hold a password."""
    fields, kind = Settings.model_fields, None
    for part in place:
        if part in fields:
            kind = fields[str(part)].annotation
            fields = kind.model_fields if _is_group(kind) else {}
    return "Secret" in str(kind) or "url" in str(place) or not place
