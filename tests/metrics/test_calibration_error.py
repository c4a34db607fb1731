"""Calibration errors against figures computed by hand, image by image, and against simulations."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eyebright.metrics.calibration_error import (
    classwise_calibration_error,
    equal_mass_bins,
    error_if_calibrated,
    expected_calibration_error,
    reliability_table,
)


@st.composite
def predictions(draw: st.DrawFn) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Labels and probabilities, with many ties in some of them."""
    n, classes = draw(st.integers(1, 60)), draw(st.integers(2, 5))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = numbers.random((n, classes)) + 1e-3
    if draw(st.booleans()):
        scores = np.round(scores * 3) + 1
    return numbers.integers(0, classes, n).astype(np.int32), scores / scores.sum(axis=1, keepdims=True)


@given(st.integers(1, 40), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_bins_differ_by_at_most_one_image_where_nothing_is_tied(bins: int, n: int, seed: int) -> None:
    sizes = np.bincount(equal_mass_bins(np.random.default_rng(seed).permutation(n) / n, bins))
    assert len(sizes) == min(bins, n)
    assert sizes.max() - sizes.min() <= 1


@given(predictions(), st.integers(1, 20))
def test_the_same_prediction_is_always_in_the_same_bin_and_bins_are_in_order(
    case: tuple[NDArray[np.int32], NDArray[np.float64]], bins: int
) -> None:
    confidences = case[1].max(axis=1)
    numbers = equal_mass_bins(confidences, bins)
    order = np.argsort(confidences, kind="stable")
    assert (np.diff(numbers[order]) >= 0).all()
    assert set(numbers) == set(range(numbers.max() + 1))
    assert all(len(set(numbers[confidences == value])) == 1 for value in confidences)


@given(predictions(), st.integers(1, 20))
def test_ece_is_the_mean_gap_of_the_images_bins(
    case: tuple[NDArray[np.int32], NDArray[np.float64]], bins: int
) -> None:
    labels, probabilities = case
    members = defaultdict(list)
    for image, number in enumerate(equal_mass_bins(probabilities.max(axis=1), bins)):
        members[number].append(image)
    gap = 0.0
    for images in members.values():
        right = sum(probabilities[image].argmax() == labels[image] for image in images)
        gap += abs(right - sum(probabilities[image].max() for image in images))
    assert expected_calibration_error(labels, probabilities, bins) == pytest.approx(gap / len(labels))


@given(predictions())
def test_no_figure_depends_on_the_order_of_the_images(case: tuple[NDArray[np.int32], NDArray[np.float64]]) -> None:
    labels, probabilities = case
    for figure in (expected_calibration_error, classwise_calibration_error):
        assert figure(labels, probabilities) == pytest.approx(figure(labels[::-1], probabilities[::-1]))


@given(predictions())
def test_the_reliability_table_holds_every_image_once_and_gives_the_ece(
    case: tuple[NDArray[np.int32], NDArray[np.float64]],
) -> None:
    labels, probabilities = case
    table = reliability_table(labels, probabilities)
    assert sum(row["images"] for row in table) == len(labels)
    ece = sum(row["images"] * abs(row["accuracy"] - row["mean_confidence"]) for row in table) / len(labels)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(ece)
    for row, following in zip(table, table[1:], strict=False):
        assert row["highest_confidence"] < following["lowest_confidence"]
    assert all(row["accuracy_ci95"][0] <= row["accuracy"] <= row["accuracy_ci95"][1] for row in table)


def test_classwise_ece_of_two_classes_is_the_mean_of_both_classes_errors() -> None:
    labels = np.array([0, 1, 1, 1])
    probabilities = np.tile([0.5, 0.5], (4, 1))
    assert classwise_calibration_error(labels, probabilities) == pytest.approx(0.25)


def test_right_and_certain_has_no_error_and_wrong_and_certain_has_all_of_it() -> None:
    certain = np.eye(3)[[0, 1, 2]]
    assert expected_calibration_error(np.array([0, 1, 2]), certain) == 0
    assert expected_calibration_error(np.array([1, 2, 0]), certain) == 1
    assert error_if_calibrated(certain) == 0


def test_the_error_of_a_calibrated_classifier_is_what_a_simulation_shows() -> None:
    numbers = np.random.default_rng(0)
    logits = 2 * numbers.standard_normal((1500, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    shown = [
        expected_calibration_error((probabilities.cumsum(axis=1) < numbers.random((1500, 1))).sum(axis=1), probabilities)
        for _ in range(200)
    ]
    assert error_if_calibrated(probabilities) == pytest.approx(np.mean(shown), rel=0.06)
