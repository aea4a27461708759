"""What the ids that people type stand for: m7, v3, b2, r9."""

import re

from housing.errors import NotPossible

KINDS = {"m": "model", "v": "dataset version", "b": "batch", "r": "run"}


def parse(text: str, *, allowed: str = "mvbr") -> tuple[str, int]:
    """The letter and number of an id; NotPossible for anything else."""
    found = re.fullmatch(rf"([{allowed}])(\d{{1,18}})", text.strip().lower())
    if found is None:
        examples = ", ".join(f"{letter}3 for a {KINDS[letter]}" for letter in allowed)
        raise NotPossible(what=f"Looking up {text!r}", why=f"an id reads like {examples}.")
    return found[1], int(found[2])
