"""FLAML on a table that it is given, run by an interpreter that has FLAML (`make flaml`).

    python flaml_peer.py FOLDER SECONDS

FOLDER holds train.csv and test.csv, the target in the last column. Written into it: predicted.csv,
the predictions of the test rows, and found.json: wall seconds, the best cross-validated RMSE, and
how that fell with time. It imports nothing of this project.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from flaml import AutoML, __version__
from flaml.automl.data import get_output_from_log


def main():
    """One search."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    train, test = (pd.read_csv(folder / f"{side}.csv") for side in ("train", "test"))
    X, y = train.iloc[:, :-1], train.iloc[:, -1]
    log = folder / "flaml.log"
    began = time.perf_counter()
    found = AutoML()
    found.fit(
        X, y, task="regression", metric="rmse", time_budget=seconds, eval_method="cv", n_splits=3,
        n_jobs=2, seed=42, log_file_name=str(log), verbose=0,
    )  # fmt: skip
    wall = time.perf_counter() - began
    times, best, *_ = get_output_from_log(filename=str(log), time_budget=seconds)
    np.savetxt(folder / "predicted.csv", found.predict(test.iloc[:, :-1]))
    facts = {
        "wall": wall,
        "cv": float(found.best_loss),
        "estimator": found.best_estimator,
        "curve": [[float(t), float(b)] for t, b in zip(times, best)],  # noqa: B905 - any Python
        "version": __version__,
    }
    (folder / "found.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
