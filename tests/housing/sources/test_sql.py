import datetime as dt

import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from housing.errors import SourceUnavailable
from housing.problems.california.simulated.scenarios import simulate
from housing.quality.rows import validate
from housing.quality.table import whole
from housing.schema import CATALOGUE
from housing.sources import SOURCES

TABLE = 'odd "name; --'
DAYS = [dt.datetime(2024, 1, day, tzinfo=None) for day in (1, 2, 3)]


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'other.db'}"


@pytest.fixture
def append(url):
    """Write rows with a watermark into the other database's table."""
    engine = sa.create_engine(url)

    def write(frame: pd.DataFrame, when) -> None:
        frame.assign(written=when).to_sql(TABLE, engine, if_exists="append", index=False)

    yield write
    engine.dispose()


@pytest.fixture
def source(options, url):
    names = {"sql_table": TABLE, "sql_watermark": "written"}
    return SOURCES["sql"](options(sql_url=SecretStr(url), **names))


def rows(seed: int, count: int = 5) -> pd.DataFrame:
    return simulate(count, seed)


def populations(delivery) -> list[float]:
    return sorted(whole(delivery.read()).frame["population"])


def test_all_rows_come_first_and_then_only_the_new_ones(source, seen, append):
    append(rows(1), DAYS[0])
    append(rows(2), DAYS[1])
    (first,) = source.deliveries(seen)
    assert (first.source, first.simulated, whole(first.read()).read) == ("sql", False, 10)
    seen.store(first)
    append(rows(3), DAYS[2])
    (second,) = source.deliveries(seen)
    assert populations(second) == sorted(rows(3)["population"])
    assert first.digest != second.digest


def test_rows_pass_validation_as_they_are(source, seen, append):
    append(rows(1, 30), DAYS[0])
    (delivery,) = source.deliveries(seen)
    result = validate(delivery.read(), delivery.name)
    expected = rows(1, 30)
    pd.testing.assert_frame_equal(result.accepted[list(CATALOGUE)], expected)


def test_nothing_new_is_unchanged(source, seen, append):
    append(rows(1), DAYS[0])
    seen.store(*source.deliveries(seen))
    (answer,) = source.deliveries(seen)
    assert (answer.status, answer.message) == (
        "unchanged",
        f"{TABLE} has no row that was not read before.",
    )


def test_a_row_that_ties_with_the_last_one_is_not_lost(source, seen, append):
    append(rows(1), DAYS[0])
    seen.store(*source.deliveries(seen))
    append(rows(2, 1), DAYS[0])
    (delivery,) = source.deliveries(seen)
    assert set(rows(2, 1)["population"]) <= set(populations(delivery))
    seen.store(delivery)
    (answer,) = source.deliveries(seen)
    assert answer.status == "unchanged"


@pytest.mark.parametrize("marks", [(1, 2), (1.5, 2.5), ("a", "b"), (DAYS[0], DAYS[1])])
def test_watermarks_of_every_kind(source, seen, append, marks):
    append(rows(1), marks[0])
    seen.store(*source.deliveries(seen))
    append(rows(2), marks[1])
    (delivery,) = source.deliveries(seen)
    assert populations(delivery) == sorted(rows(2)["population"])


def test_rows_without_a_watermark_are_reported(source, seen, append):
    append(rows(1), DAYS[0])
    append(rows(2), None)
    (delivery,) = source.deliveries(seen)
    assert whole(delivery.read()).read == 5
    assert delivery.read().notes[-1] == "5 rows without written were not read"


def test_the_same_rows_have_one_digest_in_any_order(source, seen, append, options, tmp_path):
    append(rows(1), DAYS[0])
    (first,) = source.deliveries(seen)
    other = sa.create_engine(f"sqlite:///{tmp_path / 'second.db'}")
    rows(1).iloc[::-1].assign(written=DAYS[0]).to_sql(TABLE, other, index=False)
    other.dispose()
    url = SecretStr(f"sqlite:///{tmp_path / 'second.db'}")
    again = SOURCES["sql"](options(sql_url=url, sql_table=TABLE, sql_watermark="written"))
    assert next(again.deliveries(seen)).digest == first.digest


def test_text_in_a_number_column_costs_its_row_only(source, seen, append, url):
    append(rows(1), DAYS[0])
    engine = sa.create_engine(url)
    with engine.begin() as connection:  # SQLite takes anything in any column
        name = engine.dialect.identifier_preparer.quote(TABLE)
        connection.execute(sa.text(f"ALTER TABLE {name} ADD COLUMN people NUMERIC"))
        connection.execute(sa.text(f"UPDATE {name} SET people = population"))
        connection.execute(sa.text(f"UPDATE {name} SET people = 'many' WHERE rowid = 3"))
        connection.execute(sa.text(f"ALTER TABLE {name} DROP COLUMN population"))
        connection.execute(sa.text(f"ALTER TABLE {name} RENAME COLUMN people TO population"))
    engine.dispose()
    (delivery,) = source.deliveries(seen)
    result = validate(delivery.read(), "t")
    assert len(result.accepted) == 4
    assert result.rejected["value"].tolist() == ["many"]


def test_a_table_without_the_columns_is_unreadable(source, seen, append, options, url):
    append(rows(1).drop(columns="population"), DAYS[0])
    (answer,) = source.deliveries(seen)
    assert answer.status == "unreadable"
    assert "the table: the column is missing: population" in answer.message
    no_mark = SOURCES["sql"](options(sql_url=SecretStr(url), sql_table=TABLE, sql_watermark="nope"))
    (answer,) = no_mark.deliveries(seen)
    assert "has no column nope, which HOUSING_SOURCES__SQL_WATERMARK names" in answer.message


def test_blanks_around_a_column_name_do_not_matter(source, seen, append):
    append(rows(1).rename(columns={"population": " population"}), DAYS[0])
    (delivery,) = source.deliveries(seen)
    assert populations(delivery) == sorted(rows(1)["population"])


def test_a_missing_table_is_named(source, seen, append, options, url):
    append(rows(1), DAYS[0])
    names = {"sql_table": "none", "sql_watermark": "written"}
    with pytest.raises(SourceUnavailable, match="there is no table none"):
        list(SOURCES["sql"](options(sql_url=SecretStr(url), **names)).deliveries(seen))


def test_a_missing_sqlite_file_is_not_made(source, seen, tmp_path):
    with pytest.raises(SourceUnavailable, match="no such file"):
        list(source.deliveries(seen))
    assert not (tmp_path / "other.db").exists()


def test_missing_settings_are_named(options, seen):
    with pytest.raises(
        SourceUnavailable, match="HOUSING_SOURCES__SQL_URL and HOUSING_SOURCES__SQL_WATERMARK not"
    ):
        list(SOURCES["sql"](options(sql_table="t")).deliveries(seen))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://me:s3cret@127.0.0.1:1/db?application_name=s3cret",
        "s3cret://me:s3cret@host/db",
        "no address s3cret",
    ],
)
def test_a_database_that_is_down_never_shows_the_password(options, seen, address):
    names = {"sql_table": "t", "sql_watermark": "w"}
    with pytest.raises(SourceUnavailable) as caught:
        list(SOURCES["sql"](options(sql_url=SecretStr(address), **names)).deliveries(seen))
    assert "s3cret@" not in str(caught.value)
    assert "me:" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_unreachable_host_is_named(options, seen):
    url = SecretStr("postgresql+psycopg://me:pw@127.0.0.1:1/db")
    names = {"sql_table": "t", "sql_watermark": "w"}
    with pytest.raises(SourceUnavailable, match=r"sql \(127\.0\.0\.1\) cannot be read"):
        list(SOURCES["sql"](options(sql_url=url, **names)).deliveries(seen))


# --- ids and corrections, on both databases ---------------------------------------------------


@pytest.fixture
def other(database_url):
    """An engine of another database, SQLite and PostgreSQL."""
    engine = sa.create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


@pytest.fixture
def other_source(other, options):
    address = SecretStr(other.url.render_as_string(hide_password=False))
    return SOURCES["sql"](options(sql_url=address, sql_table="t", sql_watermark="written"))


def fill(engine, ids, kind, marks=1) -> None:
    frame = rows(1, len(ids)).assign(district_id=ids, written=marks)
    kinds = {"district_id": kind}
    frame.to_sql("t", engine, if_exists="append", index=False, dtype=kinds)


def delivered_ids(source, seen) -> list[str | None]:
    (delivery,) = source.deliveries(seen)
    found = validate(delivery.read(), "t").accepted["district_id"]
    return [None if pd.isna(one) else one for one in found]


def test_whole_numbers_of_64_bits_stay_different_ids(other, other_source, seen):
    ids = [2**63 - 1 - i for i in range(60)]
    fill(other, ids, sa.BigInteger())
    assert delivered_ids(other_source, seen) == [str(one) for one in ids]


@pytest.mark.parametrize(
    ("kind", "ids", "texts"),
    [
        (sa.BigInteger(), [101, None, 7], ["101", None, "7"]),
        (sa.Text(), ["101", None, "007"], ["101", None, "007"]),
        (sa.Float(53), [101.0, None, 7.0], ["101", None, "7"]),
    ],
)
def test_an_id_is_the_same_text_whatever_its_type(other, other_source, seen, kind, ids, texts):
    fill(other, ids, kind)
    assert delivered_ids(other_source, seen) == texts


@pytest.mark.parametrize("kind", ["NUMERIC(38, 0)", "NUMERIC(40, 2)"])
def test_decimal_ids_are_exact(postgres_server, options, seen, kind):
    address = postgres_server.replace("postgresql://", "postgresql+psycopg://")
    engine = sa.create_engine(address)
    ids = [10**37 + i for i in range(3)]
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS decimals"))
        frame = rows(1, 3).assign(district_id=[str(one) for one in ids], written=1)
        frame.to_sql("decimals", connection, index=False)
        change = f"ALTER COLUMN district_id TYPE {kind} USING district_id::numeric"
        connection.execute(sa.text(f"ALTER TABLE decimals {change}"))
    engine.dispose()
    names = {"sql_table": "decimals", "sql_watermark": "written"}
    source = SOURCES["sql"](options(sql_url=SecretStr(address), **names))
    assert delivered_ids(source, seen) == [str(one) for one in ids]


def test_a_floating_point_id_that_may_be_several_is_named(other, other_source, seen):
    fill(other, [2.0**60, 1.0], sa.Float(53))
    (answer,) = other_source.deliveries(seen)
    assert answer.status == "unreadable"
    assert "district_id holds the floating-point number 1.152921504606847e+18" in answer.message


@pytest.mark.parametrize(("kind", "exact"), [(sa.REAL(), 2**24), (sa.Float(53), 2**53)])
def test_floating_point_ids_are_exact_by_the_width_of_their_column(
    other, other_source, seen, kind, exact
):
    if other.dialect.name == "sqlite":
        exact = 2**53  # whatever the column is called, it has 64 bits
    fill(other, [float(exact - 1), 1.0], kind)
    assert delivered_ids(other_source, seen) == [str(exact - 1), "1"]
    fill(other, [float(exact)], kind)
    (answer,) = other_source.deliveries(seen)
    assert answer.status == "unreadable"
    assert f"holds the floating-point number {float(exact)!r}, and an id must be exact" in (
        answer.message
    )


def correct(engine, value: int, mark: int) -> None:
    with engine.begin() as connection:
        change = "UPDATE t SET population = :value, written = :mark WHERE district_id = '1'"
        connection.execute(sa.text(change), {"value": value, "mark": mark})


@pytest.mark.parametrize("marks", [(2, 3, 4, 5), (2, 2, 2, 2)], ids=["each later", "all alike"])
def test_a_correction_there_and_back_is_a_delivery_each_time(other, other_source, seen, marks):
    fill(other, ["1", "2"], sa.Text())
    seen.store(*other_source.deliveries(seen))
    for value, mark in zip((10, 20, 10, 20), marks, strict=True):
        correct(other, value, mark)
        (delivery,) = other_source.deliveries(seen)
        assert delivery.digest not in seen.batches
        assert value in populations(delivery)
        seen.store(delivery)
        (again,) = other_source.deliveries(seen)
        assert again.status == "unchanged"


def test_a_watermark_that_cannot_be_read_onwards_is_named(other, other_source, seen):
    fill(other, ["1", "2"], sa.Text(), marks=[True, True])
    if other.dialect.name == "sqlite":
        pytest.skip("SQLite has no booleans")
    (answer,) = other_source.deliveries(seen)
    assert (answer.status, "is a bool" in answer.message) == ("unreadable", True)
