"""What all tasks have in common: thin, uncached, and nothing but ids and records passes."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE

import tasks

MODULES = sorted(path.stem for path in Path(tasks.__file__).parent.glob("[a-z]*.py"))
LONGEST = 15  # lines


def _tasks() -> list[Task]:
    found = {}
    for name in MODULES:
        for value in vars(importlib.import_module(f"tasks.{name}")).values():
            if isinstance(value, Task):
                found[value.name] = value
    return list(found.values())


TASKS = _tasks()


def test_every_task_is_found() -> None:
    assert len(TASKS) >= 13


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_no_task_caches_or_persists_its_result(task: Task) -> None:
    assert task.cache_policy is NO_CACHE
    assert task.persist_result is False


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_is_thin(task: Task) -> None:
    source = inspect.getsource(task.fn)
    assert len(source.splitlines()) <= LONGEST
    loops = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.For | ast.While)]
    assert not loops, "a task opens the store and calls one function"


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_tasks_pass_small_records(task: Task) -> None:
    hints = {str(p.annotation) for p in inspect.signature(task.fn).parameters.values()}
    for hint in (*hints, str(inspect.signature(task.fn).return_annotation)):
        assert not any(big in hint for big in ("DataFrame", "ndarray", "Pipeline", "Any"))


def test_only_what_may_be_done_twice_is_retried() -> None:
    assert {task.name for task in TASKS if task.retries} == {"ingest", "back up"}
