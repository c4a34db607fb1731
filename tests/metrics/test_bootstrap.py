"""The bootstrap's draws, and whether its intervals hold the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.metrics.bootstrap import (
    draw_weights,
    error_interval,
    percentile_interval,
    proportion_interval,
    resampled_sums,
)
from eyebright.metrics.intervals import wilson_interval


def weights_of(labels, units=None, draws=50, seed=0):
    return np.concatenate(list(draw_weights(labels, units, draws, seed)), axis=1)  # [N, draws]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 2**32))
@settings(deadline=None)
def test_each_draw_has_as_many_images_of_each_class_as_there_are(labels, seed):
    labels = np.array(labels, np.int32)
    weights = weights_of(labels, draws=7, seed=seed)
    assert weights.shape == (len(labels), 7)
    for label in set(labels):
        assert (weights[labels == label].sum(axis=0) == (labels == label).sum()).all()


def test_images_are_drawn_equally_often_and_as_independently_as_a_multinomial_has_it():
    labels = np.repeat([0, 1], [30, 70]).astype(np.int32)
    weights = weights_of(labels, draws=4000)
    assert weights.mean(axis=1) == pytest.approx(1, abs=0.08)
    assert weights[30:].var() == pytest.approx(69 / 70, rel=0.05)
    assert np.cov(weights[:2])[0, 1] == pytest.approx(-1 / 30, abs=0.05)


def test_groups_are_drawn_whole_from_those_of_mostly_the_same_class():
    labels = np.array([0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 1], np.int32)
    units = np.array(
        [0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4]
    )  # mostly of the classes 0, 1, 1, 0, and 0 as the first of equals
    weights = weights_of(labels, units)
    for unit in range(5):
        assert (weights[units == unit] == weights[units == unit][0]).all()
    of_unit = weights[[0, 2, 6, 8, 10]]
    assert (of_unit[[0, 3, 4]].sum(axis=0) == 3).all()
    assert (of_unit[[1, 2]].sum(axis=0) == 2).all()


def test_draws_do_not_depend_on_how_many_are_held_in_memory_at_once():
    labels = np.arange(70_000, dtype=np.int32) % 10  # of which 59 draws are held at once
    weights = weights_of(labels, draws=61)
    again = weights_of(labels, draws=3)
    assert (weights[:, :3] == again).all()
    assert weights.shape == (70_000, 61)


def test_sums_are_those_of_the_weighted_images():
    numbers = np.random.default_rng(0)
    labels, values = numbers.integers(0, 3, 20).astype(np.int32), numbers.standard_normal((20, 4))
    sums = np.concatenate(list(resampled_sums(values, labels, draws=9, seed=5)))
    assert sums == pytest.approx(weights_of(labels, draws=9, seed=5).T @ values)


def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says():
    numbers, held = np.random.default_rng(0), 0
    for _ in range(200):
        labels = np.repeat([0, 1], 40).astype(np.int32)
        values = numbers.exponential(1 + labels)
        draws = np.concatenate(list(resampled_sums(values[:, None], labels, draws=400)))[:, 0] / 80
        low, high = percentile_interval(draws)
        held += low <= 1.5 <= high
    assert 0.89 < held / 200 < 0.98


def test_draws_that_are_all_the_same_tell_nothing():
    assert percentile_interval(np.full(50, 0.3)) is None
    assert percentile_interval(np.full(50, np.nan)) is None
    assert percentile_interval(np.array([0.1, np.nan, 0.2])) == pytest.approx((0.1025, 0.1975))


def test_a_calibration_error_is_lowered_by_what_the_draws_are_too_high_by_and_one_by_chance_may_be_none():
    draws = np.linspace(0.025, 0.045, 1001)  # about an estimate of 0.03
    assert error_interval(0.03, draws, by_chance=0.01) == pytest.approx((0.0155, 0.0345), abs=1e-4)
    assert error_interval(0.03, draws, by_chance=0.04)[0] == 0
    assert error_interval(0.03, np.full(9, 0.03), by_chance=0.0) is None


@pytest.mark.parametrize("lowest", [0.0, 0.02, 0.04])
def test_the_interval_of_a_calibration_error_holds_it(lowest):
    low, high = error_interval(0.03, np.linspace(lowest, lowest + 0.02, 1001), by_chance=0.01)
    assert low <= 0.03 <= high


def test_a_share_of_groups_is_never_surer_than_one_of_images_nor_than_the_groups_where_all_are_right():
    hits = np.ones(40, bool)
    units = np.repeat(np.arange(8), 5)
    assert proportion_interval(hits) == wilson_interval(40, 40)
    assert proportion_interval(hits, units, np.ones(100)) == wilson_interval(8, 8)
    narrow = np.linspace(0.98, 0.99, 100)
    hits[0] = False
    assert proportion_interval(hits, units, narrow)[0] == wilson_interval(39, 40)[0]
    assert proportion_interval(hits[:0], units[:0], narrow) is None


def test_no_end_of_the_interval_of_a_calibration_error_is_above_one():
    assert error_interval(0.8, np.linspace(0.3, 0.9, 1001), by_chance=0.1)[1] == 1
