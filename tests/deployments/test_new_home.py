"""A home without a database: commands that only read answer and leave nothing behind."""

from pathlib import Path

import click
from typer.main import get_command
from typer.testing import CliRunner

from deployments.cli.main import app
from housing.errors import HousingError

ARGUMENTS = {
    "show": "m1", "compare": "m1 m2", "predict": "rows.csv", "export": "m1", "reproduce": "m1",
    "rollback": "--yes --reason r", "promote": "m1 --reason r", "judge": "m1",
    "block": "b1 --reason r", "unblock": "m1", "approve": "r1 --reason r",
    "reject": "r1 --reason r", "sign": "--reason r", "prune": "--dry-run",
    "restore": "b1 --reason r",
    "withdraw": "b1 --reason r", "discard": "b1", "accept": "b1", "verify": "",
    "dataset rollback": "v1 --reason r",
}  # fmt: skip
CREATE = {
    "retrain", "replay", "ingest", "up", "serve", "watchdog", "backup create", "backup restore",
    "heal", "migrate", "init", "problem check", "problem draft", "settings",
}  # fmt: skip
"""Commands that begin a store, need one to be served, or use none."""


def _commands(group: click.Group, prefix: str = "") -> list[str]:
    found = []
    for name, command in group.commands.items():
        inner = isinstance(command, click.Group)
        found += _commands(command, f"{name} ") if inner else [f"{prefix}{name}"]  # type: ignore[arg-type]
    return found


def test_commands_that_only_read_or_find_nothing_to_change_make_no_database(
    home: Path,
) -> None:
    for name in _commands(get_command(app)):  # type: ignore[arg-type]
        if name in CREATE:
            continue
        given = ARGUMENTS.get(name, ARGUMENTS.get(name.rpartition(" ")[2], ""))
        done = CliRunner().invoke(app, [*name.split(), *given.split()])
        assert isinstance(done.exception, HousingError | SystemExit | None), (name, done.output)
        assert "No such option" not in done.output, (name, done.output)
        assert not list(home.parent.iterdir()), name
