import numpy as np

from eyebright.models import Architecture, build_model
from eyebright.models.inference import compiled_logits

ARCHITECTURE = Architecture(model="softmax", image_shape=(4, 5, 3), classes=7, preprocessing="mean-image")


def test_it_is_one_linear_layer_on_the_centred_pixels():
    generator = np.random.default_rng(0)
    kernel, bias = generator.normal(size=(60, 7)), generator.normal(size=7)
    images = generator.integers(0, 256, (9, 4, 5, 3), np.uint8)
    model = build_model(ARCHITECTURE, "float64")
    model.get_layer("standardize").measure(images, np.arange(9))
    model.get_layer("logits").kernel.assign(kernel)
    model.get_layer("logits").bias.assign(bias)
    expected = (images - images.astype(float).mean(axis=0)).reshape(9, 60) @ kernel + bias
    np.testing.assert_allclose(compiled_logits(model)(images, np.arange(9)), expected, rtol=1e-9)


def test_its_weights_begin_at_zero():
    model = build_model(ARCHITECTURE, seed=5)
    assert {variable.path for variable in model.trainable_variables} == {"logits/kernel", "logits/bias"}
    assert not any(variable.numpy().any() for variable in model.trainable_variables)
