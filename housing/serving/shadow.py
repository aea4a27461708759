"""The shadow: another model that is asked what the champion is asked, and never answers.

Chosen by a setting: one named by hand, or the newest challenger that was not promoted. It is
loaded and asked on the log's own thread, so it can slow nothing down; it may fail, which is said
once and changes nothing else.
"""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from housing.inference.loaded_model import LoadedModel, load
from housing.serve_options import KEPT, ServeOptions
from housing.store.database.engine import Store
from housing.store.database.tables import models, utc_now
from housing.store.models import registry

log = logging.getLogger("housing")

LOOK_EVERY = timedelta(seconds=30)


class Shadow:
    """Called by the log for the model of now; None where there is none."""

    def __init__(
        self, store: Store, options: ServeOptions, champion: Callable[[], LoadedModel | None]
    ) -> None:
        self._store, self._wanted, self._champion = store, options.shadow, champion
        self._served: LoadedModel | None = None
        self._looked_at = utc_now() - LOOK_EVERY
        self._failed: int | None = None
        self._lock = threading.Lock()

    def __call__(self) -> LoadedModel | None:
        """The shadow, loaded; it is looked for again every now and then."""
        if not self._wanted:
            return None
        with self._lock:
            if utc_now() - self._looked_at >= LOOK_EVERY:
                self._looked_at = utc_now()
                self._look()
            champion, shadow = self._champion(), self._served
            if champion is not None and shadow is not None and champion.model == shadow.model:
                return None
            return shadow

    def _look(self) -> None:
        model: int | None = None
        try:
            model = self._model()
            if model is None:
                self._served = None
            elif self._served is None or self._served.model != model:
                self._served = load(self._store, model)
                log.info("m%s is the shadow from now on.", model)
        except Exception as error:  # noqa: BLE001 - a shadow that fails must harm nothing
            self._served = None
            if self._failed != model or model is None:
                log.warning("The shadow %s cannot be loaded: %s", self._wanted, error)
            self._failed = model

    def _model(self) -> int | None:
        if self._wanted != KEPT:
            return int(self._wanted.removeprefix("m"))
        with self._store.read() as connection:
            former = registry.former_champions(connection)
            query = sa.select(models.c.id).where(models.c.id.not_in(former))
            found: int | None = connection.execute(
                query.order_by(models.c.id.desc()).limit(1)
            ).scalar()
        return found
