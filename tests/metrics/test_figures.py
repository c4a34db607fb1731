"""All figures against scikit-learn's own on random predictions, degenerate ones included, and their intervals."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.exceptions import UndefinedMetricWarning

from eyebright.metrics.figures import accuracy_interval, all_figures
from eyebright.metrics.intervals import wilson_interval
from eyebright.metrics.scores import ranks

DRAWS = 20  # where intervals are not what is tested
INTERVALS_OF_SHARES = {"accuracy", "top_k_accuracy", "recall", "precision"}


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@st.composite
def predictions(draw):
    """(labels int32 [N], probabilities float64 [N, classes]): classes may lack in either, and probabilities be tied."""
    n, classes = draw(st.integers(1, 40)), draw(st.integers(2, 6))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = numbers.integers(0, draw(st.integers(1, classes)), n).astype(np.int32)
    logits = 3 * numbers.standard_normal((n, classes))
    if draw(st.booleans()):
        logits = np.round(logits / 2)  # ties
    if draw(st.booleans()):
        logits[:, draw(st.integers(0, classes - 1))] -= 100  # a class that is never named
    if draw(st.booleans()):
        logits[np.arange(n), labels] += draw(st.sampled_from([2, 50, -50]))  # better, perfect, all wrong
    return labels, softmax(logits)


ONE_IMAGE = (np.array([1], np.int32), np.array([[0.25, 0.75]]))
PERFECT = (np.arange(6, dtype=np.int32) % 3, np.eye(3)[np.arange(6) % 3])
ALL_WRONG = (np.arange(6, dtype=np.int32) % 3, np.eye(3)[(np.arange(6) + 1) % 3])
ALL_TIED = (np.array([0, 1, 2, 1], np.int32), np.full((4, 3), 1 / 3))


def figures_of(case, **options):
    labels, probabilities = case
    return all_figures(labels, probabilities, tuple("abcdef"[: probabilities.shape[1]]), draws=DRAWS, **options)


def sklearns(case):
    """By name what scikit-learn gives, NaN where it is not defined."""
    labels, probabilities = case
    classes = range(probabilities.shape[1])
    taken = probabilities.argmax(axis=1)
    expected = {
        "accuracy": sk.accuracy_score(labels, taken),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, taken),
        "log_loss": sk.log_loss(labels, probabilities, labels=classes),
        "brier_score": np.square(np.eye(len(classes))[labels] - probabilities).sum(axis=1).mean(),
    }
    for average in ("macro", "weighted", None):
        triple = sk.precision_recall_fscore_support(
            labels, taken, labels=classes, average=average, zero_division=np.nan
        )
        expected[average] = dict(zip(("precision", "recall", "f1", "support"), triple, strict=True))
    # Where no class that has images has a precision, scikit-learn falls back on the mean over those that have none.
    of_class = expected[None]
    if not of_class["support"][~np.isnan(of_class["precision"])].any():
        expected["weighted"]["precision"] = np.nan
    return expected


@given(predictions())
@example(ONE_IMAGE)
@example(PERFECT)
@example(ALL_WRONG)
@example(ALL_TIED)
@settings(deadline=None, max_examples=60)
def test_figures_are_scikit_learns(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of what is degenerate
        expected = sklearns(case)
    found = figures_of(case)

    def same(value, other, tolerance=1e-9):
        return value is None if np.isnan(other) else value == pytest.approx(other, abs=tolerance)

    for name in ("accuracy", "balanced_accuracy", "brier_score"):
        assert same(found[name], expected[name]), name
    if case[1][np.arange(len(case[0])), case[0]].min() > 1e-15:  # scikit-learn takes 2.2e-16 for any below it
        assert same(found["log_loss"], expected["log_loss"], 1e-6)
    for average in ("macro", "weighted"):
        for name in ("precision", "recall", "f1"):
            assert same(found[average][name], expected[average][name]), (average, name)
    for label, row in enumerate(found["per_class"]):
        for name in ("precision", "recall", "f1", "support"):
            assert same(row[name], expected[None][name][label]), (label, name)
    assert (
        found["confusion_matrix"]
        == sk.confusion_matrix(case[0], case[1].argmax(axis=1), labels=range(case[1].shape[1]))
    ).all()


@given(predictions(), st.integers(1, 5))
@example(ALL_TIED, 2)
@settings(deadline=None, max_examples=60)
def test_top_k_accuracy_is_scikit_learns(case, k):
    labels, probabilities = case
    classes = probabilities.shape[1]
    if k >= classes:
        return
    found = figures_of(case, top_k=k)
    assert (found["top_k"], found["top_k_accuracy"]) == (k, (ranks(labels, probabilities) < k).mean())
    if k == 1:
        assert found["top_k_accuracy"] == found["accuracy"]
    if classes > 2:  # of equal probabilities scikit-learn takes the last class first: in reverse order it is the first
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            expected = sk.top_k_accuracy_score(classes - 1 - labels, probabilities[:, ::-1], k=k, labels=range(classes))
        assert found["top_k_accuracy"] == pytest.approx(expected)


def test_the_brier_score_is_scikit_learns():
    numbers = np.random.default_rng(0)
    labels, probabilities = numbers.integers(0, 3, 50).astype(np.int32), softmax(numbers.standard_normal((50, 3)))
    found = figures_of((labels, probabilities))
    assert found["brier_score"] == pytest.approx(sk.brier_score_loss(labels, probabilities))


def intervals(figures, path=""):
    """(name, figure, interval) of every interval anywhere in the figures."""
    for name, value in figures.items():
        if name.endswith("_ci95"):
            yield f"{path}{name}", figures[name.removesuffix("_ci95")], value
        elif isinstance(value, dict):
            yield from intervals(value, f"{path}{name}.")
        elif isinstance(value, list):
            for row in value:
                yield from intervals(row, f"{path}{name}.")


@given(predictions(), st.booleans())
@example(ONE_IMAGE, False)
@example(PERFECT, False)
@example(PERFECT, True)
@example(ALL_WRONG, True)
@settings(deadline=None, max_examples=60)
def test_every_figure_has_an_interval_or_none_where_the_images_do_not_tell_and_all_is_json(case, grouped):
    labels, _ = case
    found = figures_of(case, top_k=1, units=np.arange(len(labels)) // 2 if grouped else None)
    named = list(intervals(found))
    assert len(named) >= 14 + 4 * len(found["per_class"])
    for name, value, interval in named:
        if interval is not None:
            assert value is not None, name
            assert 0 <= interval[0] <= interval[1], name
            assert interval[1] <= 1 or "log_loss" in name or "brier" in name, name
        elif name.split(".")[-1].removesuffix("_ci95") in INTERVALS_OF_SHARES and "." not in name:
            assert value is None, name
    json.dumps({**found, "confusion_matrix": found["confusion_matrix"].tolist()}, allow_nan=False)


def test_without_groups_shares_have_wilsons_interval():
    numbers = np.random.default_rng(1)
    labels, probabilities = numbers.integers(0, 3, 90).astype(np.int32), softmax(numbers.standard_normal((90, 3)))
    found = figures_of((labels, probabilities), top_k=2)
    assert found["accuracy_ci95"] == wilson_interval(round(found["accuracy"] * 90), 90)
    assert found["top_k_accuracy_ci95"] == wilson_interval(round(found["top_k_accuracy"] * 90), 90)
    for label, row in enumerate(found["per_class"]):
        hits = int(found["confusion_matrix"][label, label])
        assert row["recall_ci95"] == wilson_interval(hits, row["support"])
        assert row["precision_ci95"] == wilson_interval(hits, int(found["confusion_matrix"][:, label].sum()))


def test_images_of_one_group_count_as_little_as_one_image():
    """Each of 60 images five times: figures stay, and intervals are about those of 60 images, not of 300."""
    numbers = np.random.default_rng(2)
    labels = numbers.integers(0, 3, 60).astype(np.int32)
    logits = numbers.standard_normal((60, 3))
    logits[np.arange(60), labels] += 1.5
    names = ("a", "b", "c")
    alone = all_figures(labels, softmax(logits), names)
    copies = (np.repeat(labels, 5), np.repeat(softmax(logits), 5, axis=0), names)
    blind, grouped = all_figures(*copies), all_figures(*copies, units=np.repeat(np.arange(60), 5))
    assert (alone["groups"], blind["groups"], grouped["groups"]) == (None, None, 60)
    compared = 0
    for (name, value, of_60), (_, _, of_300), (_, again, of_groups) in zip(
        intervals(alone), intervals(blind), intervals(grouped), strict=True
    ):
        if (
            value is None or "reliability" in name or "ece" in name
        ):  # bins and their errors are others where images are repeated
            continue
        assert again == pytest.approx(value)
        widths = [high - low for low, high in (of_60, of_300, of_groups)]
        assert widths[2] > 1.5 * widths[1], name
        assert widths[2] == pytest.approx(widths[0], rel=0.35), name
        compared += 1
    assert compared > 20
    assert (
        accuracy_interval(copies[0], copies[1].argmax(axis=1) == copies[0], np.repeat(np.arange(60), 5))
        == (grouped["accuracy_ci95"])
    )


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    numbers = np.random.default_rng(3)
    case = (numbers.integers(0, 3, 50).astype(np.int32), softmax(numbers.standard_normal((50, 3))))
    first, again, other = (figures_of(case, seed=seed)["log_loss_ci95"] for seed in (0, 0, 1))
    assert first == again != other
