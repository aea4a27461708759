"""What a user can set, from the environment (prefix HOUSING_) or `.env`: its only reader.

Objects that belong to a step (gate policy, search plan) are defined beside that step; here they
are only given their place and their defaults.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import reduce
from pathlib import Path
from typing import Any, Self, TypeGuard
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from housing.errors import SettingsInvalid
from housing.evaluation.drift_policy import DriftPolicy
from housing.gate.policy import GatePolicy
from housing.monitoring.options import MonitorOptions
from housing.notify import NotifySettings
from housing.quality.policy import QualityPolicy
from housing.records import SettingsGroup
from housing.retention import RetentionPolicy
from housing.schedules import EVERY_QUARTER, Schedules
from housing.schema import MODULE, PROBLEM
from housing.serve_options import ServeOptions
from housing.sources.settings import SourceSettings
from housing.training.search_config import SearchPlan

PREFIX = "HOUSING_"
ENV_FILE = ".env"
SHARED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("gate", "drift"): ("drift",),
    ("monitor", "drift"): ("drift",),
    ("gate", "max_rejected_share"): ("quality", "max_rejected_share"),
    ("gate", "rejected_min_rows"): ("quality", "min_rows"),
    ("search", "metric"): ("gate", "metric"),
}
"""Fields that are no settings themselves, and the setting or group that they repeat."""
SHORT = frozenset(PREFIX + name.upper() for name in PROBLEM.short_names)
"""Short names of options of sources."""

OPEN = frozenset({f"{PREFIX}SOURCES__OPTIONS", f"{PREFIX}GATE__THRESHOLDS"})
"""Mappings whose entries sources and checks declare; their validators know the names."""


class SplitSettings(SettingsGroup):
    """The test side is fixed by these two: changing them starts another history."""

    seed: int = Field(42, ge=0, lt=2**31)
    """Decides the split and the simulated rows."""
    test_share: float = Field(0.2, gt=0.01, lt=0.9)
    """Share of rows kept for testing."""


class ValueSettings(SettingsGroup):
    """What estimates people use today, and what an error or a good prediction means in money."""

    estimates: Path | None = None
    """File of the estimates in use today (experts' figures, last year's values): an id or the key's
    columns, and the target's column with the estimate. The gate's challenger must beat them."""
    cost_per_error: float | None = Field(None, ge=0)
    """Assumed cost of an error, per unit of the target; card and report apply it."""
    revenue: float | None = Field(None, ge=0)
    """Assumed revenue of a prediction within 10 % of the true value, in the target's unit."""


class MirrorSettings(SettingsGroup):
    """Another system that shows what this one records."""

    url: SecretStr | None = None
    """MLflow tracking server to which runs, models and promotions are copied: https://HOST, or
    with credentials https://USER:PASSWORD@HOST or https://TOKEN@HOST."""

    @field_validator("url")
    @classmethod
    def _web_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("it must be http://HOST:PORT or https://HOST")
            _ = parts.port  # a ValueError of its own where it is none
        return url


class Settings(BaseSettings):
    """Every setting, with its default; docs/settings.md is made from these descriptions.

    A variable that is there and empty counts as not set. Lists are separated by commas.
    """

    model_config = SettingsConfigDict(
        use_attribute_docstrings=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=ENV_FILE,
        env_ignore_empty=True,
        enable_decoding=False,  # lists are no JSON, and what is no JSON is a fault like others
        extra="ignore",  # `.env` holds other programs' variables too; see `_unknown_names`
        frozen=True,
        validate_default=True,
    )

    problem: str = MODULE
    """Module that describes the table: it defines PROBLEM. It is read when the program starts."""
    home: Path = Path("var")
    """Folder in which everything is written."""
    database_url: SecretStr = SecretStr("")
    """Metadata store; default is a SQLite file in HOME."""
    blob_url: str = ""
    """Where models and data go: a folder, or s3://..."""
    backup_url: str = ""
    """A second location of the same bytes, on another disk."""
    report_url: str = Field("", pattern=r"^(https?://\S+)?$")
    """Address of the prediction API as people reach it: on another Prefect server, links of a run
    lead to its reports. Without it they lead to the Prefect server of `housing up`."""
    prefect_port: int = Field(4200, ge=1, le=65535)
    """Port of the Prefect server that `housing up` starts on loopback."""
    signing_key: SecretStr | None = Field(None, min_length=32)
    """Key that models are signed with; default is a key made in HOME/keys."""
    backup_key: SecretStr | None = Field(None, min_length=16)
    """Passphrase by which backups are encrypted; without it they are not."""
    sources: SourceSettings = Field(default_factory=SourceSettings)
    """Where rows come from."""
    split: SplitSettings = Field(default_factory=SplitSettings)
    """How rows are split into training and test."""
    value: ValueSettings = Field(default_factory=ValueSettings)
    """What the model is compared with, and what it is worth."""
    schedules: Schedules = Field(default_factory=Schedules)
    """When it runs."""
    drift: DriftPolicy = Field(default_factory=DriftPolicy)
    """What counts as drift, in gate and monitor."""
    notify: NotifySettings = Field(default_factory=lambda: NotifySettings.model_validate({}))
    """Where messages go."""
    gate: GatePolicy = Field(default_factory=lambda: GatePolicy.model_validate({}))
    """When to promote."""
    search: SearchPlan = Field(default_factory=SearchPlan)
    """What each run tries."""
    retention: RetentionPolicy = Field(default_factory=lambda: RetentionPolicy.model_validate({}))
    """What to keep."""
    dask_address: str | None = None
    """Address of a Dask scheduler, e.g. tcp://10.0.0.5:8786, on whose workers candidates are scored
    and models fitted; they need this package and its libraries."""
    quality: QualityPolicy = Field(default_factory=QualityPolicy)
    """What to let in."""
    serve: ServeOptions = Field(default_factory=ServeOptions)
    """The prediction API."""
    monitor: MonitorOptions = Field(default_factory=lambda: MonitorOptions.model_validate({}))
    """What is monitored between two runs."""
    mirror: MirrorSettings = Field(default_factory=MirrorSettings)
    """Where runs are shown as well."""

    @field_validator("home")
    @classmethod
    def _usable_in_a_url(cls, value: Path) -> Path:
        if "?" in str(value):
            raise ValueError("a path with ? in it cannot stand in a database URL")
        return value

    @field_validator("blob_url", "backup_url")
    @classmethod
    def _a_folder_or_a_bucket(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if separator and (scheme not in ("file", "s3") or not rest.strip("/")):
            raise ValueError("it is neither a folder nor s3://BUCKET/PATH")
        return value

    @field_validator("backup_url")
    @classmethod
    def _apart_from_the_blobs(cls, value: str, info: ValidationInfo) -> str:
        if "blob_url" not in info.data:
            return value  # it has a fault of its own
        blobs, backup = _comparable_path(info.data["blob_url"]), _comparable_path(value)
        if blobs.is_relative_to(backup) or backup.is_relative_to(blobs):
            raise ValueError(
                "it and HOUSING_BLOB_URL are the same location, or one is in the other"
            )
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
        if isinstance(sources, dict):
            landing = sources.get("landing_dir") or home / "landing"
            sources = {**sources, "landing_dir": landing}
            for source, given in _named_shortly().items():
                options = sources.get("options") or {}
                sources["options"] = {**options, source: given | options.get(source, {})}
        return {**values, **filled, "home": home, "sources": sources}

    @model_validator(mode="after")
    def _shared(self) -> Self:
        """Fields of a policy that another group sets get their values from there."""
        for (name, field), (source, *path) in SHARED.items():
            value = reduce(getattr, path, getattr(self, source))
            filled = getattr(self, name).model_copy(update={field: value})
            self.__dict__[name] = filled
        if self.mirror.url is not None:
            self.__dict__["schedules"] = self.schedules.model_copy(update={"mirror": EVERY_QUARTER})
        return self

    @property
    def page_url(self) -> str:
        """Where reports and model cards go: HOME/reports, or below a blob store that is set."""
        own = self.blob_url == str(self.home / "blobs")
        return str(self.home / "reports") if own else f"{self.blob_url.rstrip('/')}/reports"

    @property
    def backup_on_same_disk(self) -> bool:
        """Whether losing one disk would lose the models and their backup together."""
        folders = [url.removeprefix("file://") for url in (self.blob_url, self.backup_url)]
        if any("://" in folder for folder in folders):
            return False
        parents = [_existing_parent(Path(folder)) for folder in folders]
        return parents[0].stat().st_dev == parents[1].stat().st_dev

    @property
    def backup_fault(self) -> str:
        """Why a local backup folder cannot be used; "" if it can, or if it is no local folder."""
        folder = self.backup_url.removeprefix("file://")
        if "://" in folder:
            return ""
        parent = _existing_parent(Path(folder))
        if not parent.is_dir():
            return f"{parent} is not a folder"
        return "" if os.access(parent, os.W_OK | os.X_OK) else f"{parent} is not writable"


def _named_shortly() -> dict[str, dict[str, str]]:
    """Options of sources that are set by the short names of the problem."""
    variables = values_of_env_file() | dict(os.environ)
    return {
        source: {option: value}
        for name, (source, option) in PROBLEM.short_names.items()
        if (value := variables.get(PREFIX + name.upper()))
    }


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


def _comparable_path(url: str) -> Path:
    path = url.removeprefix("file://")
    return Path(path) if "://" in path else Path(path).expanduser().resolve()


def _existing_parent(path: Path) -> Path:
    """The nearest ancestor that exists, or the path itself; one that may not be seen counts."""
    try:
        found = path.exists()
    except PermissionError:
        found = False
    return path if found else _existing_parent(path.parent)


def load_settings(**overrides: Any) -> Settings:
    """The settings in force; SettingsInvalid names all faults at once.

    `overrides` win over the environment, and the environment over `.env`.
    """
    names = [*os.environ, *values_of_env_file(), *(PREFIX + name.upper() for name in overrides)]
    faults = _unknown_names(names)
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        faults += [_fault(item) for item in error.errors() if item["type"] != "extra_forbidden"]
    if faults:
        raise SettingsInvalid(faults="\n".join(faults))
    return settings


def values_of_env_file() -> dict[str, str | None]:
    """Every variable of `.env`; SettingsInvalid if the file cannot be read."""
    try:
        return dict(dotenv_values(ENV_FILE))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(faults=f"The file {ENV_FILE} cannot be read: {error}") from error


def fields_by_name() -> dict[str, FieldInfo]:
    """Every setting by its full name, e.g. HOUSING_GATE__MARGIN, in the order of the page."""
    return dict(_fields(PREFIX, Settings))


def _fields(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if field.description is None:
            continue
        if _is_group(field.annotation):
            yield from _fields(f"{prefix}{name.upper()}__", field.annotation)
        else:
            yield prefix + name.upper(), field


@dataclass(frozen=True)
class SettingInForce:
    """A setting, its value as text with secrets masked, and where the value comes from."""

    setting: str
    value: str
    source: str  # "environment", ".env" or "default"


def settings_in_force(settings: Settings) -> list[SettingInForce]:
    """Every setting in the order of docs/settings.md's groups; no secret is in the answer."""
    variables: dict[str, Mapping[str, str | None]] = {
        "environment": os.environ, ENV_FILE: values_of_env_file(),
    }  # fmt: skip
    set_in = {
        source: {name.upper() for name, value in found.items() if value}
        for source, found in variables.items()
    }
    listed = []
    for name in fields_by_name():
        path = name.removeprefix(PREFIX).lower().split("__")
        value: Any = reduce(getattr, path, settings)
        source = next(
            (where for where, names in set_in.items() if any(_sets(n, name) for n in names)),
            "default",
        )
        listed.append(SettingInForce(name, _shown(value), source))
    return listed


def _sets(variable: str, setting: str) -> bool:
    """Whether a variable sets a setting, or an entry of one that is a mapping."""
    if setting == f"{PREFIX}SOURCES__OPTIONS" and variable in SHORT:
        return True
    return variable == setting or (setting in OPEN and variable.startswith(f"{setting}__"))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(part)}" for name, part in value.items())
    if isinstance(value, tuple):
        return ",".join(_shown(part) for part in value)
    return re.sub(r"//[^/@]*@", "//***@", str(value))  # a URL's user and password


def _unknown_names(names: Iterable[str]) -> list[str]:
    """A sentence for each name with our prefix that is no setting and no group."""
    known = list(fields_by_name())
    groups = {PREFIX + name.upper() for name in Settings.model_fields}
    ours = {name for name in names if name.upper().startswith(PREFIX)}
    unknown = [
        name
        for name in sorted(ours)
        if name.upper() not in {*known, *groups}
        and not any(_sets(name.upper(), setting) for setting in OPEN)
    ]
    return [f"{name} is not a setting; did you mean {_nearest(name, known)}?" for name in unknown]


def _nearest(name: str, known: list[str]) -> str:
    """The setting whose name has most in common; a setting that moved to a group keeps its end."""
    wanted = name.upper().removeprefix(PREFIX)

    def likeness(candidate: str) -> float:
        whole = candidate.removeprefix(PREFIX)
        spellings = (whole, whole.replace("__", "_"), whole.rpartition("__")[2])
        return max(SequenceMatcher(None, wanted, spelling).ratio() for spelling in spellings)

    return max(known, key=likeness)


def _fault(item: Any) -> str:
    name = PREFIX + "__".join(str(part) for part in item["loc"]).upper()
    if item["type"] in ("model_type", "dict_type"):
        return f"{name} is a group of settings; set its parts, each as {name}__PART."
    given = item["input"]
    given = ",".join(map(str, given)) if isinstance(given, tuple) else given  # as it is written
    shown = "" if is_secret(item["loc"]) else f" (it is {given!r})"
    return f"{name}: {item['msg'].removeprefix('Value error, ')}{shown}"


def is_secret(path: Sequence[int | str]) -> bool:
    """Whether the value at a path of field names must not be shown; a URL may hold a password."""
    fields, kind = Settings.model_fields, None
    for part in path:
        if part in fields:
            kind = fields[str(part)].annotation
            fields = kind.model_fields if _is_group(kind) else {}
    return "Secret" in str(kind) or "url" in str(path) or path[-1:] in ((), ("options",))
