"""Keras's networks as backbones: the same answers as Keras gives, on images of any size; names that repeat."""

import numpy as np
import pytest

from eyebright.backend import keras
from eyebright.models import Architecture, build_model
from eyebright.models.backbones import APPLICATIONS, SMALLEST_SIDE
from eyebright.models.transfer import features_of, freeze_statistics
from eyebright.settings import Backbone


def architecture(name, shape=(32, 32, 3)):
    return Architecture(model="transfer", backbone=name, image_shape=shape, classes=4, preprocessing="none")


def pictures(shape, count=3):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def test_every_backbone_that_the_settings_name_is_there():
    assert {"auto", *APPLICATIONS} == set(Backbone.__args__)


@pytest.mark.parametrize("name", ["mobilenet-v2", "mobilenet-v3-small", "efficientnet-v2-b0", "convnext-tiny"])
def test_features_are_kerass_own_and_names_are_the_same_each_time(name):
    model, again = (build_model(architecture(name), seed=seed) for seed in (0, 1))
    names = [weight.path for weight in model.weights]
    assert [weight.path for weight in again.weights] == names
    assert len(set(names)) == len(names)
    application = getattr(keras.applications, APPLICATIONS[name].function)
    reference = application(weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3))
    reference.set_weights([weight.numpy() for weight in model.weights if not weight.path.startswith("logits/")])
    images = pictures((32, 32, 3))
    prepared = images / 127.5 - 1 if APPLICATIONS[name].scaled else images.astype(np.float32)
    expected = np.asarray(reference(prepared.astype(np.float32), training=False))
    np.testing.assert_allclose(features_of(model)(images, training=False), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 1, 3), (7, 5, 3), (33, 40, 1)], ids=str)
def test_grey_and_small_images_are_brought_to_what_the_network_takes(shape):
    model = build_model(architecture("mobilenet-v3-small", shape))
    whole = keras.Model(model.input, model.get_layer("conv").input)(pictures(shape))
    assert whole.shape[3] == 3
    assert min(whole.shape[1:3]) == max(SMALLEST_SIDE, min(shape[:2]))
    assert whole.shape[1] / whole.shape[2] == pytest.approx(shape[0] / shape[1], rel=0.05)
    if shape[2] == 1:
        assert np.ptp(np.asarray(whole), axis=3).max() == 0
    assert np.isfinite(np.asarray(model(pictures(shape)))).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_building_leaves_kerass_global_policy_as_it_was(precision):
    before = keras.config.dtype_policy()
    build_model(architecture("mobilenet-v3-small"), precision)
    assert keras.config.dtype_policy() == before


def test_frozen_statistics_do_not_follow_a_batch():
    model = build_model(architecture("mobilenet-v3-small"))
    images = pictures((32, 32, 3), 8)
    before = [weight.numpy() for weight in model.weights]
    freeze_statistics(model)
    trained, inferred = model(images, training=True), model(images, training=False)
    np.testing.assert_allclose(trained, inferred, atol=1e-5)
    assert all(np.array_equal(w.numpy(), old) for w, old in zip(model.weights, before, strict=True))
