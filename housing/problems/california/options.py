"""Options of this problem's sources, by HOUSING_SOURCES__OPTIONS; imports nothing that computes."""

from pydantic import Field

from housing.records import SettingsGroup


class CensusOptions(SettingsGroup):
    """Where the reference table is."""

    table: str = ""
    """Path or URL of the reference table; the default is its public address."""


class SimulatedOptions(SettingsGroup):
    """What is simulated."""

    rows: int = Field(20_640, ge=100, le=10_000_000)
    """Rows of the first delivery."""
    day_rows: int = Field(300, ge=1, le=1_000_000)
    """Rows of every later delivery."""
    scenario: str = "calm"
    """How the data change from run to run."""
