"""The base of the options that a source declares, one class a source.

A module with such a class imports nothing that computes: the settings import it where one of its
options is set, and commands that only look read the settings.
"""

from pydantic import BaseModel, ConfigDict


class OwnOptions(BaseModel):
    """Options of one source; their descriptions are the docstrings of its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
