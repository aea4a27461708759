"""Prices of cut diamonds: ordered categories, a skewed target, an id, no location."""

from housing.problem import Amount, Bins, Column, Levels, Problem, Table, Wording

CUT = ("Fair", "Good", "Very Good", "Premium", "Ideal")
COLOR = ("J", "I", "H", "G", "F", "E", "D")
CLARITY = ("I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF")

COLUMNS = (
    Column("carat", "number", "carat", "Weight", minimum=0.1, maximum=10.0),
    Column("cut", "category", "grade", "Quality of the cut", categories=CUT),
    Column("color", "category", "grade", "Colour, from yellowish to clear", categories=COLOR),
    Column("clarity", "category", "grade", "Clarity, worst to best", categories=CLARITY),
    Column("depth", "number", "%", "Depth as a share of the width", minimum=40.0, maximum=80.0),
    Column("table", "number", "%", "Width of the top facet", minimum=40.0, maximum=100.0),
    Column("price", "number", "USD", "Retail price", minimum=100.0, maximum=100_000.0),
    Column("x", "number", "mm", "Length", minimum=1.0, maximum=20.0),
    Column("y", "number", "mm", "Width", minimum=1.0, maximum=20.0),
    Column("z", "number", "mm", "Depth", minimum=1.0, maximum=20.0),
)

GROUPS = (Bins("carat", (0.4, 0.7, 1.0, 1.5)), Levels("cut", CUT))

PROBLEM = Problem(
    name="diamonds",
    table=Table(
        columns=COLUMNS,
        target="price",
        id_column="diamond_id",
        time_column="recorded_at",
        strata=GROUPS,
        slices=GROUPS,
    ),
    amount=Amount(unit="USD", decimals=0),
    models="housing.problems.template.models",
    wording=Wording(
        row="diamond",
        rows="diamonds",
        value="price",
        values="prices",
        target="the price of a cut diamond",
        title="Prices of diamonds",
        page="Diamond prices",
        caution="A price is an estimate; it does not replace an appraisal.",
        source="a price list of about 54,000 cut diamonds",
        uses=("Check offers for prices that look wrong.",),
        no_uses=("Do not insure a stone for this price without an appraisal.",),
        request_key="diamonds",
    ),
)
