"""What the ids that people type stand for: m7, v3, b2, r9; arguments and options of such ids."""

import re
from collections.abc import Callable
from typing import Any

import typer

from housing.errors import NotPossible

KINDS = {"m": "model", "v": "dataset version", "b": "batch", "r": "run"}


class Id(int):
    """The number in an id, 7 of m7; help texts show the name of this type."""


def parse_id(text: str, *, allowed: str) -> tuple[str, int]:
    """The letter, one of `allowed`, and number of an id; NotPossible for anything else."""
    found = re.fullmatch(rf"([{allowed}])(\d{{1,18}})", text.strip().lower())
    if found is None:
        examples = ", ".join(f"{letter}3 for a {KINDS[letter]}" for letter in allowed)
        raise NotPossible(what=f"Looking up {text!r}", why=f"an id reads like {examples}.")
    return found[1], int(found[2])


def id_argument(letter: str, text: str, metavar: str | None = None) -> Any:
    """An argument that is an id with this letter; the command receives its number."""
    shown = metavar or KINDS[letter].split()[-1].upper()
    return typer.Argument(parser=_number(letter), metavar=shown, help=text)


def id_option(letter: str, text: str) -> Any:
    """An option that is an id with this letter; the command receives its number."""
    shown = KINDS[letter].split()[-1].upper()
    return typer.Option(parser=_number(letter), metavar=shown, help=text)


def _number(letter: str) -> Callable[[str], int]:
    def number(text: str) -> int:  # plain, as database drivers know it
        text = text.strip()
        return parse_id(letter + text if text.isdecimal() else text, allowed=letter)[1]

    return number
