"""What to expect of a model, in plain words."""

from dataclasses import fields, replace

from housing import schema
from housing.records import Interval, Metrics
from housing.report.card import CardFacts, SliceFigures, markdown


def group(name, value, lower):
    rest = Interval(value, lower, value + (value - lower))
    return SliceFigures("ocean_proximity", name, 200, Interval(1.0, 0.9, 1.1), None, 0.4, rest)


METRICS = Metrics(200, Interval(1.0, 0.9, 1.1), 0.7, 0.8, 0.4, 0.7, metric="mae")


def text(*groups):
    facts = dict.fromkeys(field.name for field in fields(CardFacts))
    shown = CardFacts(
        **{**facts, "slices": groups, "examples": (), "worth": (), "metrics": METRICS}
    )
    return markdown(shown, "expectations.md").strip()


def test_groups_that_are_worse_beyond_chance_are_named_worst_first():
    found = text(
        group("INLAND", 0.1, 0.02), group("ISLAND", 0.9, 0.3), group("NEAR BAY", 0.2, -0.1)
    )
    assert "Of 3 groups, 2 have a larger MAE than all other" in found
    assert found.index("ISLAND, +90.0 %") < found.index("INLAND, +10.0 % (interval +2.0 % to")
    assert "NEAR BAY" not in found


def test_without_a_worse_group_the_largest_difference_is_attributed_to_chance():
    found = text(group("INLAND", 0.1, -0.02), group("NEAR BAY", 0.2, -0.1))
    assert "none have a larger MAE" in found
    assert "the largest difference: ocean proximity NEAR BAY, +20.0 %" in found


def test_a_group_by_a_number_has_its_unit():
    column = schema.TABLE.strata[0].column
    unit = schema.CATALOGUE[column].unit
    names = schema.TABLE.strata[0].names()
    labels = [replace(group("INLAND", 0.1, 0.02), column=column, name=n).label for n in names]
    assert labels[0] == f"median income at most 1.5 ({unit})"
    assert labels[1] == f"median income 1.5 to 3 ({unit})"
    assert labels[-1] == f"median income above 6 ({unit})"


def test_no_groups_give_no_text():
    assert text() == ""
