"""Means over classes; precision, recall and F1 are held against scikit-learn's in test_figures.py."""

import numpy as np
import pytest

from eyebright.metrics.class_scores import ClassCounts, macro_mean, weighted_mean

CONFUSION = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 4]])


def test_figures_that_are_not_defined_are_nan_and_left_out_of_means():
    counts = ClassCounts.of(CONFUSION)
    assert counts.recall == pytest.approx([3 / 4, np.nan, 4 / 6], nan_ok=True)
    assert counts.precision == pytest.approx([3 / 5, 0, 1])
    assert counts.f1 == pytest.approx([6 / 9, 0, 8 / 10])
    assert macro_mean(counts.recall) == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert weighted_mean(counts.recall, counts.support) == pytest.approx(7 / 10)
    assert np.isnan(macro_mean(np.full(3, np.nan)))


def test_many_counts_at_once_are_those_of_each():
    tables = np.random.default_rng(0).integers(0, 5, (20, 3, 3))
    several = ClassCounts(*(np.stack(part) for part in zip(*map(ClassCounts.of, tables), strict=True)))
    for name in ("precision", "recall", "f1"):
        values = getattr(several, name)  # [20, 3]
        assert values == pytest.approx(np.stack([getattr(ClassCounts.of(one), name) for one in tables]), nan_ok=True)
        each = [weighted_mean(getattr(ClassCounts.of(one), name), ClassCounts.of(one).support) for one in tables]
        assert weighted_mean(values, several.support) == pytest.approx(np.array(each), nan_ok=True)
