import numpy as np
import pytest
from PIL import Image

from eyebright.errors import SettingsError
from eyebright.evaluation.feature_maps import draw_features, layer_outputs


@pytest.fixture(scope="module")
def network(make_classifier):
    return make_classifier("cnn", channels=(5, 20))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3), np.uint8)


def test_outputs_of_layers_are_those_of_the_network(network, images):
    outputs = layer_outputs(network, images, ["whiten", "scaled_logits"])
    np.testing.assert_allclose(outputs["scaled_logits"], network.logits(images), atol=1e-5)
    weights = network.weights
    x = (images - weights["standardize/mean"]) / weights["standardize/standard_deviation"]
    corner = np.tensordot(x[0, :2, :2], weights["whiten/kernel"], 3) + weights["whiten/bias"]
    np.testing.assert_allclose(outputs["whiten"][0, 0, 0], corner, atol=1e-4)


def test_an_unknown_layer_is_named_with_those_that_there_are(network, images):
    with pytest.raises(SettingsError, match=r"layer conv: the model has no such layer\. Its layers: images, .*whiten"):
        layer_outputs(network, images, ["conv"])


def test_a_row_for_each_activation_shows_the_picture_and_the_strongest_maps(network, images, tmp_path):
    draw_features(network, images[0], tmp_path / "features.png")
    with Image.open(tmp_path / "features.png") as picture:
        sheet = np.asarray(picture)
    assert sheet.shape[:2] == (6 * 83 + 4, 12 * 68 + 4)  # whitening, two blocks of two, and the third of the last
    for row in range(5):
        top = 4 + 83 * row + 15
        assert (sheet[top : top + 64 : 8, 4:68:8] == images[0]).all()
        maps = sheet[top : top + 64, 68 + 4 :]
        assert (maps.min(axis=2) == maps.max(axis=2)).all()
    name = "block_2_activation_2"
    strongest = layer_outputs(network, images[:1], [name])[name][0].max(axis=(0, 1)).argmax()
    first = sheet[4 + 83 * 4 + 15 :, 72 : 72 + 64][:64]  # maps of 1 × 1, 2 × 2 or 3 × 3 fill 63 or 64 pixels
    expected = layer_outputs(network, images[:1], [name])[name][0, ..., strongest]
    assert (first[2, 2] == int(expected[0, 0] / expected.max() * 255)).all()
    # Of the five maps of the first block all are shown, and nothing after them.
    assert (sheet[4 + 83 + 15 : 4 + 2 * 83, 4 + 6 * 68 :] == 255).all()


def test_a_model_without_convolutions_has_no_feature_maps(make_classifier, images, tmp_path):
    with pytest.raises(SettingsError, match="--what features: the fc model has no feature maps"):
        draw_features(make_classifier("fc"), images[0], tmp_path / "features.png")
    assert not (tmp_path / "features.png").exists()
