"""Files that are made from the code: `python -m deployments.generate_docs` (`make docs`).

A test holds each file equal to what this makes, so that none falls behind.
"""

from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from typer.cli import get_docs_for_click

from deployments.cli.main import app
from deployments.definitions import prefect_yaml
from housing.gate.check import thresholds
from housing.schedules import Schedules
from housing.schema import PROBLEM
from housing.settings import PREFIX, fields_by_name
from housing.sources import SOURCES
from housing.training.candidates import FAMILIES, feature_groups

DOCS = Path(__file__).parents[1] / "docs"

_MADE = "<!-- Made from the code by `make docs`; edit the code. -->\n"

_EXIT_CODES = """
## Exit codes

| code | meaning |
|---|---|
| 0 | done; for `retrain`: promoted, or nothing new |
| 1 | failed, or a difference was found; the message says why and what to do next |
| 2 | wrong usage, an unknown id, an impossible setting, or a request that is refused |
| 3 | the champion was kept (`retrain`, `promote`, `judge`, `approve`); `monitor`: an alarm |
| 4 | `retrain`, `promote`, `judge`: inconclusive; `gate verify`: the signer is unknown |
| 5 | something stored is corrupt |
| 6 | `retrain`: a person must approve the promotion |
| 130 | interrupted by Ctrl-C |
"""


def _also(option: tuple[str, str]) -> str:
    short = [name for name, meant in PROBLEM.short_names.items() if meant == option]
    return "".join(f" (or {PREFIX}{name.upper()} alone)" for name in short)


CHOICES = {
    f"{PREFIX}SEARCH__FAMILIES": FAMILIES,
    f"{PREFIX}SEARCH__EXCLUDE_FEATURES": feature_groups(),
    f"{PREFIX}SOURCES__OPTIONS": [
        f"{source}__{option}".upper() + _also((source, option))
        for source, entry in SOURCES.items()
        if entry.own_options is not None
        for option in entry.own_options.model_fields
    ],
    f"{PREFIX}GATE__THRESHOLDS": [
        f"{name.upper().replace('-', '_')} ({threshold.meaning}; default {threshold.default:g})"
        for name, threshold in thresholds().items()
    ],
}
"""Values of settings whose registries are too slow to import for the settings themselves."""


def commands_page() -> str:
    """docs/commands.md: every command with its arguments and options, as Typer documents it."""
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="housing")
    _, _, body = get_docs_for_click(obj=root, ctx=context, name="housing").partition("\n")
    intro = (
        "Every command that ends has `--json`. Ids carry a letter: m7 a model, v3 a dataset "
        "version, b2 a batch, r9 a run.\n"
    )
    return "\n".join(["# Commands\n", _MADE, intro, body.strip(), _EXIT_CODES])


OPERATORS = tuple(
    PREFIX + name
    for name in (
        "HOME", "DATABASE_URL", "BLOB_URL", "BACKUP_URL", "BACKUP_KEY",
        "SOURCES__NAMES", "SOURCES__LANDING_DIR", "SOURCES__OPTIONS",
        "SCHEDULES__RETRAIN", "SCHEDULES__SEARCH", "SCHEDULES__MONITOR", "SCHEDULES__BACKUP",
        "SCHEDULES__TIMEZONE",
        "NOTIFY__EVENTS", "NOTIFY__WEBHOOK_URL", "NOTIFY__MAIL_TO", "NOTIFY__HEARTBEAT_URL",
        "GATE__RULE", "GATE__MARGIN", "GATE__APPROVAL",
        "SEARCH__FAMILIES", "SEARCH__SECONDS",
        "SERVE__TOKEN", "SERVE__ALLOWED_HOSTS", "MONITOR__ON_ERROR",
    )
)  # fmt: skip
"""The settings that an installation decides on; the others have defaults that suit most."""


def settings_page() -> str:
    """docs/settings.md: every setting with its default, those for operators first."""
    fields = fields_by_name()
    head = ["| setting | default | what it is |", "|---|---|---|"]
    return "\n".join(
        [
            "# Settings\n",
            _MADE,
            "Read from the environment and from a file `.env` in the working folder; the "
            "environment wins. An empty variable counts as not set. Lists are separated by "
            "commas. An unknown name or an impossible value is an error; all are reported at "
            "once. `housing settings` prints what is in force and where each value comes from; "
            "secrets are masked.\n",
            "## For operators\n",
            *head,
            *(_setting(name, fields[name]) for name in OPERATORS),
            "\n## Advanced\n",
            *head,
            *(_setting(name, field) for name, field in fields.items() if name not in OPERATORS),
            "",
        ]
    )


def _setting(name: str, field: FieldInfo) -> str:
    default = _default(field.get_default(call_default_factory=True))
    choices = f": {', '.join(CHOICES[name])}" if CHOICES.get(name) else ""
    return f"| `{name}` | {default} | {_cell((field.description or '') + choices)} |"


def _default(value: Any) -> str:
    if value is None or value in ("", ()) or isinstance(value, SecretStr):
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def deployments_file() -> str:
    """prefect.yaml with the schedules that are the defaults."""
    return prefect_yaml(Schedules())


PAGES = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "../prefect.yaml": deployments_file,
}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
