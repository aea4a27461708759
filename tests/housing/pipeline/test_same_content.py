"""The same rows are the same content, whatever ids, order, files or spelling bring them."""

from collections.abc import Callable
from functools import partial

import pandas as pd
import pytest

from housing.settings import Settings
from housing.store.data import datasets, profiles
from housing.store.database.open import open_store
from housing.store.database.tables import evaluations, searches
from tests.fixtures.prepared_home import PreparedHomes
from tests.fixtures.run_without_prefect import plain_run
from tests.fixtures.small_settings import landing_rows
from tests.housing.pipeline.test_rounds import _count, _land, small  # noqa: F401

pytestmark = pytest.mark.xdist_group("rounds")  # one worker builds the home once

Frame = pd.DataFrame


def _shuffled(frame: Frame) -> list[Frame]:
    return [frame.sample(frac=1, random_state=3)]


def _with_ids(frame: Frame) -> list[Frame]:
    return [frame.assign(district_id=[f"d{i}" for i in range(len(frame))])]


def _renumbered_in_two(frame: Frame) -> list[Frame]:
    one = frame.assign(district_id=[f"x{len(frame) - i}" for i in range(len(frame))])
    return [one.iloc[::2], one.iloc[1::2]]


def _respelled(frame: Frame) -> list[Frame]:
    numbers = frame.select_dtypes("number").columns
    return [frame.assign(**{name: frame[name].map("{:.12e}".format) for name in numbers})]


def _merged_with_itself(frame: Frame) -> list[Frame]:
    return [pd.concat([*_with_ids(frame), *_renumbered_in_two(frame)])]


WAYS: list[Callable[[Frame], list[Frame]]] = [
    _shuffled, _with_ids, _renumbered_in_two, _respelled, _merged_with_itself,
]  # fmt: skip


def _two_runs(settings: Settings) -> None:
    for name, rows in (("a", 300), ("b", 600)):
        _land(settings, name, rows)
        plain_run()


@pytest.fixture
def judged(small: Settings, prepared_homes: PreparedHomes) -> Settings:  # noqa: F811
    """Two runs, the second of which was judged against the first."""
    prepared_homes.into(small.home, "same-content", partial(_two_runs, small))
    return small


def _deliver(settings: Settings, frames: list[Frame]) -> None:
    assert settings.sources.landing_dir is not None
    for number, frame in enumerate(frames):
        frame.to_csv(settings.sources.landing_dir / f"z{number}.csv", index=False)


def _content(settings: Settings) -> str:
    with open_store(settings) as store:
        with store.read() as connection:
            active = datasets.active(connection)
        assert active is not None
        return profiles.measured(store, active.id).content


@pytest.mark.parametrize("way", WAYS)
def test_rows_that_are_delivered_again_any_way_give_no_other_verdict(
    judged: Settings, way: Callable[[Frame], list[Frame]]
) -> None:
    before = _content(judged), _count(judged, searches), _count(judged, evaluations)
    _deliver(judged, way(landing_rows(ord("b"), 600)))
    result = plain_run()
    assert result.outcome == "nothing new", result.message
    after = _content(judged), _count(judged, searches), _count(judged, evaluations)
    assert after == before


def test_one_changed_value_is_other_content(judged: Settings) -> None:
    before = _content(judged)
    frame = landing_rows(ord("b"), 600)
    frame.loc[0, "median_house_value"] += 5_000
    _deliver(judged, [frame])
    assert plain_run().outcome != "nothing new"
    assert _content(judged) != before
