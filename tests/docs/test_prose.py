"""Docs, docstrings, comments and messages are in plain English: phrases that must not stand there.

The list holds words that the project once used in a sense of its own, and figures of speech that a
reader has to read twice. A phrase that has a plain sense too is not listed.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("housing", "flows", "tasks", "deployments")

PHRASES = re.compile(
    r"\b(came to grief|turned away|gone back to|go(es)? back to|of now|of before|by whomever"
    r"|whoever|told|tells|telling|for ever|to be had|a row each|anew|the dead|the living"
    r"|mend(s|ed|ing)?"
    r"|so many|as it is lived|what is said of|says? so|said|what came in|comes? of it|turns out"
    r"|the likes|what hinders|the luck|shall|called off|patience|dawdles?|companions?|rivals?"
    r"|lets go|stands there|untold|lateness|nobody|somebody|at the door|br(ings?|ought) in)\b",
    re.IGNORECASE,
)


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each line of a page, or of each comment and string of a module."""
    if path.suffix == ".md":
        yield from enumerate(path.read_text().splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield from enumerate(token.string.splitlines(), token.start[0])


def _files() -> list[str]:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    modules = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in (*pages, *modules))


@pytest.mark.parametrize("name", _files())
def test_no_phrase_has_to_be_read_twice(name: str) -> None:
    found = [
        f"{name}:{line}: {match.group()!r} in {text.strip()!r}"
        for line, text in _texts(ROOT / name)
        for match in PHRASES.finditer(text)
    ]
    assert not found, "\n".join(found)
