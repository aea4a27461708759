"""Worker processes of one thread each, which never outlive the process that started them.

One thread, because two boosters with two threads each on two cores are several times slower than
with one, and because sums in another order are other sums.
"""

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context
from typing import Any

from joblib import Parallel, delayed, parallel_config
from threadpoolctl import threadpool_limits

log = logging.getLogger("housing")

WATCH_SECONDS = 0.5


@cache
def _has_semaphores() -> bool:
    try:
        get_context("spawn").Semaphore()
    except OSError:
        log.warning("No semaphores here (shared memory cannot be written): one process computes.")
        return False
    return True


# Loky replaces a worker whose memory has grown by 300 MB; its warning suspects a leak.
warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)


@contextmanager
def one_thread() -> Iterator[None]:
    """This process computes with one thread inside."""
    with threadpool_limits(limits=1):
        yield


@contextmanager
def one_thread_each(workers: int) -> Iterator[None]:
    """Joblib inside runs in `workers` processes, or in this one where that is 1.

    In this one too without semaphores, e.g. in a container whose /dev/shm cannot be written.

    Numpy arrays among a task's arguments, or inside a frame among them, are written once and
    shared by memory map; joblib removes the files even where this process is killed.
    """
    with (
        one_thread(),
        parallel_config(
            backend="loky",
            n_jobs=workers if _has_semaphores() else 1,
            inner_max_num_threads=1,
            max_nbytes=0,
            mmap_mode="r",
            initializer=_follow,
            initargs=(os.getpid(),),
        ),
    ):
        yield


def in_parallel(
    function: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    workers: int,
    dask: str = "",
) -> Generator[Any, None, None]:
    """Results of `function` as they come, in any order.

    In processes of this machine, or on the workers of the Dask scheduler at the address `dask`.
    Closing the generator, or an interrupt, ends the work without waiting for its tasks.
    """
    if not arguments:
        return
    if dask:
        from housing.training.cluster import on_cluster

        yield from on_cluster(function, arguments, dask)
        return
    with one_thread_each(workers):
        results = Parallel(return_as="generator_unordered", batch_size=1)(
            delayed(function)(*each) for each in arguments
        )
        try:
            # Not `yield from`: closing would reach `results` first, outside of the filter below.
            for result in results:  # noqa: UP028
                yield result
        finally:
            with warnings.catch_warnings():
                # Stopping early is what closing asks for.
                warnings.filterwarnings(
                    "ignore", message=".*(task|result)s? ", category=UserWarning
                )
                results.close()


def _follow(caller: int) -> None:
    """End this worker when its caller is gone, however that ended.

    Loky's workers would finish their task and then wait for minutes. Ctrl-C reaches the whole
    process group, but it is the caller who answers it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(caller,), daemon=True).start()


def _watch(caller: int) -> None:
    while os.getppid() == caller:
        time.sleep(WATCH_SECONDS)
    os._exit(1)
