"""Prefect tasks: each opens the store, calls one function of housing, returns a small record.

A task earns its decorator by a row in the UI or by a retry; a retry is given only to what may be
repeated and can fail for a passing reason.
"""

from typing import Any

from prefect.cache_policies import NO_CACHE

PLAIN: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
"""Options of every task: nothing is cached or persisted, because idempotence is the store's."""
