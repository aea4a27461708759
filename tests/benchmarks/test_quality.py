"""A comparison that is cut short goes on behind the side that it had come to."""

import pytest

from benchmarks import quality
from benchmarks.contenders import Side


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(quality, "UNDER_WAY", tmp_path / "under-way.json")


def never() -> Side:
    raise AssertionError("it was known")


def test_what_is_known_is_not_done_again() -> None:
    side = Side("reference", 88.0, 42_000.0, [(1.0, 43_000.0)], [1.0, 2.0])
    first = quality.Sides({"draws": "10"}, resume=False)
    first.side("reference", lambda: side)
    first.seconds("a whole night", lambda: 12.5)
    again = quality.Sides({"draws": "10"}, resume=True)
    found = again.side("reference", never)
    assert (found.wall, found.predicted, list(map(tuple, found.curve))) == (
        side.wall, side.predicted, side.curve,
    )  # fmt: skip
    assert again.seconds("a whole night", lambda: 0.0) == 12.5


def test_another_question_is_not_answered_with_what_is_known() -> None:
    quality.Sides({"draws": "10"}, resume=False).seconds("a whole night", lambda: 12.5)
    with pytest.raises(SystemExit, match="of another command"):
        quality.Sides({"draws": "2"}, resume=True)
    assert quality.Sides({"draws": "10"}, resume=False).seconds("a whole night", lambda: 1.0) == 1.0
