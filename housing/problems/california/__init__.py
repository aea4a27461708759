"""The worked problem: prices of Californian districts, from the census of 1990.

The table of Hands-On Machine Learning (Géron), chapter 2.
"""

from housing.problem import Problem, SourceClass, Wording
from housing.problems.california.behaviours import BEHAVIOURS
from housing.problems.california.table import AMOUNT, LOCATION, TABLE

PROBLEM = Problem(
    name="california",
    table=TABLE,
    amount=AMOUNT,
    models="housing.problems.california.models",
    location=LOCATION,
    wording=Wording(
        row="district",
        rows="districts",
        value="price",
        values="prices",
        target="the median house price of a district",
        title="House prices of Californian districts",
        page="House prices",
        caution="A price is an estimate for a whole district, not an offer or a valuation.",
        source="California block groups of the 1990 census (Pace and Barry, 1997)",
        uses=(
            "For prices of whole districts like those in the training data, to compare and plan.",
        ),
        no_uses=(
            "not for the value of a single house: it was trained on districts",
            "not for another year than that of its data: prices change",
            "not for causal claims: a correlation of income and price explains neither",
        ),
        request_key="districts",
    ),
    behaviours=BEHAVIOURS,
    default_sources=("census", "landing"),
    short_names={"census": ("census", "table")},
    sources={
        "census": SourceClass(
            "housing.problems.california.census:Census",
            options="housing.problems.california.options:CensusOptions",
        ),
        "simulated": SourceClass(
            "housing.problems.california.simulated.source:Simulated",
            options="housing.problems.california.options:SimulatedOptions",
        ),
    },
)
