"""The store as commands open it; its modules are slow to import, so not before."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from deployments.cli.output import errors, warn
from housing.settings import Settings, load_settings

if TYPE_CHECKING:
    from housing.store.database.engine import Store


@contextmanager
def opened(
    *, claim: bool = True, create: bool = False, banner: bool = True, bars: bool = True
) -> "Iterator[tuple[Store, Settings]]":
    """The store that the settings name, and the settings; progress of the block is shown.

    `claim` and `create` as in `open_store`. Without `banner` the caller says itself that rows are
    simulated, without `bars` the block asks a person.
    """
    from deployments.cli.progress_bars import progress_bars
    from housing.store import queries
    from housing.store.database.open import open_store

    settings = load_settings()
    with ExitStack() as stack:
        store = stack.enter_context(open_store(settings, claim=claim, create=create))
        if banner:
            with store.read() as connection:
                warn(list(queries.simulated(connection)), errors)
        if bars:
            stack.enter_context(progress_bars())
        yield store, settings


@contextmanager
def changing() -> "Iterator[tuple[Store, Settings]]":
    """As `opened`, for a change without files: the blob storage is marked with it afterwards."""
    from housing.store.database import ownership

    with opened() as (store, settings):
        yield store, settings
        ownership.renew(store)
