"""Amounts read in the problem's unit whatever their size, and ticks differ."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing import formatting
from housing.formatting import agreement, amount, axis_labels, group_in_words, value_text, with_unit
from housing.problem import MINUS, Amount, Bins


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (36_412.4, "$36,412"), (518, "$518"), (518.26, "$518.3"), (0.0123, "$0.0123"),
        (0, "$0"), (-36_412.4, f"{MINUS}$36,412"), (1_234_567, "$1,234,567"), (999.96, "$1,000"),
    ],
)  # fmt: skip
def test_a_symbol_stands_before_the_number(monkeypatch, value, text):
    written_as(monkeypatch, Amount("dollars", "$"))
    assert amount(value) == text


@pytest.mark.parametrize(
    ("decimals", "texts"),
    [
        (0, ["410 min", "686 min", "1,180 min", f"{MINUS}4 min", "0 min"]),
        (1, ["410.0 min", "686.1 min", "1,180.0 min", f"{MINUS}4.0 min", "0.0 min"]),
    ],
)
def test_amounts_beside_each_other_have_the_same_decimals(monkeypatch, decimals, texts):
    written_as(monkeypatch, Amount("min", decimals=decimals))
    assert [amount(value) for value in (410, 686.1, 1180, -4, -0.01)] == texts


def written_as(monkeypatch: pytest.MonkeyPatch, how: Amount) -> None:
    problem = dataclasses.replace(formatting.PROBLEM, amount=how)
    monkeypatch.setattr(formatting, "PROBLEM", problem)


@pytest.mark.parametrize(
    ("unit", "text", "label"),
    [("km/l", "0.0123 km/l", "error (km/l)"), ("", "0.0123", "error")],
)
def test_a_unit_without_a_symbol_stands_after_it(monkeypatch, unit, text, label):
    written_as(monkeypatch, Amount(unit))
    assert amount(0.0123) == text
    assert with_unit("error") == label


@given(st.floats(1e-4, 1e12))
def test_a_value_without_decimals_keeps_at_least_three_significant_digits(value):
    with pytest.MonkeyPatch.context() as patch:
        written_as(patch, Amount(""))
        shown = float(value_text(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=5e-4)


@given(
    st.integers(-50, 50), st.sampled_from((1, 2, 2.5, 5, 10)), st.integers(-4, 7),
    st.integers(2, 9),
)  # fmt: skip
def test_ticks_of_an_axis_differ_and_keep_their_value(first, step, power, n):
    """Steps are those that matplotlib chooses."""
    values = [(first + i) * step * 10.0**power for i in range(n)]
    labels = axis_labels(values)
    assert len(set(labels)) == n
    scale = {"k": 1e3, "M": 1e6, "n": 1e9}
    for value, label in zip(values, labels, strict=True):
        digits = label.replace(",", "").replace(MINUS, "-").rstrip("kMbn")
        read = float(digits) * scale.get(label[-1], 1.0)
        assert np.isclose(read, value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("worst", "shown"),
    [
        (0.0, "exactly the same"),
        (2.3e-16, "the same to 15 digits"),
        (1e-9, "the same to 9 digits"),
        (0.0512, "up to 5.1 % apart"),
        (3.0, "up to 300 % apart"),
    ],
)
def test_agreement_is_said_without_an_exponent(worst: float, shown: str) -> None:
    assert agreement(worst) == shown


def test_a_parameter_is_named_in_words():
    names = ["model__max_leaf_nodes", "preprocess__geo__n_clusters", "model__regressor__model__C"]
    assert list(map(formatting.parameter_name, names)) == ["max leaf nodes", "geo n clusters", "C"]
    assert formatting.parameter_name("model") == "model"


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ("median income <=1.5", "median income at most 1.5"),
        ("median income 1.5-3", "median income 1.5 to 3"),
        ("median income >6", "median income above 6"),
        ("depth -3--1.5", "depth -3 to -1.5"),
        ("size 1e+06-2e+06", "size 1e+06 to 2e+06"),
        ("age >10, kind <1H-2 OCEAN", "age above 10, kind <1H-2 OCEAN"),
        ("kind 4-door", "kind 4-door"),
        ("1.5-3", "1.5 to 3"),
    ],
)
def test_groups_by_a_number_are_written_in_words(stored, words):
    assert group_in_words(stored) == words


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=5, unique=True).map(sorted))
def test_no_group_by_a_number_keeps_its_stored_form(edges):
    for name in Bins("x", tuple(edges)).names():
        words = group_in_words(f"x {name}")
        assert any(word in words for word in (" at most ", " above ", " to ")), words


def test_no_line_ends_between_a_minus_sign_and_its_symbol():
    assert formatting.unbroken(f"worth {formatting.amount(-492_725)}, 3 %") == (
        "worth \u2212\u2060$492,725, 3\u00a0%"
    )
