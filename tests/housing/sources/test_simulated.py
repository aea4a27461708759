import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor

from housing.errors import SourceUnavailable
from housing.keys import row_keys
from housing.problems.california.simulated import world
from housing.problems.california.simulated.districts import (
    AGE_CAP,
    DistrictLocations,
    _made_distinct,
    true_price,
)
from housing.problems.california.simulated.scenarios import (
    SCENARIOS,
    DriftScenario,
    Pollution,
    PriceNoise,
    simulate,
)
from housing.quality.rows import validate
from housing.quality.table import table_of, whole
from housing.schema import CATALOGUE, FEATURES, LABEL_CAP, NUMBERS, TARGET
from housing.sources import SOURCES

QUIET = PriceNoise(single=0, shared=0)


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    return simulate(20_640, seed=42)


@pytest.fixture(scope="module")
def census(census_path) -> pd.DataFrame:
    return pd.read_csv(census_path)


def checked(frame: pd.DataFrame):
    return validate(table_of(frame), "simulated")


def test_every_row_is_a_district_and_no_key_occurs_twice(many):
    assert (len(checked(many).accepted), checked(many).rejections) == (20_640, ())


def test_equal_arguments_give_equal_tables(many):
    pd.testing.assert_frame_equal(simulate(20_640, seed=42), many)
    assert not simulate(100, seed=1).equals(simulate(100, seed=2))
    assert not simulate(100, seed=1).equals(simulate(100, seed=1, day=1))


def test_keys_of_many_days_do_not_collide(many):
    days = pd.concat([many, *(simulate(300, seed=42, day=day) for day in range(1, 61))])
    assert len(np.unique(row_keys(days))) == len(days)


def test_districts_that_would_be_one_get_another_room():
    place = DistrictLocations(np.zeros(5), np.zeros(5), np.array([""] * 5, dtype=object))
    rooms = _made_distinct(place, np.zeros(5), np.array([7.0, 7.0, 8.0, 7.0, 3.0]))
    assert len(set(rooms)) == 5
    assert (rooms[0], rooms[4]) == (7.0, 3.0)


def test_quantiles_are_near_those_of_the_census(many, census):
    for name in (name for name in NUMBERS if name not in ("longitude", "latitude")):
        for share, factor in ((0.25, 1.2), (0.5, 1.1), (0.75, 1.2), (0.95, 1.3)):
            ratio = many[name].quantile(share) / census[name].quantile(share)
            assert 1 / factor < ratio < factor, (name, share, ratio)
    for name in ("longitude", "latitude"):
        for share in (0.05, 0.25, 0.5, 0.75, 0.95):
            assert abs(many[name].quantile(share) - census[name].quantile(share)) < 0.5


def test_correlations_are_near_those_of_the_census(many, census):
    difference = many.corr(numeric_only=True) - census.corr(numeric_only=True)
    assert difference.abs().max(axis=None) < 0.2


def test_shares_of_categories_missing_values_and_caps(many, census):
    for name, share in census["ocean_proximity"].value_counts(normalize=True).items():
        assert abs((many["ocean_proximity"] == name).mean() - share) < 0.06
        assert (many["ocean_proximity"] == name).any()
    assert 0.005 < many["total_bedrooms"].isna().mean() < 0.02
    assert 0.01 < (many[TARGET] == LABEL_CAP).mean() < 0.08
    assert 0.02 < (many["housing_median_age"] == AGE_CAP).mean() < 0.1
    assert many[TARGET].max() == LABEL_CAP


def test_districts_lie_in_california_and_share_coordinates(many):
    mainland = many[many["ocean_proximity"] != "ISLAND"]
    inland = mainland[["longitude", "latitude"]].to_numpy().T
    # Rounding to the grid can push a district on the shore a few hundred metres into the sea.
    assert world.on_land(*inland).mean() > 0.98
    assert 0.5 < len(many[["longitude", "latitude"]].drop_duplicates()) / len(many) < 0.75
    cells = many.groupby([many["longitude"].round(1), many["latitude"].round(1)]).size()
    assert cells.nlargest(60).sum() > 0.3 * len(many)  # cities


def test_noise_is_around_the_true_price():
    quiet = simulate(3_000, seed=3, noise=QUIET)
    price = true_price(quiet)
    free = price < LABEL_CAP
    assert np.abs(quiet[TARGET][free] - price[free]).max() <= 50  # rounded to 100 dollars
    loud = simulate(3_000, seed=3, noise=PriceNoise(single=0.2, shared=0))
    spread = np.log(loud[TARGET][free] / price[free])[loud[TARGET][free] < LABEL_CAP]
    assert 0.17 < spread.std() < 0.22


def test_shared_noise_is_shared_by_neighbours_and_by_days():
    frame = pd.concat(
        [simulate(4_000, 3, day=n, noise=PriceNoise(single=0, shared=0.2)) for n in (0, 1)],
        keys=[0, 1],
    )
    residual = np.log(frame[TARGET] / true_price(frame))[frame[TARGET] < LABEL_CAP]
    place = [np.floor(frame[name] / 0.1) for name in ("longitude", "latitude")]
    within = residual.groupby([p[residual.index] for p in place]).std().dropna()
    assert residual.std() > 0.15
    assert within.quantile(0.9) < 0.01


def test_a_forest_learns_about_as_much_as_on_the_census(many):
    table = many.sample(6_000, random_state=0)
    X = pd.get_dummies(table[list(FEATURES)]).fillna(0).astype(float)
    y = table[TARGET]
    forest = RandomForestRegressor(20, min_samples_leaf=2, random_state=0, n_jobs=2)
    score = forest.fit(X[:4_500], y[:4_500]).score(X[4_500:], y[4_500:])
    assert 0.68 < score < 0.88


def test_slow_and_sudden_drift():
    base = simulate(2_000, 5, day=10, noise=QUIET)[TARGET]
    slow = simulate(2_000, 5, day=10, noise=QUIET, drift=DriftScenario(price_per_day=0.01))[TARGET]
    free = slow < LABEL_CAP
    assert (slow / base)[free].median() == pytest.approx(1.01**10, rel=0.002)
    jump = DriftScenario(jump_day=10, jump=0.8)
    assert simulate(2_000, 5, day=9, drift=jump).equals(simulate(2_000, 5, day=9))
    fallen = simulate(2_000, 5, day=10, noise=QUIET, drift=jump)[TARGET]
    assert (fallen / base)[base < LABEL_CAP].median() == pytest.approx(0.8, rel=0.002)


def test_bad_rows_are_the_ones_that_are_rejected():
    frame = simulate(2_000, 5, day=1, pollution=Pollution(days=(1,), bad_share=0.1))
    result = checked(frame)
    clean = simulate(2_000, 5, day=1)
    as_text = [table.astype(str).fillna("") for table in (frame, clean)]
    broken = (as_text[0] != as_text[1]).any(axis=1)
    assert result.rejected["line"].tolist() == (np.flatnonzero(broken) + 1).tolist()
    assert 150 < len(result.rejected) < 250
    assert {"missing", "range"} <= {rejection.code for rejection in result.rejections}


def test_another_unit_and_shuffled_prices():
    clean = simulate(2_000, 5, day=5)
    slip = simulate(2_000, 5, day=5, pollution=SCENARIOS["another unit"].pollution)
    assert (slip["median_income"] / clean["median_income"]).median() == pytest.approx(10_000)
    box = SCENARIOS["shuffled prices"].pollution
    shuffled = simulate(2_000, 5, day=5, pollution=box)
    west, south, east, north = box.shuffled
    inside = clean["longitude"].between(west, east) & clean["latitude"].between(south, north)
    moved = shuffled[TARGET] != clean[TARGET]
    assert moved[inside].mean() > 0.8
    assert not moved[~inside].any()
    assert sorted(shuffled[TARGET]) == sorted(clean[TARGET])


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_runs(name):
    story = SCENARIOS[name]
    knobs = {"noise": story.noise, "drift": story.drift, "pollution": story.pollution}
    assert list(simulate(100, 1, day=5, **knobs)) == list(CATALOGUE)


def test_the_source_delivers_a_first_table_and_then_a_batch_each_time(options, seen):
    source = SOURCES["simulated"](options(simulated={"day_rows": 30}))
    found = []
    for _ in range(3):
        (delivery,) = source.deliveries(seen)
        seen.store(delivery)
        found.append(delivery)
    assert [whole(d.read()).read for d in found] == [200, 30, 30]
    assert [d.watermark for d in found] == ["0", "1", "2"]
    assert all(d.simulated for d in found)
    assert len({d.digest for d in found}) == 3


def test_the_same_day_is_delivered_again_until_it_is_stored(options, seen):
    source = SOURCES["simulated"](options())
    (first,), (again,) = source.deliveries(seen), source.deliveries(seen)
    assert first.digest == again.digest


def test_only_new_rows_are_delivered_beside_an_existing_table(options, seen):
    seen.reference = True
    (delivery,) = SOURCES["simulated"](options(simulated={"day_rows": 30})).deliveries(seen)
    assert (delivery.watermark, whole(delivery.read()).read) == ("1", 30)


def test_an_unknown_scenario_names_the_known_ones(options, seen):
    with pytest.raises(SourceUnavailable, match="calm, slow drift"):
        list(SOURCES["simulated"](options(simulated={"scenario": "war"})).deliveries(seen))
