"""The base of the options that a source declares, one class a source.

A module with such a class imports nothing that computes: the settings import it where one of its
options is set, and commands that only look read the settings.
"""

from housing.records import SettingsGroup


class OwnOptions(SettingsGroup):
    """Options of one source; their descriptions are the docstrings of its fields."""
