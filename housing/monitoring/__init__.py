"""Drift, live error and staleness as pure functions of tables."""
