import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn_metrics

from eyebright.metrics.intervals import wilson_interval
from eyebright.metrics.scores import (
    accuracy_score,
    brier_losses,
    confusion_matrix,
    count_correct,
    log_loss,
    log_losses,
    per_class_scores,
    ranks,
)


@st.composite
def labelled(draw):
    """(labels int32 [N], logits float32 [N, classes])."""
    n, classes = draw(st.integers(1, 40)), draw(st.integers(2, 6))
    labels = draw(hnp.arrays(np.int32, n, elements=st.integers(0, classes - 1)))
    logits = draw(hnp.arrays(np.float32, (n, classes), elements=st.floats(-50, 50, width=32)))
    return labels, logits


@given(labelled())
@settings(deadline=None)
def test_accuracy_is_scikit_learns(case):
    labels, logits = case
    expected = sklearn_metrics.accuracy_score(labels, logits.argmax(axis=1), normalize=False)
    assert count_correct(labels, logits) == expected
    assert accuracy_score(labels, logits) == expected / len(labels)


@given(labelled())
@settings(deadline=None)
def test_log_loss_is_the_mean_of_minus_log_softmax(case):
    labels, logits = case
    wide = logits.astype(np.longdouble)
    probabilities = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    expected = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    assert log_loss(labels, logits) == pytest.approx(float(expected), rel=1e-9, abs=1e-12)


def test_log_loss_is_scikit_learns():
    generator = np.random.default_rng(0)
    labels, logits = generator.integers(0, 5, 200).astype(np.int32), generator.normal(size=(200, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert log_loss(labels, logits) == pytest.approx(sklearn_metrics.log_loss(labels, probabilities), rel=1e-12)


def test_log_loss_of_extreme_logits_is_finite():
    logits = np.array([[1e4, -1e4], [1e4, -1e4]], np.float32)
    assert log_loss(np.array([0, 1], np.int32), logits) == 1e4


@given(labelled())
@settings(deadline=None)
def test_confusion_matrix_is_scikit_learns(case):
    labels, logits = case
    expected = sklearn_metrics.confusion_matrix(labels, logits.argmax(axis=1), labels=range(logits.shape[1]))
    confusion = confusion_matrix(labels, logits)
    assert confusion.dtype == np.int64
    assert (confusion == expected).all()


@given(labelled())
@settings(deadline=None)
def test_per_class_scores_are_scikit_learns(case):
    labels, logits = case
    classes = logits.shape[1]
    rows = per_class_scores(confusion_matrix(labels, logits), tuple("abcdef"[:classes]))
    expected = sklearn_metrics.precision_recall_fscore_support(
        labels, logits.argmax(axis=1), labels=range(classes), zero_division=np.nan
    )
    assert [row["label"] for row in rows] == list("abcdef"[:classes])
    for row, precision, recall, f1, support in zip(rows, *expected, strict=True):
        assert row["support"] == support
        for name, value in (("precision", precision), ("recall", recall), ("f1", f1)):
            assert row[name] is None if np.isnan(value) else row[name] == pytest.approx(value, abs=1e-12)


def test_scores_that_are_not_defined_are_none_and_others_carry_an_interval():
    rows = per_class_scores(np.array([[3, 1, 0], [0, 0, 0], [2, 0, 0]]), ("a", "absent", "never named"))
    assert rows[0] == {
        "label": "a", "support": 4, "precision": 3 / 5, "recall": 3 / 4,
        "recall_ci95": list(wilson_interval(3, 4)), "f1": 2 * 3 / (4 + 5),
    }  # fmt: skip
    assert (rows[1]["support"], rows[1]["precision"], rows[1]["recall"], rows[1]["recall_ci95"]) == (0, 0, None, None)
    assert (rows[2]["support"], rows[2]["precision"], rows[2]["recall"], rows[2]["f1"]) == (2, None, 0, 0)


def test_of_equal_scores_the_first_class_counts():
    assert count_correct(np.array([0, 1], np.int32), np.zeros((2, 2))) == 1
    assert confusion_matrix(np.array([0, 1], np.int32), np.zeros((2, 2))).tolist() == [[1, 0], [1, 0]]


def test_many_classes_do_not_overflow():
    n = 300
    labels = np.arange(n, dtype=np.int32)
    assert (confusion_matrix(labels, np.eye(n)) == np.eye(n)).all()


def test_a_probability_of_zero_has_a_large_loss_that_is_finite():
    losses = log_losses(np.array([0, 1], np.int32), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert losses == pytest.approx([-np.log(np.finfo(float).tiny), 0])


def test_brier_losses_are_the_squared_distances_from_the_truth():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    kept = probabilities.copy()
    assert brier_losses(np.array([0, 1, 2], np.int32), probabilities) == pytest.approx([0.25 + 0.09 + 0.04, 0, 2])
    assert (probabilities == kept).all()


@given(labelled())
@settings(deadline=None)
def test_the_place_of_a_class_is_that_in_the_order_from_the_highest_score_down(case):
    labels, logits = case
    order = np.argsort(-logits, axis=1, kind="stable")
    assert ranks(labels, logits).tolist() == [row.tolist().index(own) for row, own in zip(order, labels, strict=True)]
