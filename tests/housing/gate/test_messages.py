"""How figures read in sentences, at each place where the words turn."""

import pytest

from housing import formatting
from housing.gate import messages
from tests.housing.gate.conftest import comparison, metrics


@pytest.mark.parametrize(
    ("share", "digits", "expected"),
    [
        (0.0, 1, "0 %"),
        (0.05, 1, "5 %"),
        (0.0503, 1, "5 %"),
        (0.0547, 1, "5.5 %"),
        (0.0547, 2, "5.47 %"),
        (0.1, 2, "10 %"),
        (0.0005, 1, "0.1 %"),
        (0.000499, 1, "0.05 %"),
        (0.000012, 1, "0.001 %"),
        (-0.0001, 1, "-0 %"),
    ],
)
def test_shares_are_written_with_the_required_digits(share, digits, expected):
    assert formatting.short_percent(share, digits) == expected


@pytest.mark.parametrize(
    ("bound", "rounded"),
    [(0.0, 0.0), (0.001, 0.001), (0.0010001, 0.002), (-0.0069, -0.006), (-0.006, -0.006)],
)
def test_bounds_are_never_rounded_to_the_flattering_side(bound, rounded):
    assert formatting.rounded_up(bound) == pytest.approx(rounded, abs=1e-12)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0144, "0.014"), (1.0, "1"), (99.6, "100"), (104.0, "100"), (1_234.0, "1,200")],
)
def test_two_digits_and_no_exponent(value, expected):
    assert formatting.two_digits(value) == expected


@pytest.mark.parametrize(
    ("effect", "moved", "standing"),
    [
        (0.0, "exactly the same", ", exactly"),
        (0.014, "1.4 % higher", ", 1.4 % above"),
        (-0.014, "1.4 % lower", ", 1.4 % below"),
        (0.5, "50 % higher", ", 50 % above"),
    ],
)
def test_a_change_has_its_direction(effect, moved, standing):
    assert formatting.change_in_words(effect) == moved
    expected = messages.error_against(metrics(40_000.4), comparison(effect, 0.01))
    assert expected == f"The challenger's RMSE is $40,000{standing}"


def test_an_interval_has_its_confidence_and_both_ends():
    assert (
        formatting.interval(comparison(-0.01, 0.01)) == "95 % interval \N{MINUS SIGN}3.0 to +1.0 %"
    )
    assert formatting.interval(comparison(-0.01, 0.01, 0.999)).startswith("99.9 % interval")


@pytest.mark.parametrize(
    ("upper", "expected"),
    [
        (0.007, "at most 0.7 % worse"), (0.0, "not worse"), (-0.006, "at least 0.6 % better"),
        (2.0, "at most 200 % worse"), (-0.7, "at least 70 % better"),
    ],
)  # fmt: skip
def test_a_bound_is_written_as_a_worsening_or_an_improvement(upper, expected):
    assert formatting.bound_in_words(upper) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(1, "1"), (99, "99"), (100, "100"), (101, "110"), (4_341, "4,400"), (43_300, "44,000")],
)
def test_numbers_of_rows_are_rough_and_never_too_small(rows, expected):
    assert formatting.round_up_2_digits(rows) == expected
    assert messages.rows_to_decide(rows) == f"about {expected} test rows would decide it"


def test_messages_state_that_no_number_of_rows_is_enough():
    assert messages.rows_to_decide(None) == "no number of test rows would decide it"
    assert messages.rows_to_pass(None) == "no number of test rows is enough"
    assert messages.rows_to_pass(4_341) == "about 4,400 test rows are enough"
    assert [messages.rows_to_pass(rows) for rows in (1, 2, 3)] == [
        f"about {rows} test rows are enough" for rows in (2, 2, 3)
    ]


def test_a_comparison_for_machines_is_whole():
    found = comparison(-0.01, 0.01)
    assert messages.figures(found) == {
        "metric": "rmse",
        "effect": -0.01,
        "upper": found.upper,
        "lower_two_sided": found.interval.lower,
        "upper_two_sided": found.interval.upper,
        "se": 0.01,
        "se_independent": found.se_independent,
        "rows": 4_000,
        "clusters": 700,
        "df": found.degrees,
        "bandwidth": None,
    }
