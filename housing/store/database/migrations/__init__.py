"""Alembic's scripts, one a change of the schema, named for what it does."""
