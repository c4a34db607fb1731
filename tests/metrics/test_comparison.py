import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eyebright.metrics.comparison import (
    bootstrap_interval,
    compare_answers,
    compare_seeds,
    holm,
    images_needed,
    mcnemar_p_value,
)
from eyebright.metrics.grouped_comparison import grouped_p_value


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemars_test_is_a_binomial_test_on_the_images_that_one_alone_is_right_about(first, second):
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar_p_value(first, second) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_p_value(second, first) == mcnemar_p_value(first, second)


def test_mcnemars_test_takes_arrays():
    pairs = list(itertools.product(range(6), repeat=2))
    found = mcnemar_p_value(*np.array(pairs).T)
    assert found.tolist() == [float(mcnemar_p_value(*pair)) for pair in pairs]


@settings(max_examples=30, deadline=None)
@given(*[st.integers(0, 200)] * 4)
def test_turned_round_everything_is_turned_round(both, only_first, only_second, neither):
    counts = both + 1, only_first, only_second, neither
    first, second = (np.repeat(kind, counts) for kind in ([True, True, False, False], [True, False, True, False]))
    one, other = compare_answers(first, second), compare_answers(second, first)
    assert (one.n, one.only_first, one.only_second) == (sum(counts), only_first, only_second)
    assert one.difference == pytest.approx(second.mean() - first.mean())
    assert (other.only_first, other.only_second) == (only_second, only_first)
    assert (one.p_value, one.difference) == (other.p_value, -other.difference)
    assert -1 <= one.ci95[0] <= one.difference <= one.ci95[1] <= 1
    width = one.ci95[1] - one.ci95[0]
    assert one.ci95 == pytest.approx((-other.ci95[1], -other.ci95[0]), abs=0.03 * width + 1.5 / one.n)


def test_the_interval_is_that_of_resampled_images():
    random = np.random.default_rng(0)
    differences = random.choice([-1, 0, 1], 2_000, p=[0.03, 0.92, 0.05])
    with_two = np.append(differences, [-1, 1])
    drawn = [with_two[random.integers(0, 2_002, 2_002)].mean() for _ in range(4_000)]
    assert bootstrap_interval(differences) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=1e-3)
    assert bootstrap_interval(differences) == bootstrap_interval(differences)


def test_the_interval_over_several_trainings_is_that_of_their_mean():
    random = np.random.default_rng(1)
    differences = random.integers(-3, 4, 1_000)
    error = (differences / 3).std() / math.sqrt(1_000)
    expected = differences.mean() / 3 + stats.norm.ppf([0.025, 0.975]) * error
    assert bootstrap_interval(differences, trainings=3) == pytest.approx(tuple(expected), abs=2e-3)


def test_where_nothing_tells_them_apart_the_interval_is_no_point():
    same = np.ones(50, bool)
    one = compare_answers(same, same)
    assert (one.difference, one.p_value, one.images_needed) == (0.0, 1.0, None)
    assert one.ci95[0] < 0 < one.ci95[1]


@pytest.mark.parametrize(("difference", "discordant"), [(0.02, 0.06), (-0.03, 0.2), (0.1, 0.1)])
def test_with_the_images_that_are_needed_four_of_five_tests_find_the_difference(difference, discordant):
    n = images_needed(difference, discordant)
    shares = [(discordant - difference) / 2, (discordant + difference) / 2]
    draws = np.random.default_rng(0).multinomial(n, [*shares, 1 - discordant], 20_000)
    power = (mcnemar_p_value(draws[:, 0], draws[:, 1]) < 0.05).mean()
    assert 0.7 < power < 0.86  # the exact test is a little conservative, most where few images tell them apart


def test_holm_is_as_he_describes_it():
    # The smallest of m is multiplied by m, the next by m - 1, and none may be below one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_never_below_the_p_value_nor_above_bonferroni(p_values):
    corrected = holm(p_values)
    for plain, one in zip(p_values, corrected, strict=True):
        assert plain <= one <= min(1.0, plain * len(p_values) * (1 + 1e-12)) or one == max(corrected[: len(p_values)])
    assert np.argsort(p_values, kind="stable").tolist() == sorted(
        range(len(p_values)), key=lambda i: (corrected[i], p_values[i], i)
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8))
def test_seeds_are_compared_by_a_paired_t_test(pairs):
    first, second = np.array(pairs).T
    if (second - first).std(ddof=1) < 0.01:
        return
    one, expected = compare_seeds(first, second, 10_000), stats.ttest_rel(second, first)
    assert one.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    assert one.ci95 == pytest.approx(tuple(expected.confidence_interval()), abs=1e-9)
    assert one.difference == pytest.approx((second - first).mean())


def test_seeds_that_agree_to_the_image_are_not_certain():
    one = compare_seeds(np.array([0.8, 0.9]), np.array([0.81, 0.91]), images=100)
    assert one.ci95[0] < 0.01 < one.ci95[1]
    assert 0 < one.p_value < 1
    same = compare_seeds(np.array([0.8, 0.9]), np.array([0.8, 0.9]), images=100)
    assert (same.difference, same.p_value, same.seeds_needed) == (0.0, 1.0, None)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=60))
def test_where_each_group_is_an_image_the_test_of_groups_is_mcnemars(values):
    differences = np.array(values)
    expected = mcnemar_p_value((differences < 0).sum(), (differences > 0).sum())
    assert grouped_p_value(differences, np.arange(len(values))) == pytest.approx(float(expected), rel=1e-9)


def test_the_test_of_groups_is_that_of_all_signs():
    random = np.random.default_rng(0)
    differences, units = random.integers(-1, 2, 40), np.sort(random.permutation(np.arange(40) % 9))
    sums = np.bincount(units, differences)
    totals = np.array(list(itertools.product([-1, 1], repeat=9))) @ sums
    assert grouped_p_value(differences, units) == pytest.approx((np.abs(totals) >= abs(sums.sum())).mean())


def test_of_groups_without_a_difference_few_are_told_apart_and_the_interval_holds_none():
    random, told, held = np.random.default_rng(0), 0, 0
    units = np.repeat(np.arange(60), 5)
    for _ in range(200):
        hard = random.random(60)[units]  # what one classifier says of a group's images, it says of all or most
        one, two = (np.where(random.random(60)[units] < 0.8, hard < 0.7, random.random(300) < 0.7) for _ in range(2))
        found = compare_answers(one, two, units)
        told += found.p_value < 0.05
        held += found.ci95[0] <= 0 <= found.ci95[1]
    assert told <= 0.08 * 200
    assert held >= 0.92 * 200


def test_a_group_that_repeats_an_image_adds_nothing():
    random = np.random.default_rng(1)
    first, second = random.random(300) < 0.7, random.random(300) < 0.8
    alone, repeated = (
        compare_answers(first, second),
        compare_answers(np.repeat(first, 4), np.repeat(second, 4), np.repeat(np.arange(300), 4)),
    )
    assert (repeated.n, repeated.groups, alone.groups) == (1200, 300, None)
    assert repeated.difference == pytest.approx(alone.difference)
    assert repeated.p_value == pytest.approx(alone.p_value)
    assert repeated.ci95 == pytest.approx(alone.ci95, abs=0.006)
    assert repeated.images_needed == pytest.approx(4 * alone.images_needed, abs=4)
