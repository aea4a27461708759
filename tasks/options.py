"""How every task of ours is run: nothing cached, nothing persisted; idempotence is the store's.

A task's row in the UI is the reason for most of them; a retry is given only to what may be done
twice and can fail for reasons that pass.
"""

from typing import Any

from prefect.cache_policies import NO_CACHE

PLAIN: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
