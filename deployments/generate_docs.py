"""Pages of docs/ that are made from the code: `python -m deployments.generate_docs` (`make docs`).

A test holds each page equal to what this makes, so that the docs cannot fall behind.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from deployments.cli.main import app
from housing.features.preprocess import FEATURE_GROUPS
from housing.settings import PREFIX, Settings
from housing.training.candidates import FAMILIES

DOCS = Path(__file__).parents[1] / "docs"

_MADE = "<!-- Made from the code by `make docs`; edit the code. -->\n"

_EXIT_CODES = """
## Exit codes

| code | meaning |
|---|---|
| 0 | done; for `retrain`: promoted, or nothing new |
| 1 | failed; the message says why and what to do next |
| 2 | wrong usage, or an impossible setting |
| 3 | the champion was kept (`retrain`, and `approve` where it was compared again) |
| 4 | `retrain`: inconclusive |
| 5 | something stored is corrupt |
| 6 | `retrain`: a person must approve the promotion |
| 130 | interrupted by Ctrl-C |
"""


CHOICES = {f"{PREFIX}SEARCH__FAMILIES": FAMILIES, f"{PREFIX}SEARCH__WITHOUT": FEATURE_GROUPS}
"""Values of settings whose registries are too slow to import for the settings themselves."""


def commands_page() -> str:
    """docs/commands.md: every command with its arguments and options."""
    root = typer.main.get_command(app)
    parts = [
        "# Commands\n",
        _MADE,
        "Every listing has `--json`. Ids carry a letter: m7 a model, v3 a dataset version, "
        "b2 a batch, r9 a run.\n",
        *(_command(path, command) for path, command in _walk("housing", root)),
        _EXIT_CODES.lstrip(),
    ]
    return "\n".join(parts)


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name in sorted(children):
        yield from _walk(f"{path} {name}", children[name])


def _command(path: str, command: Any) -> str:
    lines = [f"## `{path}`\n", (command.help or "").strip(), ""]
    rows = [_parameter(p) for p in command.params if p.name != "help"]
    if rows:
        lines += ["| argument or option | default | what it is |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _parameter(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    own_name = parameter.metavar or parameter.name.strip("_").upper()
    name = own_name if is_argument else ", ".join(parameter.opts)
    default = "required" if parameter.required else parameter.default
    shown = "" if default in (None, False) else f"`{default}`" if default != "required" else default
    return f"| `{name}` | {shown} | {_cell(parameter.help or '')} |"


def settings_page() -> str:
    """docs/settings.md: every setting with its default."""
    return "\n".join(
        [
            "# Settings\n",
            _MADE,
            "From the environment or a file `.env` in the working folder. An unknown or impossible "
            "setting is an error that names it, all faults at once. Secrets are never shown.\n",
            "| setting | default | what it is |",
            "|---|---|---|",
            *_rows(PREFIX, Settings.model_fields),
            "",
        ]
    )


def _rows(prefix: str, fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    for name, field in fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _rows(f"{prefix}{name.upper()}__", kind.model_fields)
        else:
            setting = f"{prefix}{name.upper()}"
            default = _default(field.get_default(call_default_factory=True))
            choices = f": {', '.join(CHOICES[setting])}" if setting in CHOICES else ""
            yield f"| `{setting}` | {default} | {_cell((field.description or '') + choices)} |"


def _default(value: Any) -> str:
    if value is None or value == "" or isinstance(value, SecretStr):
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGES = {"commands.md": commands_page, "settings.md": settings_page}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
