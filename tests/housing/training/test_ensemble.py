import numpy as np

from housing.schema import CATALOGUE, TARGET
from housing.training.ensemble import choose


def case(n=300, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(200_000, 1, size=n)
    tests = np.array_split(np.arange(n), 3)
    return y, tests, rng


def test_models_that_err_apart_are_put_together():
    y, tests, rng = case()
    error = rng.normal(size=len(y))
    predicted = {4: y + error, 7: y - error, 9: y + 3 * error}
    choice = choose(predicted, y, tests, 4)
    assert choice.models == {4: 2, 7: 2}
    np.testing.assert_allclose(choice.predicted, y)
    assert choice.cv_error < 1e-9


def test_as_in_service_the_mean_is_held_in_the_range_of_the_target_and_no_member_is():
    y, tests, rng = case()
    error = np.where(rng.random(len(y)) < 0.5, 250_000, -250_000)  # below the range, half of them
    choice = choose({0: y + error, 1: y - error}, y, tests, 2)
    assert choice.models == {0: 1, 1: 1}
    np.testing.assert_allclose(choice.predicted, y)
    alone = choose({0: y - 250_000}, y, tests, 1)
    np.testing.assert_array_equal(alone.predicted, CATALOGUE[TARGET].minimum)


def test_the_best_alone_where_nothing_helps():
    y, tests, rng = case()
    error = rng.normal(size=len(y))
    choice = choose({0: y + 3 * error, 1: y + error}, y, tests, 3)
    assert choice.models == {1: 3}
    folds = [np.sqrt(np.mean(error[rows] ** 2)) for rows in tests]
    np.testing.assert_allclose(choice.cv_error, np.mean(folds))


def test_equals_go_to_the_first_and_the_mean_is_of_all_models():
    y, tests, rng = case()
    same = y + rng.normal(size=len(y))
    choice = choose({5: same, 2: same}, y, tests, 2)
    assert choice.models == {2: 2}
    np.testing.assert_allclose(choice.predicted, same)


def test_nested_predictions_are_of_members_that_other_folds_chose():
    """One candidate is exact on the first fold alone: only that fold's own rows would choose it."""
    y, tests, rng = case()
    usual, exact = y + rng.normal(size=len(y)), y + 2 * rng.normal(size=len(y))
    exact[tests[0]] = y[tests[0]]
    choice = choose({0: usual, 1: exact}, y, tests, 1)
    np.testing.assert_allclose(choice.nested[tests[0]], usual[tests[0]])
    chosen_by_others = [
        choose({0: usual, 1: exact}, y, [t for t in tests if t is not test], 1).models
        for test in tests
    ]
    assert chosen_by_others[0] == {0: 1}
    for test, models in zip(tests, chosen_by_others, strict=True):
        expected = usual if 0 in models else exact
        np.testing.assert_allclose(choice.nested[test], expected[test])
