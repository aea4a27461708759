"""A plain problem, as `housing problem new` writes one: a table of numbers and categories.

This one has three columns and is for reading; a team's own is made from its data.
"""

from housing.problem import Amount, Bins, Column, Levels, Problem, Table, Wording

KINDS = ("new", "used")
GROUPS = (Bins("size", (10.0, 20.0, 50.0)), Levels("kind", KINDS))

PROBLEM = Problem(
    name="template",
    table=Table(
        columns=(
            Column("size", "number", "m2", "Floor space", minimum=0, maximum=10_000),
            Column("kind", "category", "category", "New or used", categories=KINDS),
            Column("cost", "number", "euros", "What was paid", minimum=1, maximum=1e6),
        ),
        target="cost",
        id_column="row_id",
        strata=GROUPS,
        slices=GROUPS,
    ),
    amount=Amount(unit="euros", symbol="€", decimals=2),
    models="housing.problems.template.models",
    wording=Wording(value="cost", values="costs", target="the cost of a row"),
)
