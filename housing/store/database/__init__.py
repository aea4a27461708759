"""Connections, tables, migrations, bulk look-ups and the integrity check."""
