import numpy as np

from housing.training.ensemble import choose


def case(n=300, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    tests = np.array_split(np.arange(n), 3)
    return y, tests, rng


def test_models_that_err_apart_are_put_together():
    y, tests, rng = case()
    error = rng.normal(size=len(y))
    predicted = {4: y + error, 7: y - error, 9: y + 3 * error}
    choice = choose(predicted, y, tests, 4)
    assert choice.models == {4: 2, 7: 2}
    np.testing.assert_allclose(choice.predicted, y)
    assert choice.cv_error < 1e-12


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
