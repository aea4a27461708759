"""Curves of a model on demand: the data of its search again, stored with the search."""

from housing.operations.predict import champion_of
from housing.pipeline import search_figures
from housing.pipeline.train import training_side
from housing.settings import Settings
from housing.store.data import datasets
from housing.store.database.engine import Store
from housing.store.models import registry, searches
from housing.training.curves import Curve
from housing.training.search_config import SearchPlan


def measure_curves(
    store: Store, model: int | None, settings: Settings, parameter: str = ""
) -> tuple[int, list[Curve]]:
    """The model (the champion for None) and the curves of the best candidate of its search.

    NotPossible without a champion, or for a parameter that the candidate's family does not have.
    """
    chosen = model or champion_of(store, "Measuring curves")
    with store.read() as connection:
        row = registry.model(connection, chosen)
        search = searches.get(connection, row.search)
        trials = searches.trials_of(connection, search.id)
    plan = SearchPlan.model_validate({**search.plan, "n_jobs": settings.search.n_jobs})
    X, y = training_side(datasets.read(store, row.version))
    found = search_figures.curves(X, y, trials, plan, parameter)
    searches.note(store, search.id, curves=search_figures.as_stored(found))
    return int(row.id), found
