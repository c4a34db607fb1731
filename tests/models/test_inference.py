import numpy as np
import pytest

from eyebright.models import Architecture, build_model
from eyebright.models.inference import compiled_logits


@pytest.fixture(scope="module")
def model():
    """Its logits are the value of the picture's one pixel, and its negative."""
    model = build_model(Architecture(model="softmax", image_shape=(1, 1, 1), classes=2, preprocessing="mean-image"))
    model.get_layer("logits").kernel.assign([[1.0, -1.0]])
    return model


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2001])
def test_each_image_of_every_batch_has_its_logits(count, model):
    images = (np.arange(3000) % 256).astype(np.uint8).reshape(-1, 1, 1, 1)
    indices = np.random.default_rng(0).permutation(3000)[:count]
    logits = compiled_logits(model)(images, indices)
    assert (logits[:, 0] == images[indices, 0, 0, 0]).all()
    assert (logits[:, 1] == -logits[:, 0]).all()


def test_an_image_may_come_twice(model):
    images = np.array([5, 9], np.uint8).reshape(-1, 1, 1, 1)
    assert compiled_logits(model)(images, np.array([1, 0, 1]))[:, 0].tolist() == [9, 5, 9]


def test_weights_that_change_later_count(model):
    logits = compiled_logits(model)
    images = np.array([3], np.uint8).reshape(-1, 1, 1, 1)
    assert logits(images, np.array([0]))[0].tolist() == [3, -3]
    model.get_layer("logits").bias.assign([10.0, 0.0])
    assert logits(images, np.array([0]))[0].tolist() == [13, -3]
    model.get_layer("logits").bias.assign([0.0, 0.0])
