import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder

from housing import schema
from housing.features.preprocess import group_of, groups_of, leave_out
from housing.problems.california.models import reference, spatial
from housing.training.candidates import feature_groups

FEATURE_GROUPS = feature_groups()


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    """Rows of plausible districts with a gap in every tenth."""
    rng = np.random.default_rng(seed)
    households = rng.integers(50, 2000, rows).astype(float)
    frame = pd.DataFrame(
        {
            "longitude": rng.uniform(-124, -115, rows),
            "latitude": rng.uniform(33, 41, rows),
            "housing_median_age": rng.integers(1, 53, rows),
            "total_rooms": households * rng.uniform(3, 8, rows),
            "total_bedrooms": households * rng.uniform(1, 2, rows),
            "population": households * rng.uniform(1, 5, rows),
            "households": households,
            "median_income": rng.uniform(0.5, 15, rows),
            "ocean_proximity": rng.choice(["INLAND", "NEAR BAY"], rows),
        }
    )
    frame.loc[::10, "total_bedrooms"] = np.nan
    return frame.astype(schema.dtypes(schema.FEATURES))[list(schema.FEATURES)]


PRICES = np.random.default_rng(5).uniform(50_000, 500_000, 200)


@pytest.fixture
def districts() -> pd.DataFrame:
    return table(200)


@pytest.mark.parametrize("build", [reference, spatial])
def test_output_is_named_and_float64_and_a_row_alone_is_the_row_in_a_batch(build, districts):
    fitted = build(1).fit(districts, PRICES)
    together = fitted.transform(districts)
    names = list(fitted.get_feature_names_out())
    assert together.dtype == np.float64
    assert together.shape == (200, len(names))
    assert len(set(names)) == len(names)
    for i in (0, 1, 199):
        alone = fitted.transform(districts.iloc[[i]])[0]
        np.testing.assert_allclose(alone, together[i], rtol=1e-9, atol=1e-9)


def test_recipe_has_the_columns_of_the_reference_scaled_and_without_gaps(districts):
    fitted = reference(1).set_params(geo__n_clusters=4).fit(districts)
    values = fitted.transform(districts)
    steps = [name.split("__")[0] for name in fitted.get_feature_names_out()]
    assert steps == ["ratios"] * 3 + ["logs"] * 5 + ["geo"] * 4 + ["category"] * 5 + ["number"]
    assert np.isfinite(values).all()
    scaled = values[:, [s in ("ratios", "logs", "number") for s in steps]]
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-12)


def test_missing_values_are_filled_with_the_median_before_features_are_derived(districts):
    filled = districts.copy()
    filled["total_bedrooms"] = filled["total_bedrooms"].fillna(filled["total_bedrooms"].median())
    fitted = reference(1).fit(districts)
    np.testing.assert_array_equal(fitted.transform(districts), fitted.transform(filled))


def test_the_spatial_preprocessor_keeps_numbers_and_missing_values(districts):
    fitted = spatial(1).fit(districts, PRICES)
    values = pd.DataFrame(fitted.transform(districts), columns=fitted.get_feature_names_out())
    for name in schema.FEATURES:
        if name in schema.NUMBERS:
            single = districts[name].astype(np.float32).astype(float)
            np.testing.assert_array_equal(values[f"number__{name}"], single)
    assert values["ratios__bedrooms_per_room"].isna().sum() == 20


def test_last_bits_of_the_inputs_change_no_feature_of_trees(districts):
    fitted = spatial(1).fit(districts, PRICES)
    changed = districts.copy()
    for name in schema.FEATURES:
        if name in schema.NUMBERS:
            changed[name] = np.degrees(np.radians(districts[name]))
    assert (changed["longitude"] != districts["longitude"]).any()
    np.testing.assert_array_equal(fitted.transform(changed), fitted.transform(districts))


@pytest.mark.parametrize("build", [reference, spatial])
def test_every_catalogue_category_has_a_column_and_an_unknown_one_is_all_zeros(build, districts):
    fitted = build(1).fit(districts, PRICES)
    names = [n for n in fitted.get_feature_names_out() if n.startswith("category__")]
    categories = schema.CATALOGUE["ocean_proximity"].categories
    assert names == [f"category__ocean_proximity_{c}" for c in categories]

    stranger = districts.iloc[[0]].astype({"ocean_proximity": object})
    stranger["ocean_proximity"] = "NEAR LAKE"
    values = pd.Series(fitted.transform(stranger)[0], fitted.get_feature_names_out())
    assert (values[names] == 0).all()


@pytest.mark.parametrize("build", [reference, spatial])
def test_column_order_of_the_frame_does_not_matter(build, districts):
    fitted = build(1).fit(districts, PRICES)
    turned = districts[list(reversed(schema.FEATURES))]
    np.testing.assert_array_equal(fitted.transform(districts), fitted.transform(turned))


def test_the_seed_decides_the_clusters(districts):
    same = reference(1).fit_transform(districts)
    np.testing.assert_array_equal(reference(1).fit_transform(districts), same)
    assert not np.array_equal(reference(2).fit_transform(districts), same)


def test_a_column_that_is_all_gaps_keeps_the_shape(districts):
    districts["total_bedrooms"] = np.nan
    assert reference(1).fit_transform(districts).shape == (200, 24)


def test_no_row_is_trained_with_its_own_price(districts):
    before = spatial(1).fit_transform(districts, PRICES)
    for i in (0, 10, 77):  # 0 and 10 have a gap, which is filled before neighbours are looked for
        other = np.where(np.arange(200) == i, 10 * PRICES, PRICES)
        np.testing.assert_array_equal(spatial(1).fit_transform(districts, other)[i], before[i])


@pytest.mark.parametrize("group", groups_of(spatial(1)))
def test_a_group_can_be_left_out_and_only_its_features_go(group, districts):
    whole, part = spatial(1), spatial(1)
    leave_out(part, [group])
    names = list(whole.fit(districts, PRICES).get_feature_names_out())
    left = list(part.fit(districts, PRICES).get_feature_names_out())
    assert set(left) < set(names)
    assert {group_of(name) for name in set(names) - set(left)} == {group}
    assert group not in {group_of(name) for name in left}
    kept = [names.index(name) for name in left]
    np.testing.assert_array_equal(part.transform(districts), whole.transform(districts)[:, kept])


def test_all_groups_can_be_left_out(districts):
    bare = spatial(1)
    leave_out(bare, FEATURE_GROUPS)
    names = bare.fit(districts, PRICES).get_feature_names_out()
    assert {group_of(name) for name in names} == {""}
    assert bare.transform(districts).shape == (200, len(names)) == (200, 13)


@pytest.mark.parametrize("group", FEATURE_GROUPS)
@pytest.mark.parametrize("build", [reference, spatial])
def test_leaving_out_a_group_that_a_step_lacks_changes_nothing(build, group, districts):
    whole, part = build(1), build(1)
    leave_out(part, [group])
    names, left = (
        set(step.fit(districts, PRICES).get_feature_names_out()) for step in (whole, part)
    )
    gone = {name for name in names if group_of(name) == group}
    assert names - left == gone
    assert bool(gone) == (group in groups_of(build(1)))
    assert set(groups_of(part)) == set(groups_of(build(1))) - {group}


def test_other_steps_have_no_groups():
    assert groups_of("passthrough") == groups_of(OneHotEncoder()) == ()
    leave_out("passthrough", ["labels"])
