import json
import time
import warnings
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import make_scorer, mean_pinball_loss, root_mean_squared_error
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
)
from sklearn.pipeline import Pipeline

from housing import schema
from housing.errors import SearchFailed
from housing.features.preprocess import STEPS
from housing.problems.california.simulated.scenarios import simulate
from housing.records import Candidate, Score, Trial
from housing.training.candidates import FAMILIES, pipeline
from housing.training.sampling import expected_seconds, folds, sample_candidates
from housing.training.search import best, run_search
from housing.training.search_config import SearchPlan
from tests.housing.training import families
from tests.housing.training.families import (
    SMALL,
    build_failing,
    build_line,
    build_recording,
    build_slow,
    fit,
    numbers,
    only,
)


def plain(**changes):
    """A plan whose scores are RandomizedSearchCV's: every candidate on every fold."""
    return SearchPlan(**{"prune_margin": 0, "ensemble_size": 1, **changes})


def _step(value):
    return STEPS.get(value, value) if isinstance(value, str) else value


def rmse_in_range(y_true, y_pred):
    """The error of predictions as they are served: held in the target's declared range."""
    return root_mean_squared_error(y_true, schema.in_range(y_pred))


SCORING = make_scorer(rmse_in_range, greater_is_better=False)


def randomized_search(plan, families, cv):
    """RandomizedSearchCV over the union of the families' spaces: each family is a value of the
    one step of an outer pipeline."""
    spaces = [
        {
            "family": [families[name].build(plan.seed)],
            **{
                f"family__{key}": [_step(v) for v in values] if type(values) is list else values
                for key, values in families[name].space.items()
            },
        }
        for name in plan.families
    ]
    return RandomizedSearchCV(
        Pipeline([("family", "passthrough")]),
        spaces,
        n_iter=plan.n_trials,
        cv=cv,
        scoring=SCORING,
        random_state=plan.seed,
        n_jobs=plan.workers,
        error_score="raise",
    )


def assert_same_scores(trials, oracle, plan):
    results = oracle.cv_results_
    assert len(trials) == len(results["params"])
    for trial, parameters in zip(trials, results["params"], strict=True):
        drawn = {
            f"family__{key}": _step(value) for key, value in trial.candidate.parameters.items()
        }
        assert drawn == {k: v for k, v in parameters.items() if k != "family"}
    scores = [-results[f"split{fold}_test_score"] for fold in range(plan.folds)]
    ours = [trial.fold_errors for trial in trials]
    np.testing.assert_allclose(ours, np.transpose(scores), rtol=1e-9, atol=0)
    assert best(trials).candidate.index == oracle.best_index_


@pytest.mark.system
@pytest.mark.parametrize("shuffle", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_scores_are_those_of_randomized_search_cv(shuffle, census_path):
    X, y, _, _ = families.reference_split(census_path)
    X, y = X[:500], y[:500]
    names = tuple(name for name in SMALL if name != "catboost")  # 14 draws meet all the others
    plan = plain(families=names, n_trials=14, n_jobs=2, seed=8, shuffle=shuffle)
    trials = run_search(X, y, plan, families=SMALL).trials
    assert {trial.candidate.family for trial in trials} == set(names)
    cv = KFold(3, shuffle=True, random_state=plan.seed) if shuffle else 3
    assert_same_scores(trials, randomized_search(plan, SMALL, cv).fit(X, y), plan)


@pytest.mark.system
def test_scores_of_a_grid_are_those_of_grid_search_cv(census_path):
    X, y, _, _ = families.reference_split(census_path)
    X, y = X[:500], y[:500]
    plan = plain(families=("linear",), strategy="grid", n_jobs=2, shuffle=False)
    oracle = GridSearchCV(
        FAMILIES["linear"].build(plan.seed), FAMILIES["linear"].grid, cv=3,
        scoring=SCORING,
    ).fit(X, y)  # fmt: skip
    trials = run_search(X, y, plan).trials
    assert [dict(trial.candidate.parameters) for trial in trials] == oracle.cv_results_["params"]
    scores = [-oracle.cv_results_[f"split{fold}_test_score"] for fold in range(3)]
    np.testing.assert_allclose([t.fold_errors for t in trials], np.transpose(scores), rtol=1e-9)
    assert best(trials).candidate.index == oracle.best_index_


@pytest.mark.parametrize(
    ("metric", "scoring"),
    [
        ("mae", "neg_mean_absolute_error"),
        ("rmsle", "neg_root_mean_squared_log_error"),
        (
            "pinball:0.9",
            make_scorer(mean_pinball_loss, greater_is_better=False, alpha=0.9),
        ),
    ],
)
def test_a_search_chooses_by_its_metric_as_grid_search_cv_does(metric, scoring):
    frame = simulate(300, 0)
    X, y = frame[list(schema.FEATURES)], frame[schema.TARGET].to_numpy()
    plan = plain(families=("tree",), strategy="grid", n_jobs=1, shuffle=False, metric=metric)
    tree = FAMILIES["tree"]
    oracle = GridSearchCV(tree.build(plan.seed), tree.grid, cv=3, scoring=scoring).fit(X, y)
    found = run_search(X, y, plan)
    scores = [-oracle.cv_results_[f"split{fold}_test_score"] for fold in range(3)]
    ours = [t.fold_errors for t in found.trials]
    np.testing.assert_allclose(ours, np.transpose(scores), rtol=1e-9)
    means = -oracle.cv_results_["mean_test_score"]
    assert means[best(found.trials).candidate.index] == pytest.approx(means.min())
    assert found.choice.cv_error <= means.min() * (1 + 1e-9)


def test_a_grid_search_tries_every_combination_of_each_family_and_nothing_else():
    plan = plain(families=("tree", "forest"), strategy="grid", n_trials=1)
    before = sample_candidates(plain(families=("tree",), n_trials=2))
    tried = sample_candidates(plan, warm_starts=before)
    expected = [*ParameterGrid(FAMILIES["tree"].grid), *ParameterGrid(FAMILIES["forest"].grid)]
    assert [dict(candidate.parameters) for candidate in tried] == expected
    assert [candidate.index for candidate in tried] == list(range(len(expected)))


@pytest.mark.parametrize("name", [n for n, f in FAMILIES.items() if f.grid and f.installed])
def test_a_grid_fits_its_family_and_its_time_is_estimated(name):
    plan = plain(families=(name,), strategy="grid")
    tried = sample_candidates(plan)
    for candidate in tried:
        assert pipeline(candidate, 0)
    alone = expected_seconds(tried[:1], 10_000, plan)
    assert 0 < alone < expected_seconds(tried, 10_000, plan)
    assert alone < expected_seconds(tried[:1], 20_000, plan)


def test_pruning_hides_no_family_and_training_errors_are_measured_where_families_compete():
    X, y = numbers(120)
    worse = replace(only(build_line)["linear"], name="tree", space={"model__slope": [5.0, 6.0]})
    families_ = {**only(build_line), "tree": worse}
    plan = SearchPlan(families=("linear", "tree"), n_trials=12, n_jobs=1, prune_margin=0.001)
    trials = run_search(X, y, plan, families=families_).trials
    whole = {trial.candidate.family for trial in trials if trial.cv_error < float("inf")}
    assert whole == {"linear", "tree"}
    assert any(trial.stopped for trial in trials)
    assert all(len(t.fold_train_errors) == len(t.fold_errors) for t in trials)
    alone = SearchPlan(families=("linear",), n_trials=2, n_jobs=1)
    assert all(not t.fold_train_errors for t in run_search(X, y, alone, families=families_).trials)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_full_reference_search_is_that_of_randomized_search_cv(census_path):
    X, y, X_test, y_test = families.reference_split(census_path)
    plan = plain(families=("forest",), n_trials=10, shuffle=False, n_jobs=2)
    begun = time.perf_counter()
    trials = run_search(X, y, plan).trials
    ours = time.perf_counter() - begun
    oracle = randomized_search(plan, FAMILIES, cv=3).set_params(refit=False)
    oracle.fit(X, y)
    theirs = time.perf_counter() - begun - ours
    print(f"run_search {ours:.1f} s, RandomizedSearchCV without refit {theirs:.1f} s")
    assert_same_scores(trials, oracle, plan)
    model = fit(X, y, best(trials).candidate, seed=plan.seed, workers=plan.workers)
    # what the recipe reaches when it is written out: benchmarks/reference
    assert root_mean_squared_error(y_test, model.predict(X_test)) == pytest.approx(39_565, rel=0.03)


@given(
    st.lists(st.sampled_from(list(FAMILIES)), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
    st.integers(1, 15),
)
@settings(max_examples=50)
def test_draws_are_those_of_parameter_sampler(names, seed, n_trials):
    plan = plain(families=tuple(names), seed=seed, n_trials=n_trials)
    spaces = [FAMILIES[name].space for name in names]
    oracle = list(ParameterSampler(spaces, n_trials, random_state=seed))
    drawn = sample_candidates(plan)
    assert [dict(candidate.parameters) for candidate in drawn[:n_trials]] == oracle
    assert [candidate.index for candidate in drawn] == list(range(len(drawn)))
    assert {candidate.family for candidate in drawn} == set(names)
    assert len({c.family for c in drawn[:n_trials]}) + len(drawn) - n_trials == len(set(names))
    for candidate in drawn:
        assert set(candidate.parameters) == set(FAMILIES[candidate.family].space)
        restored = Candidate(**json.loads(json.dumps(asdict(candidate))))
        assert restored == candidate
        assert all(type(v) in (int, float, str, bool) for v in candidate.parameters.values())


def test_a_space_of_lists_gives_no_point_twice_and_no_warning():
    plan = plain(families=("linear",), n_trials=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = sample_candidates(plan, only(build_line, {"model__slope": [1, 2, 3]}))
    assert sorted(candidate.parameters["model__slope"] for candidate in drawn) == [1, 2, 3]


def test_families_take_turns_under_a_time_limit():
    names = ("boosting", "extra-trees", "boosting")
    drawn = sample_candidates(SearchPlan(families=names, n_trials=7, seconds=60))
    assert [candidate.family for candidate in drawn] == [names[at % 3] for at in range(7)]
    assert [candidate.index for candidate in drawn] == list(range(7))
    assert len({json.dumps(candidate.parameters) for candidate in drawn}) == 7, (
        "twice is not the same twice"
    )
    alone = SearchPlan(families=("boosting",), n_trials=5)
    assert sample_candidates(alone.model_copy(update={"seconds": 60.0})) == sample_candidates(alone)


def test_families_that_have_run_out_of_points_miss_their_turn():
    few, more = ({"model__slope": values} for values in ([1, 2], [1, 2, 3, 4]))
    spaces = only(build_line, few) | {"tree": only(build_line, more)["linear"]}
    found = sample_candidates(
        SearchPlan(families=("linear", "tree"), n_trials=5, seconds=60), spaces
    )
    assert [candidate.family for candidate in found] == ["linear", "tree", "linear", "tree", "tree"]


def test_folds_are_those_of_scikit_learn():
    for shuffle, oracle in ((False, KFold(4)), (True, KFold(4, shuffle=True, random_state=9))):
        ours = folds(10, SearchPlan(folds=4, seed=9, shuffle=shuffle))
        for (train, test), (train_, test_) in zip(ours, oracle.split(np.empty(10)), strict=True):
            np.testing.assert_array_equal(train, train_)
            np.testing.assert_array_equal(test, test_)


def test_steps_are_fitted_on_the_training_rows_of_a_fold_and_on_no_other():
    X, y = numbers(30)
    X.index += 1000
    y = y + 5
    plan = plain(families=("linear",), n_trials=1, n_jobs=1)
    families.SEEN.clear()
    run_search(X, y, plan, families=only(build_recording, {"preprocess": [families.Recorder()]}))
    seen = [(rows, labels) for method, rows, labels in families.SEEN if method == "fit"]
    assert len(seen) == plan.folds
    for (train, _), (rows, labels) in zip(folds(30, plan), seen, strict=True):
        assert rows == list(X.index[train])
        assert labels == list(y.iloc[train])


def test_one_worker_and_two_give_the_same_bits(census_path):
    X, y, _, _ = families.reference_split(census_path)
    plan = plain(families=("boosting", "linear", "forest"), n_trials=4, folds=2, ensemble_size=3)
    one, two = (
        run_search(X[:1000], y[:1000], plan.model_copy(update={"n_jobs": n}), families=SMALL)
        for n in (1, 2)
    )
    assert [trial.fold_errors for trial in one.trials] == [
        trial.fold_errors for trial in two.trials
    ]
    assert [trial.candidate for trial in one.trials] == [trial.candidate for trial in two.trials]
    np.testing.assert_array_equal(one.choice.predicted, two.choice.predicted)


@pytest.mark.parametrize("race", [0, 0.1])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_completed_work_is_not_repeated(n_jobs, race):
    X, y = numbers(60)
    plan = plain(
        families=("linear",), n_trials=6, n_jobs=n_jobs, prune_margin=race, ensemble_size=3
    )
    line = only(build_line)
    scores: list[Score] = []
    whole = run_search(X, y, plan, on_score=scores.append, families=line)
    for kept in (0, 1, 7, len(scores)):
        new: list[Score] = []
        trials: list[Trial] = []
        resumed = run_search(
            X, y, plan,
            done=scores[:kept], on_score=new.append, on_trial=trials.append, families=line,
        )  # fmt: skip
        done = {(s.candidate, s.fold) for s in scores[:kept]}
        assert len(new) == len(scores) - kept
        assert not done & {(s.candidate, s.fold) for s in new}
        assert [t.fold_errors for t in resumed.trials] == [t.fold_errors for t in whole.trials]
        assert sorted(t.candidate.index for t in trials) == list(range(6))
        assert resumed.choice.models == whole.choice.models
        np.testing.assert_array_equal(resumed.choice.predicted, whole.choice.predicted)


def test_recorded_scores_are_believed_unless_the_best_cannot_be_made_again():
    X, y = numbers(60)
    plan = plain(families=("linear",), n_trials=3, n_jobs=1)
    planted = [Score(2, fold, 1e-6, 0.0) for fold in range(3)]
    with pytest.raises(SearchFailed, match="the data or the libraries have changed"):
        run_search(X, y, plan, done=planted, families=only(build_line))


def test_scores_of_another_search_are_refused():
    X, y = numbers(30)
    plan = plain(families=("linear",), n_trials=2, n_jobs=1)
    with pytest.raises(ValueError, match="no candidate 2 in this search"):
        run_search(X, y, plan, done=[Score(2, 0, 1.0, 0)], families=only(build_line))


@pytest.mark.system
def test_a_race_finds_the_same_best_and_spares_the_others_folds(census_path):
    X, y, _, _ = families.reference_split(census_path)
    X, y = X[:1500], y[:1500]
    plan = plain(families=("tree", "linear"), n_trials=12, n_jobs=2)
    whole = run_search(X, y, plan, families=SMALL).trials
    raced = run_search(X, y, plan.model_copy(update={"prune_margin": 0.05}), families=SMALL).trials
    assert best(raced).candidate == best(whole).candidate
    stopped = [t for t in raced if t.stopped]
    assert stopped
    for trial, full in zip(raced, whole, strict=True):
        assert trial.fold_errors == full.fold_errors[: len(trial.fold_errors)]
        assert trial.stopped == (len(trial.fold_errors) < plan.folds)
        assert (trial.cv_error == float("inf")) == trial.stopped


def test_candidates_of_other_runs_are_tried_after_the_fresh_ones():
    X, y = numbers(60)
    plan = plain(families=("linear",), n_trials=3, n_jobs=1)
    line = only(build_line)
    fresh = run_search(X, y, plan, families=line).trials
    right = Candidate(77, "linear", {"model__slope": 0.3})
    found = run_search(X, y, plan, warm_starts=[right], families=line)
    assert found.trials[:3] == tuple(
        replace(t, seconds=f.seconds) for t, f in zip(fresh, found.trials, strict=False)
    )
    assert best(found.trials).candidate == Candidate(3, "linear", {"model__slope": 0.3})


def test_wall_time_as_the_budget(monkeypatch):
    monkeypatch.setenv("LINE_SECONDS", "0.1")
    X, y = numbers(60)
    slow = only(build_slow)
    plan = plain(families=("linear",), n_trials=2, n_jobs=1, seconds=0.8, folds=2)
    scores: list[Score] = []
    trials = run_search(X, y, plan, on_score=scores.append, families=slow).trials
    last_batch = plan.n_trials * plan.folds
    assert sum(score.seconds for score in scores[:-last_batch]) < plan.seconds
    assert len(trials) >= 2
    assert len(trials) % 2 == 0
    everything = sample_candidates(plan.model_copy(update={"n_trials": len(trials)}), slow)
    assert tuple(t.candidate for t in trials) == everything
    # what an earlier call has spent counts
    spent = plan.model_copy(update={"seconds": sum(score.seconds for score in scores)})
    assert run_search(X, y, spent, done=scores, families=slow).trials == trials


def test_no_more_rows_are_scored_than_wanted():
    X, y = numbers(3000)
    plan = plain(families=("linear",), n_trials=2, n_jobs=1, rows=1000)
    found = run_search(X, y, plan, families=only(build_line))
    assert len(found.rows) == len(found.choice.predicted) == 1000
    assert len(set(found.rows)) == 1000
    picked = run_search(X.iloc[found.rows], y.iloc[found.rows], plan, families=only(build_line))
    assert [t.fold_errors for t in picked.trials] == [t.fold_errors for t in found.trials]


def test_out_of_fold_predictions_are_of_models_that_never_saw_the_row(census_path):
    X, y, _, _ = families.reference_split(census_path)
    X, y = X[:900], y[:900].to_numpy()
    plan = plain(families=("tree", "linear"), n_trials=4, n_jobs=1, ensemble_size=4)
    found = run_search(X, y, plan, families=SMALL)
    by_index = {t.candidate.index: t.candidate for t in found.trials}
    expected = np.zeros(900)
    for train, test in folds(900, plan):
        for index, count in found.choice.models.items():
            model = pipeline(by_index[index], plan.seed, SMALL).fit(X.iloc[train], y[train])
            expected[test] += model.predict(X.iloc[test]) * count / 4
    np.testing.assert_allclose(found.choice.predicted, schema.in_range(expected), rtol=1e-9)
    assert sum(found.choice.models.values()) == 4


def test_labels_without_any_meaning_cannot_be_predicted(census_path):
    """Features that let a row's own label through would do well on the folds they were made for."""
    X, _, _, _ = families.reference_split(census_path)
    y = np.random.default_rng(0).normal(2e5, 1e5, 1500)
    plan = plain(families=("boosting",), n_trials=1, n_jobs=1)
    (trial,) = run_search(X[:1500], y, plan, families=SMALL).trials
    assert trial.cv_error > 0.97 * y.std()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_failing_draw_is_a_trial_with_an_error_and_the_others_go_on(n_jobs):
    X, y = numbers(60)
    plan = plain(families=("linear",), n_trials=8, n_jobs=n_jobs)
    seen: list[Trial] = []
    trials = run_search(X, y, plan, on_trial=seen.append, families=only(build_failing)).trials
    assert len(seen) == 8
    for trial in trials:
        slope = trial.candidate.parameters["model__slope"]
        if slope > 0.5:
            assert trial.error == f"ArithmeticError: slope {slope} is too steep"
            assert trial.fold_errors == ()
        else:
            assert not trial.error
            assert len(trial.fold_errors) == 3
    assert {bool(trial.error) for trial in trials} == {True, False}
    assert not best(trials).error


def test_a_parameter_that_a_family_does_not_have_is_a_failed_draw():
    X, y = numbers(30)
    plan = plain(families=("linear",), n_trials=2, n_jobs=1)
    space = {"model__slope": [0.3], "model__nonsense": [1, 2]}
    with pytest.raises(SearchFailed, match=r"All 2 trials.*Invalid parameter 'nonsense'"):
        run_search(X, y, plan, families=only(build_line, space))


def test_a_search_in_which_every_candidate_fails_raises_after_recording_its_trials():
    X, y = numbers(30)
    plan = plain(families=("linear",), n_trials=2, n_jobs=1)
    seen: list[Trial] = []
    steep = only(build_failing, {"model__slope": [0.8, 0.9]})
    with pytest.raises(SearchFailed, match=r"All 2 trials of the search failed; .* too steep"):
        run_search(X, y, plan, on_trial=seen.append, families=steep)
    assert len(seen) == 2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_of_the_caller_ends_the_search(n_jobs):
    class FullError(Exception):
        pass

    def refuse(_trial):
        raise FullError

    X, y = numbers(60)
    plan = plain(families=("linear",), n_trials=6, n_jobs=n_jobs)
    with pytest.raises(FullError):
        run_search(X, y, plan, on_trial=refuse, families=only(build_line))
    assert len(run_search(X, y, plan, families=only(build_line)).trials) == 6


def test_the_best_is_the_lowest_mean_and_of_equals_the_first():
    def trial(index, *rmse, error=""):
        return Trial(Candidate(index, "tree", {}), rmse, 1.0, error)

    trials = [trial(0, error="no"), trial(3, 1.0, 3.0), trial(2, 2.0, 2.0), trial(1, 1.0, 9.0)]
    assert best(trials).candidate.index == 2
