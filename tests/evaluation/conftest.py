"""Small untrained classifiers, one a model, for pictures of their insides."""

import numpy as np
import pytest

from eyebright.classifier import Classifier
from eyebright.models import Architecture, build_model, measure
from eyebright.models.network import model_weights


@pytest.fixture(scope="session")
def make_classifier():
    def make(model, image_shape=(8, 8, 3), classes=3, **shape):
        shape = {"preprocessing": "per-channel", **shape}
        architecture = Architecture(model=model, image_shape=image_shape, classes=classes, **shape)
        network = build_model(architecture, seed=1)
        images = np.random.default_rng(0).integers(0, 256, (50, *image_shape), np.uint8)
        measure(network, images, np.arange(50))
        return Classifier(architecture, tuple(f"class {i}" for i in range(classes)), model_weights(network))

    return make
