"""Small classifiers of every kind, with something in every weight, and images for them."""

import numpy as np
import pytest

from eyebright.classifier import Classifier
from eyebright.metrics.calibration import Calibration, Curve
from eyebright.models import Architecture, build_model, measure
from eyebright.models.backbones import APPLICATIONS
from eyebright.models.network import model_weights

CLASSES = 5
CURVE = Curve(before=(0.0, 0.2, 0.2000001, 0.9, 1.0), after=(1e-3, 0.1, 0.4, 0.4, 0.99))
CALIBRATIONS = {
    "none": Calibration(),
    "temperature": Calibration(method="temperature", temperature=1.7),
    "quadratic": Calibration(method="quadratic", temperature=0.8, curvature=0.03),
    "vector": Calibration(method="vector", scale=(1.0, 0.5, 2.0, 1.5, 0.7), bias=(0.1, -2.0, 0.0, 1.0, 0.3)),
    "isotonic": Calibration(method="isotonic", curves=(CURVE,) * CLASSES),
}
CNN = {"model": "cnn", "channels": (8, 12), "dropout": 0.5}
KINDS = {
    "softmax": {"model": "softmax"},
    "softmax-whitening": {"model": "softmax", "preprocessing": "compact-whitening"},
    "fc": {"model": "fc", "layers": 2, "hidden_units": 16, "batch_norm": True, "dropout": 0.5, "activation": "silu"},
    "cnn": CNN,
    "transfer-cnn": {"model": "transfer", "dropout": 0.5, "backbone": CNN},
}  # fmt: skip
BACKBONES = {name: {"model": "transfer", "preprocessing": "none", "backbone": name} for name in APPLICATIONS}


def pictures(shape, count=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def _architecture(shape, **options):
    options = {"image_shape": shape, "classes": CLASSES, "preprocessing": "per-channel"} | options
    if isinstance(options.get("backbone"), dict):
        options |= {"backbone": _architecture(shape, **options["backbone"]), "preprocessing": "none"}
    return Architecture(**options)


def _classifier(kind, shape=(9, 7, 3), tta="none", calibration="temperature"):
    architecture = _architecture(shape, **(KINDS | BACKBONES)[kind])
    model = build_model(architecture, seed=1)
    images = pictures(shape, seed=7)
    if kind in KINDS and kind != "transfer-cnn":
        measure(model, images, np.arange(len(images)))
    generator = np.random.default_rng(2)
    weights = model_weights(model)
    for name, values in weights.items():
        if not name.startswith(("standardize/", "image_whitening/", "whiten/kernel")):
            weights[name] = (values + 0.02 * generator.normal(size=values.shape)).astype(values.dtype)
    names = ("cat", "Hündchen", "a [b]", '"q"', "e")
    return Classifier(architecture, names, weights, tta, calibration=CALIBRATIONS[calibration])


@pytest.fixture(scope="session")
def make_classifier():
    """By kind: one of `KINDS` or the name of a backbone."""
    return _classifier


@pytest.fixture(scope="session")
def make_pictures():
    return pictures
