"""Every command that a message prints works when it is pasted into a shell."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from typer.main import get_command

from deployments.cli.main import app
from housing.problems.california.simulated.scenarios import simulate
from tests.deployments.conftest import Command

ROOT = Path(__file__).parents[2]
PRINTED = re.compile(r"`(housing [^`]*)`")


def pasted(text: str, home: Path) -> "subprocess.CompletedProcess[str]":
    """What bash does with the text, in another folder than the files'."""
    start = (
        f'housing() {{ {shlex.quote(sys.executable)} -m deployments.cli.__main__ "$@"; }}; {text}'
    )
    return subprocess.run(
        ["bash", "-c", start],
        env={"HOUSING_HOME": str(home), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.system
def test_commands_in_messages_about_ingestion_work_as_printed(
    command: Command, tmp_path: Path
) -> None:
    """Corrected, empty and rejected files, with names that bash takes apart."""
    folder, home = tmp_path / "a folder", tmp_path / "home"
    folder.mkdir()
    table = simulate(120, 9)
    odd = ["one's `x`.csv", "-two $x.csv", "th\nree\\.csv", os.fsdecode(b"\xe9\xc2\xa01.csv")]
    for number, name in enumerate(odd):
        part = table.iloc[number * 30 : number * 30 + 30]
        part.to_csv(folder / name, index=False)
        part.assign(median_income=1.0).to_csv(folder / f"fix{number}.csv", index=False)
    table.head(0).to_csv(folder / "header.csv", index=False)
    table.tail(9).assign(median_income="no").to_csv(folder / "bad.csv", index=False)
    files = [folder / name for name in (*odd, *(f"fix{n}.csv" for n in range(4)))]
    files += [folder / "header.csv", folder / "bad.csv"]
    first = json.loads(command("ingest", "--json", *map(str, files)).stdout)
    assert [row["status"] for row in first] == [*["accepted"] * 8, "empty", "rejected"]
    closing = re.findall(r"^ +(housing .*)", command("status", COLUMNS="60").stdout, re.MULTILINE)
    assert closing == ["housing dataset discard b9", "housing dataset discard b10"]
    for text in closing:
        done = pasted(text, home)
        assert (done.returncode, done.stderr.replace("Loading ...\n", "")) == (0, "")
    assert "header.csv" in done.stdout or "bad.csv" in done.stdout
    again = command("ingest", *map(str, files), COLUMNS="60").stdout
    printed = re.findall(r"`(housing (?:.(?!` takes))*.)` takes", again)
    assert len(printed) == len(odd) + 2, again
    for text in printed:
        done = pasted(f"{text} --json", home)
        (row,) = json.loads(done.stdout)
        assert row["status"] in ("accepted", "empty", "rejected"), (text, row)


@pytest.mark.system
def test_unreadable_named_files_need_a_person_until_they_are_read(
    command: Command, tmp_path: Path
) -> None:
    bad = ["notes.txt", "zero.csv", "none.csv", "noend"]
    for name in bad[:2] + bad[3:]:
        (tmp_path / name).touch()
    assert command("ingest", *bad).returncode == 1
    command("ingest", "--labels", "labels.csv")

    def needs() -> list[str]:
        found = json.loads(command("status", "--json").stdout)["needs_a_person"]
        return [need["message"] for need in found]

    assert [next(n for n in [*bad, "labels.csv"] if n in need) for need in needs()] == [
        *bad, "labels.csv",
    ]  # fmt: skip
    assert all(need.count(". ") >= 2 for need in needs()), "what is wrong, and what to do"
    for name in ("zero.csv", "none.csv"):
        simulate(60, 3).to_csv(tmp_path / name, index=False)
    command("ingest", "zero.csv")
    assert len(needs()) == 4
    (tmp_path / "home" / "landing").mkdir(exist_ok=True)
    command("ingest", "none.csv")
    assert [next(n for n in [*bad, "labels.csv"] if n in need) for need in needs()] == [
        "notes.txt", "noend", "labels.csv",
    ]  # fmt: skip


# --- what stands in the sources ---------------------------------------------------------------


def messages() -> Iterator[tuple[str, str]]:
    """File and text of each command between backticks in a string, fields filled in."""
    for package in ("housing", "deployments", "flows", "tasks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant | ast.JoinedStr):
                    for text in PRINTED.findall(written(node)):
                        yield f"{path.relative_to(ROOT)}: {text}", text


def written(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(written(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "1"
    return str(node.value) if isinstance(node, ast.Constant) else ""


def test_commands_in_messages_are_complete() -> None:
    """A bare name of a command is only named; one with words behind it is parsed as a whole."""
    wrong = []
    for where, text in dict(messages()).items():
        try:
            parsed(text)
        except click.UsageError as error:
            wrong.append(f"{where}: {error.format_message()}")
    assert not wrong, "\n".join(wrong)


def parsed(text: str) -> None:
    command, context = get_command(app), None
    words = re.sub(r"\{[^}]*\}", "1", text).split()[1:]
    context = click.Context(command, info_name="housing")
    while isinstance(command, click.Group) and words:
        name, command, words = command.resolve_command(context, words)
        assert command is not None
        context = click.Context(command, info_name=name, parent=context)
    if words:
        command.make_parser(context).parse_args(list(words))
        command.make_context(context.info_name, list(words), parent=context.parent)
