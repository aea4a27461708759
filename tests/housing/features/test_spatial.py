import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.utils.estimator_checks import parametrize_with_checks

from housing.features.spatial import ClusterSimilarity

# The checks feed as few as one distinct point to ten centres; scikit-learn's own KMeans warns too.
few_points = pytest.mark.filterwarnings(
    "ignore:Number of distinct clusters:sklearn.exceptions.ConvergenceWarning"
)


@few_points
@parametrize_with_checks(
    [ClusterSimilarity(random_state=0), ClusterSimilarity(label_weights=True, random_state=0)]
)
def test_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture
def places():
    return np.random.default_rng(0).uniform((-124, 32), (-114, 42), size=(300, 2))


def test_similarity_is_the_rbf_kernel_to_the_centres_of_kmeans(places):
    similarity = ClusterSimilarity(7, gamma=0.3, random_state=5)
    expected = KMeans(7, n_init=10, random_state=5).fit(places).cluster_centers_
    np.testing.assert_allclose(
        similarity.fit_transform(places), rbf_kernel(places, expected, gamma=0.3), rtol=1e-9
    )
    assert list(similarity.get_feature_names_out()) == [f"cluster_{i}" for i in range(7)]


def test_labels_pull_the_centres(places):
    labels = np.where(places[:, 1] > 37, 500_000.0, 20_000.0)
    plain = ClusterSimilarity(10, random_state=0).fit(places, labels)
    pulled = ClusterSimilarity(10, label_weights=True, random_state=0).fit(places, labels)
    expected = KMeans(10, n_init=10, random_state=0).fit(places, sample_weight=labels)
    np.testing.assert_array_equal(pulled.centers_, expected.cluster_centers_)
    assert (pulled.centers_[:, 1] > 37).sum() > (plain.centers_[:, 1] > 37).sum()


def test_labels_are_required_and_must_not_be_negative_only_where_they_weigh(places):
    with pytest.raises(ValueError, match="requires y"):
        ClusterSimilarity(label_weights=True).fit(places)
    with pytest.raises(ValueError, match="negative"):
        ClusterSimilarity(label_weights=True).fit(places, -np.ones(300))
    ClusterSimilarity(2).fit(places, -np.ones(300))


def test_a_row_alone_gets_the_bits_it_gets_in_a_batch(places):
    similarity = ClusterSimilarity(20, random_state=0).fit(places)
    together = similarity.transform(places)
    alone = np.vstack([similarity.transform(places[i : i + 1]) for i in range(len(places))])
    np.testing.assert_array_equal(together, alone)


def test_never_more_centres_than_rows():
    similarity = ClusterSimilarity(10, random_state=0).fit(np.arange(6.0).reshape(3, 2))
    assert similarity.n_clusters_ == 3
    assert len(similarity.get_feature_names_out()) == 3
