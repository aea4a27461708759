"""Opening, migrating, and what a database that cannot be used says."""

import sqlalchemy as sa

from housing.store.engine import Store
from housing.store.opening import HEAD, schema_version


def test_a_new_database_is_brought_to_the_newest_schema(store: Store) -> None:
    with store.read() as connection:
        assert schema_version(connection) == HEAD
        assert connection.execute(sa.text("SELECT count(*) FROM champion_now")).scalar() == 0
