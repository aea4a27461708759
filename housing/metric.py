"""The deciding metrics: the names, labels and units of a model's error.

Each is the mean of a loss over rows, to a power: RMSE is the root of a mean square. The losses
(`evaluation.metrics`) need NumPy.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

RMSE, MAE, RMSLE, PINBALL = "rmse", "mae", "rmsle", "pinball"

_PINBALL = re.compile(r"pinball(?::(0?\.\d+))?")


@dataclass(frozen=True)
class Metric:
    """One metric; `name` is how settings, evidence and JSON call it."""

    name: str
    label: str  # as people read it
    power: float = 1.0  # the error is the mean loss to this power
    has_unit: bool = True  # that of the target
    quantile: float = 0.5  # of the pinball loss


KNOWN = {
    RMSE: Metric(RMSE, "RMSE", 0.5),
    MAE: Metric(MAE, "MAE"),
    RMSLE: Metric(RMSLE, "RMSLE", 0.5, has_unit=False),
}


def metric_named(name: str) -> Metric:
    """The metric that is called rmse, mae, rmsle, pinball or pinball:0.9 (at that quantile).

    ValueError for another name.
    """
    if name in KNOWN:
        return KNOWN[name]
    found = _PINBALL.fullmatch(name)
    written = Decimal(found[1] or "0.5") if found else Decimal(0)
    if not found or not 0 < float(written) < 1:
        raise ValueError(
            f"there is no metric {name}; there are {', '.join(KNOWN)}, pinball and, for another "
            "quantile than 0.5, e.g. pinball:0.9"
        )
    text = f"{written.normalize():f}"
    return Metric(f"{PINBALL}:{text}", f"pinball loss at {text}", quantile=float(written))
