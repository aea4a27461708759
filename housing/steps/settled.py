"""Whether there is anything to do tonight: answered from SQL alone, so an idle night is short."""

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing.records import RunOutcome
from housing.settings import Settings
from housing.steps.evaluate import Judged, judged_of
from housing.steps.tune import plan_of, search_key
from housing.store import approvals, holds, profiles, registry, searches
from housing.store.engine import Store
from housing.store.tables import evaluations, runs

_FATES = {
    "waiting": RunOutcome.AWAITING_APPROVAL,
    "approved": "approved",
    "rejected": "rejected",
    "expired": "not approved in time",
    "overtaken": "overtaken by another champion",
}
"""What became of a promotion that a person was asked about."""


def settled(store: Store, version: int, settings: Settings) -> Judged | None:
    """The verdict on this version under these settings, if it stands and was carried out.

    None where a model must still be searched, fitted, judged or promoted (or a person asked), or
    where the team has not been told yet: a night that died on the way is taken up where it was. A
    challenger that is on hold is settled as it is; once it is released, its verdict is taken up
    again.
    """
    with store.read() as connection:
        profile = profiles.get(connection, version)
        if profile is None:
            return None
        search = searches.find(connection, search_key(profile, plan_of(settings, version)))
        if search is None:
            return None
        model = registry.model_of_search(connection, search.id, settings.search.bag)
        if model is None:
            return None
        judged = _newest(connection, model.id, version, settings)
        if judged is None or not _concluded(connection, model.id, version):
            return None
        asked = approvals.of_evaluation(connection, judged.evaluation)
        if registry.champion(connection) == model.id or not judged.promotes:
            return judged
        return None if asked is None else replace(judged, outcome=_FATES[asked.status])


def _newest(
    connection: Connection, challenger: int, version: int, settings: Settings
) -> Judged | None:
    policy = settings.gate.model_dump(mode="json")
    query = (
        sa.select(evaluations)
        .where(evaluations.c.challenger == challenger, evaluations.c.version == version)
        .order_by(evaluations.c.id.desc())
    )
    for row in connection.execute(query):
        if row.policy == policy:
            return judged_of(row, holds.why_not(connection, challenger))
    return None


def _concluded(connection: Connection, challenger: int, version: int) -> bool:
    query = sa.select(runs.c.id).where(
        runs.c.status == "completed", runs.c.challenger == challenger, runs.c.version == version
    )
    return connection.execute(query.limit(1)).first() is not None
