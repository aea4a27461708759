import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info

from housing.training import workers
from housing.training.cluster import run_task
from housing.training.scoring import FoldData
from housing.training.workers import in_parallel
from tests.housing.training.families import numbers

ROOT = Path(__file__).parents[3]

SEARCH = """
import sys
from tests.housing.training.families import build_slow, numbers, only
from housing.training.search_config import SearchPlan
from housing.training.search import run_search

X, y = numbers(60)
plan = SearchPlan(families=("linear",), n_trials=200, n_jobs=2, prune_margin=0)
families = only(build_slow)
run_search(X, y, plan, families=families, on_trial=lambda t: print(t.candidate.index, flush=True))
"""


def where(frame, _number):
    """Process, whether the frame's numbers are a memory map, and threads of each library."""
    values = frame.to_numpy()
    mapped = False
    while values is not None:
        mapped |= isinstance(values, np.memmap)
        values = getattr(values, "base", None)
    return os.getpid(), mapped, [pool["num_threads"] for pool in threadpool_info()]


def test_data_is_shared_by_memory_map_and_each_worker_has_one_thread():
    frame = pd.DataFrame(np.ones((1000, 3)), columns=list("abc"))
    results = list(in_parallel(where, [(frame, i) for i in range(6)], workers=2))
    assert os.getpid() not in {pid for pid, _, _ in results}
    assert all(mapped for _, mapped, _ in results)
    assert {n for _, _, threads in results for n in threads} == {1}


def test_one_worker_is_this_process_limited_to_one_thread():
    frame, _ = numbers(10)
    before = threadpool_info()
    ((pid, _, threads),) = in_parallel(where, [(frame, 0)], workers=1)
    assert pid == os.getpid()
    assert set(threads) == {1}
    assert threadpool_info() == before


def test_closing_early_ends_the_workers_and_the_next_work_has_new_ones():
    with closing(in_parallel(_slow, [(i,) for i in range(50)], workers=2)) as results:
        first = next(results)
        started = time.monotonic()
    assert time.monotonic() - started < 2
    _gone([first])
    assert len(list(in_parallel(_slow, [(i,) for i in range(2)], workers=2))) == 2


@pytest.mark.parametrize("kind", ["array", "frame", "fold"])
def test_on_a_cluster_sums_do_not_depend_on_where_in_a_message_the_data_arrived(kind):
    values = np.random.default_rng(0).random(100_003)
    arrived = np.frombuffer(bytes(4) + values.tobytes(), dtype=np.float64, offset=4)
    assert not arrived.flags.aligned
    assert arrived.sum() != values.sum()
    given = {
        "array": arrived,
        "frame": pd.DataFrame(arrived[:, None], copy=False),
        "fold": FoldData(arrived, arrived),
    }[kind]
    assert set(run_task(_sums, given)) == {values.sum()}


def _sums(given):
    if isinstance(given, FoldData):
        return [given.train.sum(), given.test.sum()]
    return [np.asarray(given).ravel().sum()]


def _slow(_number):
    time.sleep(0.2)
    return os.getpid()


def _gone(pids, seconds=10.0):
    """Fails when one of the processes is still there after so long."""
    deadline = time.monotonic() + seconds
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"orphans: {[p for p in pids if _alive(p)]}"
        time.sleep(0.05)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children(pid):
    tasks = Path(f"/proc/{pid}/task")
    return [int(c) for task in tasks.iterdir() for c in (task / "children").read_text().split()]


@pytest.mark.system
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are read from /proc")
@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)],
)
def test_whatever_ends_a_search_leaves_no_worker_and_no_file(number, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JOBLIB_TEMP_FOLDER": str(tmp_path)}
    search = subprocess.Popen(
        [sys.executable, "-c", SEARCH], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**environment, "LINE_SECONDS": "0.2"},
    )  # fmt: skip
    first = [search.stdout.readline() for _ in range(2)]
    assert all(line.strip().isdigit() for line in first), search.communicate()
    children = _children(search.pid)
    assert len(children) >= 2
    assert list(tmp_path.iterdir())
    search.send_signal(number)
    search.communicate(timeout=120)
    assert search.returncode != 0
    _gone(children)
    deadline = time.monotonic() + 120
    while left := list(tmp_path.iterdir()):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_without_semaphores_the_work_runs_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # as where /dev/shm cannot be written

    workers._has_semaphores.cache_clear()
    monkeypatch.setattr("multiprocessing.synchronize.Semaphore.__init__", refused)
    try:
        found = set(in_parallel(os.getpid, [(), ()], 2))
    finally:
        workers._has_semaphores.cache_clear()
    assert found == {os.getpid()}
