import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, mahalanobis
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from eyebright.metrics.outliers import (
    ClassDirections,
    Mahalanobis,
    NearestNeighbours,
    direction,
    energy,
    separation,
)


def made(n=60, d=5, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int32) % 3
    return generator.normal(size=(n, d)) + 3 * labels[:, None] * np.eye(d)[labels], labels


def test_energy_is_the_negative_logarithm_of_the_sum_of_exponentials():
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, 0.0], [-1000.0, -1000.0, -1000.0]], np.float32)
    assert energy(logits) == pytest.approx([-np.log(np.exp([1.0, 2.0, 3.0]).sum()), -1000, 1000 - np.log(3)])


def test_the_distance_to_directions_is_scipys_cosine_distance_of_square_roots():
    features, labels = made()
    sums = np.stack([direction(features)[labels == label].sum(axis=0) for label in range(3)])
    roots = np.sign(features) * np.sqrt(np.abs(features))
    expected = cdist(roots, sums, "cosine").min(axis=1)
    assert ClassDirections.of_sums(sums).distances(features) == pytest.approx(expected, abs=1e-6)


@given(st.floats(1e-3, 1e3))
def test_how_strong_all_features_are_together_plays_no_part(factor):
    features, _ = made(6)
    score = ClassDirections.of_sums(direction(features)[:3])
    assert score.distances(factor * features) == pytest.approx(score.distances(features), abs=1e-9)


def test_an_image_without_features_and_a_class_without_images_are_at_a_right_angle():
    score = ClassDirections.of_sums(np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert score.distances(np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0], [-1.0, 0.0]])).tolist() == [1, 0, 1, 1]


def test_mahalanobis_is_scipys_with_the_pooled_covariance_a_little_shrunk():
    features, labels = made()
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    rest = features - means[labels]
    covariance = rest.T @ rest / len(rest)
    shrunk = 0.95 * covariance + 0.05 * np.trace(covariance) / 5 * np.eye(5)
    inverse = np.linalg.inv(shrunk)
    expected = [min(mahalanobis(one, mean, inverse) ** 2 for mean in means) for one in features]
    assert Mahalanobis.fitted(features, labels).distances(features) == pytest.approx(expected)


def test_mahalanobis_of_more_features_than_images_and_of_constant_ones_is_finite():
    features, labels = made(9, 40)
    features[:, 7] = 1
    assert np.isfinite(Mahalanobis.fitted(features, labels).distances(features)).all()
    assert np.isfinite(Mahalanobis.fitted(np.ones((3, 2)), np.zeros(3, np.int32)).distances(np.ones((1, 2)))).all()


@pytest.mark.parametrize("k", [1, 10, 1000])
def test_nearest_neighbours_are_scikit_learns(k):
    known, others = made(700)[0], made(600, seed=1)[0]
    unit = known / np.linalg.norm(known, axis=1, keepdims=True)
    reference = NearestNeighbors(n_neighbors=min(k, 700)).fit(unit)
    expected = reference.kneighbors(others / np.linalg.norm(others, axis=1, keepdims=True))[0][:, -1]
    assert NearestNeighbours.fitted(known, k).distances(others) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_auroc_is_scikit_learns_and_fpr95_is_counted(known, unlike):
    known, unlike = np.array(known, float), np.array(unlike, float)
    found = separation(known, unlike)
    labels = np.repeat([0, 1], [len(known), len(unlike)])
    assert found.auroc == pytest.approx(roc_auc_score(labels, np.concatenate([known, unlike])))
    threshold = min(t for t in known if (known <= t).mean() >= 0.95)
    assert found.fpr95 == (unlike <= threshold).mean()
    if found.auroc_ci95 is not None:
        assert 0 <= found.auroc_ci95[0] <= found.auroc <= found.auroc_ci95[1] <= 1
