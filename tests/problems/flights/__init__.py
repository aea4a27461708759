"""Arrival delays of flights from New York: 104 destinations, a time, negative values allowed."""

from housing.problem import Amount, Bins, Column, Levels, Problem, Table, Wording

CARRIER = (
    "9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV",
)  # fmt: skip
AIRPORT = ("EWR", "JFK", "LGA")
DEST = (
    "ABQ", "ACK", "ALB", "ANC", "ATL", "AUS", "AVL", "BDL", "BGR", "BHM", "BNA", "BOS", "BQN",
    "BTV", "BUF", "BUR", "BWI", "BZN", "CAE", "CAK", "CHO", "CHS", "CLE", "CLT", "CMH", "CRW",
    "CVG", "DAY", "DCA", "DEN", "DFW", "DSM", "DTW", "EGE", "EYW", "FLL", "GRR", "GSO", "GSP",
    "HDN", "HNL", "HOU", "IAD", "IAH", "ILM", "IND", "JAC", "JAX", "LAS", "LAX", "LEX", "LGB",
    "MCI", "MCO", "MDW", "MEM", "MHT", "MIA", "MKE", "MSN", "MSP", "MSY", "MTJ", "MVY", "MYR",
    "OAK", "OKC", "OMA", "ORD", "ORF", "PBI", "PDX", "PHL", "PHX", "PIT", "PSE", "PSP", "PVD",
    "PWM", "RDU", "RIC", "ROC", "RSW", "SAN", "SAT", "SAV", "SBN", "SDF", "SEA", "SFO", "SJC",
    "SJU", "SLC", "SMF", "SNA", "SRQ", "STL", "STT", "SYR", "TPA", "TUL", "TVC", "TYS", "XNA",
)  # fmt: skip

COLUMNS = (
    Column("month", "number", "month", "Month of the year", minimum=1.0, maximum=12.0),
    Column("sched_dep_time", "number", "hhmm", "Scheduled departure", minimum=0.0, maximum=2400.0),
    Column("dep_delay", "number", "min", "Delay at departure", minimum=-120.0, maximum=1500.0),
    Column("carrier", "category", "code", "Airline", categories=CARRIER),
    Column("origin", "category", "code", "Airport of departure", categories=AIRPORT),
    Column("dest", "category", "code", "Airport of arrival", categories=DEST),
    Column("distance", "number", "miles", "Length of the flight", minimum=10.0, maximum=6000.0),
    Column("arr_delay", "number", "min", "Delay at arrival", minimum=-200.0, maximum=1500.0),
)

GROUPS = (Bins("dep_delay", (-6.0, -3.0, 0.0, 19.0)), Levels("origin", AIRPORT))

PROBLEM = Problem(
    name="flights",
    table=Table(
        columns=COLUMNS,
        target="arr_delay",
        id_column="flight_id",
        time_column="time_hour",
        strata=GROUPS,
        slices=GROUPS,
    ),
    amount=Amount(unit="min", decimals=1),
    models="housing.problems.template.models",
    wording=Wording(
        row="flight",
        rows="flights",
        value="delay",
        values="delays",
        target="the arrival delay of a flight that has departed",
        title="Arrival delays",
        page="Arrival delays",
        caution="A delay is an estimate at departure.",
        source="flights that left New York in 2013",
    ),
)
