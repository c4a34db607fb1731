import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.errors import DataError, SettingsError
from eyebright.metrics.conformal import draws, fit_conformal_sets

NAMES = ("ant", "bee", "cow", "dog")
METHODS = ("lac", "aps")


def drawn(n, seed=0, sharpness=1.0):
    """Labels drawn from probabilities, these, and a number for each image."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(4, 1 / sharpness), n)
    labels = (probabilities.cumsum(axis=1) < generator.random(n)[:, None]).sum(axis=1).clip(0, 3).astype(np.int32)
    return labels, probabilities, draws(generator.integers(0, 2**64, n, np.uint64))


def fit(labels, probabilities, numbers, alpha, **options):
    return fit_conformal_sets(labels, probabilities, numbers, alpha, class_names=NAMES, **options)


def plain_sets(method, known, new, alpha):
    """The definitions, one image and one class at a time."""

    def score(row, draw, k):
        if method == "lac":
            return 1 - row[k]
        return sum(p for p in row if p > row[k]) + draw * row[k]

    labels, probabilities, numbers = known
    scores = sorted(score(row, draw, y) for y, row, draw in zip(labels, probabilities, numbers, strict=True))
    quantile = scores[math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9) - 1]
    _, rows, their_draws = new
    return [[score(row, draw, k) <= quantile for k in range(4)] for row, draw in zip(rows, their_draws, strict=True)]


@pytest.mark.parametrize("method", METHODS)
@given(st.integers(10, 60), st.integers(0, 10_000), st.sampled_from([0.1, 0.2, 0.5, 0.9]))
@settings(deadline=None, max_examples=40)
def test_sets_are_those_of_the_plain_formulas(method, n, seed, alpha):
    known, new = drawn(n, seed), drawn(20, seed + 1)
    sets = fit(*known, alpha, method=method).sets(*new[1:])
    # Sums in another order may differ in the last bit, at the very image that the quantile comes from.
    assert (sets != np.array(plain_sets(method, known, new, alpha))).sum() <= 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("sharpness", [0.5, 20])  # of the sharp one's likeliest classes more than 1 - alpha are right
def test_coverage_is_what_was_asked_for_on_average_over_draws(method, alpha, sharpness):
    found = []
    for seed in range(200):
        labels, probabilities, numbers = drawn(400, seed, sharpness)
        rule = fit(labels[:200], probabilities[:200], numbers[:200], alpha, method=method)
        sets = rule.sets(probabilities[200:], numbers[200:])
        found.append(sets[np.arange(200), labels[200:]].mean())
    assert 1 - alpha - 0.006 < np.mean(found) < 1 - alpha + 1 / 201 + 0.006


@pytest.mark.parametrize("method", METHODS)
def test_sets_by_class_cover_each_class_where_one_rule_for_all_does_not(method):
    def of_class(found, labels, number):
        return found[labels == number, number].mean()

    together, by_class = [], []
    for seed in range(60):
        labels, probabilities, numbers = drawn(1000, seed)
        skewed = probabilities * [0.2, 1, 1, 1]  # a model that does not think of ants
        skewed /= skewed.sum(axis=1, keepdims=True)
        known, new = [part[:500] for part in (labels, skewed, numbers)], [part[500:] for part in (skewed, numbers)]
        together.append(of_class(fit(*known, 0.1, method=method).sets(*new), labels[500:], 0))
        by_class.append(of_class(fit(*known, 0.1, method=method, per_class=True).sets(*new), labels[500:], 0))
    assert np.mean(together) < 0.87
    assert 0.89 < np.mean(by_class) < 0.92


def test_lac_sets_may_be_empty_and_are_no_larger_than_those_of_aps_on_average():
    known, new = drawn(2000, 1, 20), drawn(2000, 2, 20)
    sizes = {method: fit(*known, 0.3, method=method).sets(*new[1:]).sum(axis=1) for method in METHODS}
    assert (sizes["lac"] == 0).any()
    assert sizes["lac"].mean() <= sizes["aps"].mean()


@pytest.mark.parametrize(("alpha", "needed"), [(0.1, 9), (0.05, 19), (0.01, 99), (0.5, 1), (0.3, 3)])
@pytest.mark.parametrize("method", METHODS)
def test_too_few_images_for_alpha_are_refused_with_the_number_that_it_takes(method, alpha, needed):
    labels, probabilities, numbers = drawn(needed)
    fit(labels, probabilities, numbers, alpha, method=method)
    words = rf"^--conformal {alpha:g} needs at least {needed} validation images; there are {needed - 1}\."
    with pytest.raises(DataError, match=words):
        fit(labels[1:], probabilities[1:], numbers[1:], alpha, method=method)


def test_a_class_with_too_few_images_is_named_where_sets_are_by_class():
    labels, probabilities, numbers = drawn(200)
    kept = (labels != 2) | (np.cumsum(labels == 2) <= 5)
    with pytest.raises(DataError, match="at least 9 validation images of the class 'cow'; there are 5"):
        fit(labels[kept], probabilities[kept], numbers[kept], 0.1, per_class=True)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 90, math.nan])
def test_an_alpha_that_is_no_share_is_refused(alpha):
    with pytest.raises(SettingsError, match=r"--conformal .*between 0 and 1"):
        fit(*drawn(100), alpha)


def test_an_unknown_method_is_refused():
    with pytest.raises(SettingsError, match=r"--conformal-method apps: no such method. Did you mean 'aps'?"):
        fit(*drawn(100), 0.1, method="apps")


def test_draws_lie_within_0_and_1_and_follow_from_the_keys():
    keys = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    found = draws(keys)
    assert (found > 0).all()
    assert (found < 1).all()
    assert found[2] == pytest.approx(0.5)
    many = draws(np.random.default_rng(0).integers(0, 2**64, 10_000, np.uint64))
    assert np.histogram(many, 10, (0, 1))[0] == pytest.approx(1000, abs=120)
