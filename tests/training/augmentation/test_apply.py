import time

import numpy as np
import pytest

from eyebright.augmentation import POLICY_NAMES, Augmentation, named_policy
from eyebright.backend import tf
from eyebright.training.augmentation import colour, geometry, mixing
from eyebright.training.augmentation.apply import apply
from eyebright.training.augmentation.parameters import draw

BATCH, CLASSES = 12, 10
EVERYTHING = {
    "flip": "random", "rotate": 20.0, "crop": 0.5, "brightness": 0.3, "contrast": 0.3, "trivial_augment": True,
    "cutout": 1, "erasing": 0.5, "mixup": 0.4, "cutmix": 1.0,
}  # fmt: skip


def parameters_of(policy, image_shape, steps=(0,), batch_size=BATCH):
    rows = np.tile(np.arange(batch_size, dtype=np.int32), (len(steps), 1))
    return draw(policy, 0, np.array(steps, np.int64), batch_size, image_shape, rows=rows, steps_per_epoch=3)


def of_step(parameters, i):
    return {name: tf.constant(value[i]) for name, value in parameters.items()}


def one_hot(n=BATCH):
    return np.eye(CLASSES, dtype=np.float32)[np.arange(n) % CLASSES]


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_named_policies_keep_shape_and_type_of_every_kind_of_image(name, image_shape, random_images):
    policy = named_policy(name, image_shape)
    images, targets = random_images(BATCH, *image_shape), one_hot()
    parameters = of_step(parameters_of(policy, image_shape), 0)
    new_images, new_targets = apply(policy, tf.constant(images), tf.constant(targets), parameters)
    assert new_images.dtype == tf.uint8
    assert new_images.shape == images.shape
    np.testing.assert_allclose(np.sum(new_targets, axis=1), 1, rtol=1e-5)
    if not policy.mixes:
        np.testing.assert_array_equal(new_targets, targets)
    if name == "none":
        np.testing.assert_array_equal(new_images, images)


def test_operations_are_done_one_after_another(random_images):
    """Compiled in a loop over steps, as in training, against the plain operations."""
    shape = (9, 7, 3)
    policy = Augmentation(**EVERYTHING, shift=2, saturation=0.4, hue=0.1)
    steps = range(3)
    parameters = parameters_of(policy, shape, steps)
    images, targets = random_images(3, BATCH, *shape), one_hot()

    @tf.function
    def train(images, targets, parameters):
        results = tf.TensorArray(tf.uint8, 3)
        all_targets = tf.TensorArray(tf.float32, 3)
        for i in tf.range(3):
            step = {name: value[i] for name, value in parameters.items()}
            new_images, new_targets = apply(policy, images[i], targets, step)
            results, all_targets = results.write(i, new_images), all_targets.write(i, new_targets)
        return results.stack(), all_targets.stack()

    compiled, compiled_targets = train(images, targets, {name: tf.constant(v) for name, v in parameters.items()})
    for i in steps:
        p = of_step(parameters, i)
        plain = geometry.flip_and_shift(tf.constant(images[i]), p["flip"], p["down"], p["right"])
        plain = geometry.warp(plain, p["places"])
        plain = colour.recolour(plain, p["own_colour"], p["mean_colour"])
        plain = colour.change_tones(plain, p["kept_bits"], p["solarize_from"], p["autocontrast"])
        plain = colour.sharpen(plain, p["sharpness"])
        plain = mixing.erase(mixing.erase(plain, p["cutout"]), p["erasing"])
        plain, plain_targets = mixing.mix(plain, targets, p["partner"], p["share"], p["patch"])
        np.testing.assert_allclose(compiled_targets[i], plain_targets, atol=1e-6)
        # XLA contracts a product and a sum into one rounding; what was nearly half may go the other way, and solarize
        # and posterize make a small difference large.
        difference = np.abs(compiled[i].numpy().astype(int) - plain.numpy())
        assert np.mean(difference > 1) < 0.01


@pytest.mark.parametrize("shape", [(8, 8, 1), (6, 7, 3)])
def test_same_arguments_give_the_same_bits_and_are_left_as_they_were(shape, random_images):
    policy = Augmentation(**EVERYTHING)
    images, targets = tf.constant(random_images(BATCH, *shape)), tf.constant(one_hot())
    before = images.numpy().copy()
    parameters = of_step(parameters_of(policy, shape), 0)
    results = [apply(policy, images, targets, parameters) for _ in range(3)]
    for new_images, new_targets in results[1:]:
        np.testing.assert_array_equal(new_images, results[0][0])
        np.testing.assert_array_equal(new_targets, results[0][1])
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(targets, one_hot())
    assert not np.array_equal(results[0][0], before)


def test_an_image_does_not_depend_on_the_others_unless_they_are_mixed(random_images):
    shape = (8, 9, 3)
    policy = Augmentation(**{**EVERYTHING, "mixup": 0.0, "cutmix": 0.0})
    images, targets = random_images(BATCH, *shape), one_hot()
    parameters = parameters_of(policy, shape)
    together, _ = apply(policy, tf.constant(images), tf.constant(targets), of_step(parameters, 0))
    reverse = {name: tf.constant(value[0, ::-1]) for name, value in parameters.items()}
    reversed_images, _ = apply(policy, tf.constant(images[::-1]), tf.constant(targets), reverse)
    np.testing.assert_array_equal(together, reversed_images[::-1])


def test_alternating_flips_show_both_sides_in_two_epochs(random_images):
    shape = (5, 6, 3)
    policy = Augmentation(flip="alternating")
    images = random_images(BATCH, *shape)[2:]
    parameters = parameters_of(policy, shape, steps=(0, 3), batch_size=len(images))  # epochs of three steps
    views = [
        apply(policy, tf.constant(images), one_hot(len(images)), of_step(parameters, i))[0].numpy() for i in (0, 1)
    ]
    for image, first, second in zip(images, *views, strict=True):
        sides = [np.array_equal(view, image) for view in (first, second)]
        assert sorted(sides) == [False, True]
        np.testing.assert_array_equal(second if sides[0] else first, image[:, ::-1])


def test_labels_may_be_of_any_form_where_nothing_is_mixed(random_images):
    labels = tf.range(BATCH)
    policy = Augmentation(shift=1)
    _, targets = apply(
        policy, tf.constant(random_images(BATCH, 8, 8, 1)), labels, of_step(parameters_of(policy, (8, 8, 1)), 0)
    )
    np.testing.assert_array_equal(targets, labels)
    policy = Augmentation(mixup=1.0)
    with pytest.raises(ValueError, match="mixing needs targets"):
        apply(policy, tf.constant(random_images(BATCH, 8, 8, 1)), labels, of_step(parameters_of(policy, (8, 8, 1)), 0))


def test_flip_and_shift_are_quick(random_images):
    """500 images of CIFAR-10's size in 0.7 ms on one core; the bound is loose, for machines with other work."""
    shape = (32, 32, 3)
    policy = named_policy("standard", shape)
    images, targets = tf.constant(random_images(500, *shape)), tf.constant(one_hot(500))
    parameters = of_step(parameters_of(policy, shape, batch_size=500), 0)
    seconds = []
    for _ in range(30):
        start = time.perf_counter()
        apply(policy, images, targets, parameters)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 5e-3
