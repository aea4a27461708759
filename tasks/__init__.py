"""Prefect tasks: each opens the store, calls one function of housing, returns a small record."""
