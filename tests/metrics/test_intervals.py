import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from scipy.stats import t as student

from eyebright.metrics.intervals import (
    mean_interval,
    next_value_interval,
    share_interval,
    trials_needed,
    wilson_interval,
)


def wilson(successes, trials, z):
    """The interval as Wilson's paper of 1927 has it."""
    share = successes / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return middle - half, middle + half


COUNTS = st.integers(1, 100_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@given(COUNTS)
@settings(deadline=None)
def test_interval_is_wilsons(counts):
    assert wilson_interval(*counts) == pytest.approx(wilson(*counts, z=1.959963984540054), abs=1e-12)


@given(COUNTS)
@settings(deadline=None)
def test_interval_holds_the_share_and_stays_within_0_and_1(counts):
    low, high = wilson_interval(*counts)
    successes, trials = counts
    assert 0 <= low <= successes / trials <= high <= 1
    assert low < high


def test_interval_of_another_confidence():
    assert wilson_interval(30, 100, confidence=0.9) == pytest.approx(wilson(30, 100, z=1.6448536269514722), abs=1e-12)


def test_interval_holds_the_truth_as_often_as_it_says():
    successes = np.random.default_rng(0).binomial(200, 0.9, 2000)
    intervals = {int(count): wilson_interval(int(count), 200) for count in np.unique(successes)}
    held = np.mean([intervals[int(count)][0] <= 0.9 <= intervals[int(count)][1] for count in successes])
    assert 0.93 < held < 0.97


@pytest.mark.parametrize("trials", [100, 1_000, 10_000])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_coverage_in_draws_is_what_wilsons_formula_says_exactly(trials, share):
    drawn, counts = np.unique(np.random.default_rng(trials).binomial(trials, share, 10_000), return_counts=True)
    intervals = [wilson_interval(int(successes), trials) for successes in drawn]
    held = sum(count for count, (low, high) in zip(counts, intervals, strict=True) if low <= share <= high) / 10_000
    outcomes = np.arange(trials + 1)
    half = 1.959963984540054 * math.sqrt(share * (1 - share) / trials)  # it holds the share where |k/n - share| ≤ half
    exact = binom.pmf(outcomes, trials, share)[np.abs(outcomes / trials - share) <= half].sum()
    assert held == pytest.approx(exact, abs=0.007)


@pytest.mark.parametrize(("successes", "trials"), [(5, 10), (8, 10), (10, 10), (0, 3), (60, 100), (95, 100)])
@pytest.mark.parametrize("half_width", [0.02, 0.05, 0.1])
def test_as_many_trials_as_are_said_to_be_needed_give_an_interval_of_that_width(successes, trials, half_width):
    needed = trials_needed(successes, trials, half_width)
    likely = (successes + 1) / (trials + 2)
    low, high = wilson_interval(round(likely * needed), needed)
    assert (high - low) / 2 == pytest.approx(half_width, rel=0.1)


def test_intervals_over_seeds_are_students():
    values = [0.91, 0.93, 0.92, 0.9]
    mean, deviation = np.mean(values), np.std(values, ddof=1)
    low, high = student.interval(0.95, 3, mean, deviation / 2)
    assert mean_interval(values) == pytest.approx((low, high))
    low, high = student.interval(0.95, 3, mean, deviation * math.sqrt(1.25))
    assert next_value_interval(values) == pytest.approx((low, high))


def test_values_that_are_all_the_same_do_not_tell_how_they_vary():
    assert mean_interval([0.9, 0.9, 0.9]) is None
    assert next_value_interval([0.1] * 7) is None


def test_one_more_seed_lies_in_its_interval_as_often_as_it_says():
    samples = np.random.default_rng(0).normal(0.9, 0.01, (1000, 6))
    intervals = [next_value_interval(row[:5].tolist()) for row in samples]
    held = np.mean([low <= row[5] <= high for row, (low, high) in zip(samples, intervals, strict=True)])
    assert 0.93 < held < 0.97


def test_a_share_of_images_that_stand_for_themselves_has_wilsons_interval():
    hits = np.arange(50) % 3 == 0
    assert share_interval(hits, None, 0.9) == wilson_interval(17, 50, 0.9)
    assert share_interval(hits, np.arange(50)) == pytest.approx(wilson_interval(17, 50), abs=0.01)


def test_groups_that_go_together_count_as_one_image_each():
    hits = np.repeat(np.arange(40) % 4 == 0, 10)  # all ten of a group are hits, or none is
    low, high = share_interval(hits, np.repeat(np.arange(40), 10))
    assert (low, high) == pytest.approx(wilson_interval(10, 40), abs=0.01)
    assert share_interval(np.ones(400, bool), np.repeat(np.arange(40), 10)) == wilson_interval(40, 40)
    assert share_interval(np.arange(10) < 3, np.zeros(10, np.int64)) == wilson_interval(0, 1)  # one group tells nothing


def test_grouped_intervals_hold_the_share_as_often_as_they_say():
    generator = np.random.default_rng(0)
    held = {"groups": 0, "images": 0}
    units = np.repeat(np.arange(60), 12)
    for _ in range(400):
        of_group = generator.beta(0.8 * 3, 0.2 * 3, 60)  # mean 0.8
        hits = generator.random(720) < np.repeat(of_group, 12)
        for name, interval in (("groups", share_interval(hits, units)), ("images", share_interval(hits))):
            held[name] += interval[0] <= 0.8 <= interval[1]
    assert held["groups"] >= 0.93 * 400
    assert held["images"] < 0.8 * 400
