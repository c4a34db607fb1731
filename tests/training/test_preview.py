import numpy as np
import pytest

from eyebright.augmentation import Augmentation
from eyebright.errors import SettingsError
from eyebright.settings import Settings
from eyebright.training.batches import batch_positions
from eyebright.training.preview import View, preview
from eyebright.training.trainer import train

EVERYTHING = Augmentation(
    flip="alternating", shift=2, rotate=10.0, brightness=0.2, contrast=0.2, cutout=2, erasing=0.3, mixup=0.5, cutmix=1.0
)
BATCH = 30  # three of the hundred training images' epochs, ten images left out of each


@pytest.fixture(scope="module")
def make_preview(dataset, make_settings):
    def make(step, images=8, epochs=6, **given):
        settings = make_settings(**{"batch_size": BATCH, "augmentation": EVERYTHING, **given})
        return preview(settings, dataset, dataset.splits["train"], step, images, epochs)

    return make


def softmax_regression(pixels, targets, mean, rate):
    """Kernel and bias after a step of plain SGD for each batch [steps, B, …], from zero, in float64."""
    kernel, bias = np.zeros((mean.size, targets.shape[-1])), np.zeros(targets.shape[-1])
    for x, target in zip(pixels.reshape(len(pixels), -1, mean.size) - mean.ravel(), targets, strict=True):
        scores = np.exp(x @ kernel + bias)
        slope = (scores / scores.sum(axis=1, keepdims=True) - target) / len(x)
        kernel, bias = kernel - rate * x.T @ slope, bias - rate * slope.sum(axis=0)
    return kernel, bias


def test_it_is_what_steps_are_trained_on(dataset, make_settings, make_preview, tmp_path):
    settings = Settings(
        model="softmax", learning_rate=1e-4, max_steps=5, batch_size=BATCH, precision="float64", seed=3,
        augmentation=EVERYTHING,
    )  # fmt: skip
    run = train(settings, dataset, tmp_path / "run")
    batches = [[row.views[0] for row in make_preview(step, BATCH, 1, seed=3).rows] for step in range(5)]
    pixels, targets = (np.array([[getattr(v, name) for v in batch] for batch in batches]) for name in View._fields[1:])
    mean = dataset.images[dataset.splits["train"]].mean(axis=0)
    expected = softmax_regression(pixels, targets, mean, np.float32(1e-4))
    for name, reference in zip(("kernel", "bias"), expected, strict=True):
        np.testing.assert_allclose(run.classifier.weights[f"logits/{name}"], reference, rtol=1e-5, atol=1e-9)


def test_rows_are_the_first_images_of_the_batch(dataset, make_preview):
    shown = make_preview(step=4, seed=1)
    batch = dataset.splits["train"][batch_positions(1, np.array([4]), 100, BATCH)[0]]
    assert [row.number for row in shown.rows] == batch[:8].tolist()
    assert shown.first_epoch == 1
    assert shown.policy == EVERYTHING
    for row in shown.rows:
        np.testing.assert_array_equal(row.image, dataset.images[row.number])
        assert row.label == dataset.labels[row.number]
        assert row.views[0].step == 4
    assert len(make_preview(step=0, images=64).rows) == BATCH


def test_views_are_of_one_epoch_after_another_and_missing_where_the_image_is(make_preview):
    rows = make_preview(step=2, images=BATCH, epochs=4).rows
    for row in rows:
        for epoch, view in enumerate(row.views):
            assert view is None or view.step // 3 == epoch
    missing = sum(view is None for row in rows for view in row.views[1:])
    assert 0 < missing < 30  # ten in a hundred of 90


def test_a_view_is_the_same_from_whichever_step_one_looks(make_preview):
    early, late = (make_preview(step, images=BATCH, epochs=5) for step in (0, 3))
    of_epoch_1 = {row.number: row.views[0] for row in late.rows}
    common = [(row.views[1], of_epoch_1[row.number]) for row in early.rows if row.number in of_epoch_1]
    assert len(common) > 3
    for one, other in common:
        assert one.step == other.step == 3
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.target, other.target)


def test_images_are_mixed_with_those_of_their_own_step(dataset, make_preview):
    """By halves, so that each view is the mean of its image and of one other of its batch."""
    shown = make_preview(step=1, images=3, epochs=3, augmentation=Augmentation(mixup=100.0))
    for row in shown.rows:
        for view in filter(None, row.views):
            batch = dataset.splits["train"][batch_positions(0, np.array([view.step]), 100, BATCH)[0]]
            others = dataset.images[batch].astype(float)
            share = np.linspace(0.3, 0.7, 401)[:, None, None, None, None]
            distances = np.abs(share * row.image + (1 - share) * others - view.image).max(axis=(2, 3, 4))
            best_share, partner = np.unravel_index(distances.argmin(), distances.shape)
            assert distances.min() < 1
            expected = np.zeros(3)
            expected[row.label] += share[best_share].item()
            expected[dataset.labels[batch[partner]]] += 1 - share[best_share].item()
            np.testing.assert_allclose(view.target, expected, atol=0.02)


def test_alternating_flips_are_seen_alternating(make_preview):
    for row in make_preview(step=0, augmentation=Augmentation(flip="alternating")).rows:
        for epoch, view in enumerate(row.views):
            if view is not None:
                as_first = row.views[0].image if epoch % 2 == 0 else row.views[0].image[:, ::-1]
                np.testing.assert_array_equal(view.image, as_first)


def test_without_augmentation_views_are_the_image(dataset, make_preview):
    for row in make_preview(step=0, augmentation=Augmentation()).rows:
        for view in filter(None, row.views):
            np.testing.assert_array_equal(view.image, row.image)
            np.testing.assert_array_equal(view.target, np.eye(3)[row.label])


def test_what_the_images_do_not_allow_is_refused(make_preview):
    with pytest.raises(SettingsError, match=r"augmentation\.hue = 0\.1: grey images .* 8 × 8 × 1"):
        make_preview(step=0, augmentation=Augmentation(hue=0.1))
