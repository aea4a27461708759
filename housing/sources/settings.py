"""The settings group SOURCES: which sources a run reads, and what a user can set of each.

Imports no source: `housing.settings` needs the names and the defaults only.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator

from housing.records import SettingsGroup
from housing.schema import PROBLEM
from housing.sources import SOURCES


class SourceSettings(SettingsGroup):
    """Where rows come from; each source uses its own fields."""

    names: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        PROBLEM.default_sources,
        description=f"Sources to read, in order, separated by commas: {', '.join(SOURCES)}.",
    )
    landing_dir: Path | None = None
    """Folder of CSV and Parquet files; the default is `landing` in HOME."""
    sql_url: SecretStr | None = None
    """Database of the source `sql`."""
    sql_table: str | None = None
    """Table of the source `sql`; schema.table where it needs to be."""
    sql_watermark: str | None = None
    """Monotonic column used to detect new rows of the source `sql`."""
    settle_seconds: float = Field(5.0, ge=0, le=600)
    """A landing file is read once it has not changed for this many seconds."""
    options: Mapping[str, Any] = Field(default_factory=dict)
    """Options that a source declares itself, each as OPTIONS__SOURCE__OPTION"""

    @field_validator("names")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in SOURCES]
        if unknown:
            raise ValueError(
                f"there is no source {', '.join(unknown)}; there are {', '.join(SOURCES)}"
            )
        return tuple(dict.fromkeys(names))

    @field_validator("options")
    @classmethod
    def _declared(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Each group as its source's class of options; the sources are not imported."""
        return {name: _own(name, values) for name, values in options.items()}


def _own(name: str, values: Any) -> BaseModel:
    declared: type[BaseModel] | None = SOURCES[name].own_options if name in SOURCES else None
    if declared is None:
        raise ValueError(f"there is no source {name} with options of its own")
    try:
        return declared.model_validate(values)
    except ValidationError as error:
        # `from None`: the values may be secrets.
        faults = (("__".join(map(str, (name, *e["loc"]))), e["msg"]) for e in error.errors())
        raise ValueError("; ".join(f"{path.upper()}: {why}" for path, why in faults)) from None
