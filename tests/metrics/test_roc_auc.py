"""Areas under ROC curves against scikit-learn's, and their variance against DeLong's formulas as the paper has them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from eyebright.metrics.roc_auc import roc_auc


@st.composite
def predictions(draw):
    n, classes = draw(st.integers(1, 50)), draw(st.integers(2, 5))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = numbers.integers(0, draw(st.integers(1, classes)), n).astype(np.int32)
    scores = numbers.random((n, classes))
    if draw(st.booleans()):
        scores = np.round(4 * scores)  # ties
    return labels, scores


def variance(scores, positive):
    """DeLong's, pair by pair."""
    ones, others = scores[positive], scores[~positive]
    wins = (ones[:, None] > others[None]) + 0.5 * (ones[:, None] == others[None])  # [ones, others]
    return wins.mean(axis=1).var(ddof=1) / len(ones) + wins.mean(axis=0).var(ddof=1) / len(others)


@given(predictions())
@settings(deadline=None, max_examples=80)
def test_areas_are_scikit_learns_and_intervals_are_delongs(case):
    labels, scores = case
    found = roc_auc(labels, scores)
    areas, support = [], []
    for label in range(scores.shape[1]):
        positive = labels == label
        if not positive.any() or positive.all():
            assert (found.per_class[label], found.per_class_ci95[label]) == (None, None)
            continue
        areas.append(roc_auc_score(positive, scores[:, label]))
        support.append(positive.sum())
        assert found.per_class[label] == pytest.approx(areas[-1], abs=1e-12)
        interval = found.per_class_ci95[label]
        if min(positive.sum(), (~positive).sum()) == 1 or variance(scores[:, label], positive) < 1e-20:
            assert interval is None
        elif 0 < areas[-1] < 1:
            half = 1.959964 * np.sqrt(variance(scores[:, label], positive)) / (areas[-1] * (1 - areas[-1]))
            if half < 20:  # else the ends round to 0 and 1
                assert logit(interval) == pytest.approx([logit(areas[-1]) - half, logit(areas[-1]) + half], abs=1e-5)
    assert found.macro == (pytest.approx(np.mean(areas)) if areas else None)
    assert found.weighted == (pytest.approx(np.average(areas, weights=support)) if areas else None)


def test_means_are_scikit_learns():
    numbers = np.random.default_rng(0)
    labels, scores = numbers.integers(0, 4, 200).astype(np.int32), numbers.random((200, 4))
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    found = roc_auc(labels, probabilities)
    for average in ("macro", "weighted"):
        expected = roc_auc_score(labels, probabilities, multi_class="ovr", average=average)
        assert getattr(found, average) == pytest.approx(expected)


def test_classes_that_are_told_without_error_have_no_interval():
    found = roc_auc(np.array([0, 0, 1, 1], np.int32), np.eye(2)[[0, 0, 1, 1]])
    assert (found.per_class, found.per_class_ci95) == ([1, 1], [None, None])
    assert (found.macro, found.macro_ci95, found.weighted_ci95) == (1, None, None)


def test_the_interval_of_the_mean_holds_the_truth_as_often_as_it_says():
    """Three classes, with the area of each and their mean known from a large sample."""

    def sample(numbers, n):
        labels = numbers.integers(0, 3, n).astype(np.int32)
        scores = numbers.standard_normal((n, 3))
        scores[np.arange(n), labels] += 1
        return labels, scores

    numbers = np.random.default_rng(1)
    truth = roc_auc(*sample(numbers, 200_000))
    found = [roc_auc(*sample(numbers, 120)) for _ in range(300)]
    held = np.mean([low <= truth.macro <= high for low, high in (one.macro_ci95 for one in found)])
    of_class = np.mean([one.per_class_ci95[0][0] <= truth.per_class[0] <= one.per_class_ci95[0][1] for one in found])
    assert 0.92 < held < 0.98
    assert 0.92 < of_class < 0.98
