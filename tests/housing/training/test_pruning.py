import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from housing.training.pruning import prune


def raced(errors, margin):
    """Draws that come to the end of a race over `errors`, shape (draws, folds)."""
    alive = tuple(range(len(errors)))
    for fold in range(1, errors.shape[1]):
        alive = prune({d: sum(errors[d, :fold]) for d in alive}, margin)
    return alive


def variation(errors):
    """The most by which a pair's ratio differs between two folds."""
    ratios = errors[:, None, :] / errors[None, :, :]
    return float((ratios.max(axis=2) - ratios.min(axis=2)).max())


tables = st.builds(
    lambda seed, draws, folds, noise: np.random.default_rng(seed).uniform(0.5, 2, (draws, 1))
    * np.random.default_rng(seed + 1).uniform(0.5, 2, folds)
    * np.random.default_rng(seed + 2).uniform(1 - noise, 1 + noise, (draws, folds)),
    st.integers(0, 10**6), st.integers(2, 9), st.integers(2, 6), st.floats(0, 0.3),
)  # fmt: skip


@given(tables)
@settings(max_examples=300)
def test_the_best_is_never_stopped_within_the_guarantee(errors):
    margin = variation(errors) * (1 + 1e-9) + 1e-9
    assert int(np.argmin(errors.sum(axis=1))) in raced(errors, margin)


@given(tables, st.floats(0, 0.2))
@settings(max_examples=300)
def test_beyond_the_guarantee_the_loss_is_bounded_by_the_spread_of_the_ratios(errors, margin):
    """Each round may lose x, as each compares with what the round before left."""
    sums = errors.sum(axis=1)
    beyond = max(0.0, variation(errors) - margin)
    left = min(sums[d] for d in raced(errors, margin))
    assert left <= sums.min() / (1 - min(beyond, 0.999)) ** (errors.shape[1] - 1) * (1 + 1e-9)


def test_the_best_can_be_stopped_where_folds_contradict_each_other():
    errors = np.array([[1.0, 1.0, 1.0], [1.2, 0.5, 0.5]])
    assert raced(errors, 0.1) == (0,)
    assert raced(errors, 0.2) == (0, 1)


def test_failed_candidates_are_pruned_unless_all_failed():
    inf = float("inf")
    assert prune({0: 1.0, 1: inf, 2: 1.001}, 0.01) == (0, 2)
    assert prune({0: inf, 1: inf}, 0.01) == (0, 1)


def test_equals_all_go_on():
    assert prune({3: 2.0, 1: 2.0}, 0) == (1, 3)
