"""Automatic rollback after an alarm of live error: only to a model that is better on the same rows.

Changed data affect every model, and a rollback would lose what the champion is better at. So both
models predict all labelled rows since the promotion. docs/monitoring.md lists the states.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from housing import schema
from housing.errors import HousingError, NoRollbackTarget
from housing.evaluation.spatial_se import row_cells
from housing.formatting import change
from housing.inference.columns import columns_of_frame
from housing.inference.loaded_model import LoadedModel, load
from housing.keys import KEY_COLUMN, among
from housing.monitoring.live_error import counted, exceeded_limit
from housing.monitoring.options import ROLLBACK_CONFIDENCE
from housing.monitoring.paired import FEWEST_ROWS, Paired, compared
from housing.operations import error_rates
from housing.operations.labelled_predictions import known_to
from housing.pipeline.promote import RolledBack, roll_back, verify_and_heal
from housing.settings import Settings
from housing.store.database.engine import Store
from housing.store.database.tables import promotion_log as lines
from housing.store.database.tables import utc_now
from housing.store.models import promotion_log, registry

REMEDY = "`housing retrain` fits a model to the present rows"


@dataclass(frozen=True)
class Decision:
    """The result of an alarm of live error; `cause` is the same for the same reason."""

    cause: str
    message: str
    target: int | None = None  # the former champion that is better
    done: RolledBack | None = None
    failed: bool = False  # the next run tries again, on the same rows


def decide(
    store: Store, settings: Settings, served: LoadedModel, rows: Callable[[], pd.DataFrame]
) -> Decision:
    """Whether to roll back, and why. `rows`: key, features, target since the promotion."""
    why_not = _ineligible(store, settings, served)
    if why_not is not None:
        return why_not
    try:
        target = store.query(registry.previous_champion)
    except NoRollbackTarget as error:
        return Decision("no target", f"{error}; {REMEDY}")
    try:
        not_better, message = _why_not_better(store, settings, served, target, rows())
    except HousingError as error:
        return _failure(served, target, error)
    if not_better:
        return Decision(f"m{target}: {not_better}", f"{message}; {REMEDY}")
    return Decision("done", f"{served.name} was rolled back to m{target}: {message}", target)


def carry_out(
    store: Store,
    served: LoadedModel,
    decision: Decision | None,
    reason: str,
    record: Callable[[Connection, Decision | None], object],
) -> None:
    """Roll back if that is decided; `record` writes what the monitor found in its transaction."""
    if decision is not None and decision.target is not None:
        decided = decision

        def within(connection: Connection, done: RolledBack) -> None:
            record(connection, replace(decided, done=done))

        try:
            roll_back(store, decision.target, reason, within=within)
        except HousingError as error:
            decision = _failure(served, decision.target, error)
        else:
            return
    with store.write() as connection:
        record(connection, decision)


def _failure(served: LoadedModel, target: int, error: HousingError) -> Decision:
    text = f"{served.name} could not be rolled back to m{target}: {error} The next run of the "
    return Decision(f"{type(error).__name__}: {error}", f"{text}monitor tries again.", failed=True)


def _ineligible(store: Store, settings: Settings, served: LoadedModel) -> Decision | None:
    """Only a promotion in its probation is rolled back, and only once."""
    with store.read() as connection:
        query = sa.select(lines.c.operation).where(
            lines.c.seq >= served.seq,
            lines.c.operation.in_((*promotion_log.CHAMPION_CHANGES, "restore")),
        )
        operation = connection.execute(query.order_by(lines.c.seq.desc()).limit(1)).scalar_one()
    if operation != "promote":
        words = f"{served.name} is champion by a {operation}: it is not rolled back; {REMEDY}"
        return Decision(f"came by {operation}", words)
    days = settings.monitor.probation_days
    if utc_now() - served.since > timedelta(days=days):
        words = f"{served.name} has been champion for more than {days:g} days; {REMEDY}"
        return Decision("after probation", words)
    return None


def _why_not_better(
    store: Store, settings: Settings, served: LoadedModel, target: int, rows: pd.DataFrame
) -> tuple[str, str]:
    """Why the target is not better on rows new to both models, or ""; and the figures."""
    keys = rows[KEY_COLUMN].to_numpy(np.int64)
    rows = rows[~among(keys, known_to(store, target, keys))]
    if len(rows) < FEWEST_ROWS:
        return "too few rows", (
            f"m{target} cannot be compared yet: {len(rows)} rows since the promotion were logged "
            f"with their inputs and are new to both models; {FEWEST_ROWS} are needed"
        )
    verify_and_heal(store, store.query(registry.model, target))
    former = load(store, target)
    actual, columns = rows[schema.TARGET].to_numpy(np.float64), columns_of_frame(rows)
    theirs, ours = former.predictions(columns), served.predictions(columns)
    found = compared(actual, ours.predicted, theirs.predicted, row_cells(rows),
                     confidence=ROLLBACK_CONFIDENCE)  # fmt: skip
    figures = _figures(target, served, found)
    if not found.better:
        words = "not significantly better: the data have changed, or more labels are needed"
        return "not better", f"{figures}: {words}"
    expected = error_rates.of_test_rows(former, error_rates.sides(store, former.version)[1])
    given = counted(error_rates.labelled(rows, theirs))
    exceeded = exceeded_limit(given, expected, settings.monitor)
    if exceeded:
        return "its own limits", f"{figures}, but {exceeded}, so the data have changed"
    return "", figures


def _figures(target: int, served: LoadedModel, found: Paired) -> str:
    return (
        f"m{target} on the {found.rows:,} rows since the promotion: RMSE {change(found.effect)} "
        f"against {served.name}, evidence {found.score:.1f}, rollback above {found.limit:.1f}"
    )
