"""The shadow: a second model that predicts the same requests for comparison, never for clients.

It is loaded and used on the thread of the prediction log, so it delays no request. A failure is
logged once, shown by `error`, and changes nothing else.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from housing.inference.loaded_model import LoadedModel, load
from housing.serve_options import KEPT, ServeOptions
from housing.store.database.engine import Store
from housing.store.database.tables import utc_now
from housing.store.models import promotion_log, registry

log = logging.getLogger("housing")

CHECK_EVERY = timedelta(seconds=30)


class Shadow:
    """Called by the prediction log for the shadow; None where there is none."""

    def __init__(
        self, store: Store, options: ServeOptions, champion: Callable[[], LoadedModel | None]
    ) -> None:
        self._store, self._setting, self._champion = store, options.shadow, champion
        self._current: LoadedModel | None = None
        self._checked_at = utc_now() - CHECK_EVERY
        self.error = ""  # why it cannot be loaded

    def __call__(self) -> LoadedModel | None:
        """The shadow, reloaded when the setting means another model."""
        if not self._setting:
            return None
        if utc_now() - self._checked_at >= CHECK_EVERY:
            self._checked_at = utc_now()
            self._reload()
        champion, shadow = self._champion(), self._current
        if champion is not None and shadow is not None and champion.model == shadow.model:
            return None
        return shadow

    def _reload(self) -> None:
        try:
            if self._setting == KEPT:
                with self._store.read() as connection:
                    former = promotion_log.former_champions(connection)
                    model = registry.newest_besides(connection, former)
            else:
                model = int(self._setting.removeprefix("m"))
            if model is None:
                self._current = None
            elif self._current is None or self._current.model != model:
                self._current = load(self._store, model)
                log.info("m%s is the shadow.", model)
            self.error = ""
        except Exception as error:  # noqa: BLE001 - a shadow that fails must change nothing else
            text = f"The shadow {self._setting} cannot be loaded: {error}"
            if text != self.error:
                log.warning("%s", text)
            self._current, self.error = None, text
