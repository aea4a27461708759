import subprocess
import sys
from dataclasses import replace

import pytest
from pydantic import ValidationError
from scipy.stats import randint
from sklearn.ensemble import RandomForestRegressor

from housing.features.preprocess import groups_of
from housing.training.candidates import FAMILIES, feature_groups, unfitted
from housing.training.search_config import SearchPlan, search_key


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("families", ()),
        ("families", ("forest", "jungle")),
        ("n_trials", 0),
        ("folds", 1),
        ("seed", -1),
        ("seed", 2**32),
        ("ensemble_size", 0),
        ("prune_margin", -0.1),
        ("seconds", 0),
        ("rows", 10),
        ("warm_starts", -1),
        ("exclude_features", ("jungle",)),
        ("n_jobs", 0),
        ("n_jobs", -2),
        ("iterations", 3),
    ],
)
def test_impossible_plans_are_refused_by_name(field, value):
    with pytest.raises(ValidationError, match=field):
        SearchPlan(**{field: value})


def test_an_unknown_family_is_answered_with_those_that_exist():
    with pytest.raises(ValidationError, match=f"jungle; there are {', '.join(FAMILIES)}"):
        SearchPlan(families=("jungle",))


def test_a_grid_search_needs_a_grid_and_an_open_end():
    with pytest.raises(ValidationError, match="lightgbm has no grid; families that have one: boo"):
        SearchPlan(families=("linear", "lightgbm"), strategy="grid")
    with pytest.raises(ValidationError, match="cannot end after SECONDS"):
        SearchPlan(families=("linear",), seconds=60, strategy="grid")
    random = SearchPlan(families=("linear",))
    assert search_key(random) != search_key(random.model_copy(update={"strategy": "grid"}))


def test_the_plan_is_frozen_and_survives_json():
    plan = SearchPlan(families=("tree", "linear"), n_trials=3)
    assert SearchPlan.model_validate_json(plan.model_dump_json()) == plan
    with pytest.raises(ValidationError):
        plan.n_trials = 4


def test_the_number_of_workers_follows_n_jobs():
    assert SearchPlan(n_jobs=3).workers == 3
    assert SearchPlan().workers >= 1


def test_the_key_is_the_same_in_another_process():
    script = (
        "from housing.training.candidates import FAMILIES;"
        "from housing.training.search_config import SearchPlan, search_key;"
        "print(search_key(SearchPlan(families=tuple(FAMILIES))))"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert other.stdout.strip() == search_key(SearchPlan(families=tuple(FAMILIES))), other.stderr


def test_the_key_knows_everything_that_changes_a_score_and_nothing_else():
    plan = SearchPlan(families=("forest", "boosting"))
    key = search_key(plan)
    assert search_key(plan.model_copy(update={"n_jobs": 1})) == key
    changes = [
        {"families": ("boosting", "forest")},
        {"n_trials": 11},
        {"folds": 4},
        {"shuffle": False},
        {"seed": 43},
        {"prune_margin": 0.5},
        {"seconds": 60.0},
        {"rows": 5000},
        {"ensemble_size": 7},
        {"ensemble": False},
        {"exclude_features": ("regression",)},
    ]
    others = {search_key(plan.model_copy(update=change)) for change in changes}
    assert len({key, *others}) == 1 + len(changes)


def _more_trees(seed):
    pipeline = FAMILIES["forest"].build(seed)
    return pipeline.set_params(model__n_estimators=101)


def _other_steps(seed):
    pipeline = FAMILIES["forest"].build(seed)
    pipeline.steps[0][1].transformers[0][1].steps.pop()
    return pipeline


def _other_function(seed):
    pipeline = FAMILIES["forest"].build(seed)
    derive = pipeline.steps[0][1].transformers[0][1].named_steps["derive"]
    derive.kw_args = {"columns": derive.kw_args["columns"][:-1]}
    return pipeline


@pytest.mark.parametrize("build", [_more_trees, _other_steps, _other_function])
def test_another_pipeline_is_another_search(build):
    plan = SearchPlan(families=("forest",))
    changed = {"forest": replace(FAMILIES["forest"], build=build)}
    assert search_key(plan, changed) != search_key(plan)


@pytest.mark.parametrize("space", [randint(2, 21), randint(3, 20), [2, 3], [3, 2]])
def test_another_space_is_another_search(space):
    plan = SearchPlan(families=("forest",))
    forest = FAMILIES["forest"]
    changed = replace(forest, space={**forest.space, "model__max_features": space})
    assert search_key(plan, {"forest": changed}) != search_key(plan)


def test_the_model_class_counts():
    class Jungle(RandomForestRegressor):
        pass

    def build(seed):
        return FAMILIES["forest"].build(seed).set_params(model=Jungle(random_state=seed))

    plan = SearchPlan(families=("forest",))
    changed = {"forest": replace(FAMILIES["forest"], build=build)}
    assert search_key(plan, changed) != search_key(plan)


def test_an_object_without_a_description_is_an_error():
    forest = replace(FAMILIES["forest"], space={"model__max_features": [object()]})
    with pytest.raises(TypeError, match="no description"):
        search_key(SearchPlan(families=("forest",)), {"forest": forest})


@pytest.mark.parametrize(
    ("families", "without", "message"),
    [
        (("forest",), ("labels",), "labels cannot be left out, as forest has no such features"),
        (
            ("linear", "tree"),
            ("ratios", "similar"),
            "similar cannot be left out, as linear, tree has",
        ),
    ],
)
def test_features_that_no_family_has_cannot_be_left_out(families, without, message):
    with pytest.raises(ValidationError, match=message):
        SearchPlan(families=families, exclude_features=without)


@pytest.mark.parametrize("family", [name for name, c in FAMILIES.items() if c.installed])
@pytest.mark.parametrize("group", feature_groups())
def test_each_family_is_refused_or_loses_the_features(family, group):
    """Never a third: a plan that is accepted and changes no pipeline."""
    try:
        plan = SearchPlan(families=(family,), exclude_features=(group,))
    except ValidationError:
        return
    assert search_key(plan) != search_key(SearchPlan(families=(family,)))
    assert group not in groups_of(unfitted(family, 0, without=plan.exclude_features)["preprocess"])


def test_a_group_of_one_family_can_be_excluded():
    plan = SearchPlan(families=("forest", "boosting"), exclude_features=("labels", "ratios"))
    for family, left in (
        ("forest", {"logs"}),
        ("boosting", set(feature_groups()) - {"labels", "ratios", "logs"}),
    ):
        found = groups_of(unfitted(family, 0, without=plan.exclude_features)["preprocess"])
        assert set(found) == left
