import numpy as np
import pytest
from PIL import Image

from eyebright.errors import SettingsError
from eyebright.evaluation.weight_pictures import draw_weights


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def drawn(classifier, tmp_path, layer=None):
    draw_weights(classifier, tmp_path / "weights.png", layer)
    return pixels(tmp_path / "weights.png")


def test_zero_is_grey_positive_bright_and_negative_dark(make_classifier, tmp_path):
    classifier = make_classifier("softmax")
    weights = np.zeros((8, 8, 3, 3), np.float32)
    weights[0, 0, 0, 1], weights[7, 7, :, 1] = 5, -5  # red speaks for class 1; anything in the other corner against it
    classifier.weights["logits/kernel"] = weights.reshape(-1, 3)
    sheet = drawn(classifier, tmp_path)
    top, left = 4 + 15, 4 + 132  # below the caption; the second of pictures of 128 pixels, 4 apart
    assert sheet[top, left].tolist() == [255, 128, 128]
    assert sheet[top + 127, left + 127].tolist() == [1, 1, 1]
    assert (sheet[top : top + 128, 4:132] == 128).all()  # class 0 has no weights at all


def test_classes_have_their_names_above_them(make_classifier, tmp_path):
    named, unnamed = make_classifier("softmax"), make_classifier("fc", hidden_units=3)
    named.weights["logits/kernel"] = np.zeros((192, 3), np.float32)
    unnamed.weights["hidden_1/kernel"] = np.zeros((192, 3), np.float32)
    assert (drawn(named, tmp_path)[:19] < 100).any()
    assert not (drawn(unnamed, tmp_path) < 100).any()


@pytest.mark.parametrize(("units", "size"), [(7, (2 * 132 + 4, 5 * 132 + 4)), (60, (5 * 68 + 4, 10 * 68 + 4))])
def test_few_units_are_drawn_large_and_of_many_the_first_fifty(units, size, make_classifier, tmp_path):
    assert drawn(make_classifier("fc", hidden_units=units), tmp_path).shape[:2] == size


def test_filters_on_pixels_have_colours_and_those_on_maps_are_grey(make_classifier, tmp_path):
    network = make_classifier("cnn", channels=(5, 6))
    whitening = drawn(network, tmp_path)
    assert whitening.shape[:2] == (3 * 68 + 4, 10 * 68 + 4)  # 24 filters
    assert (whitening.min(axis=2) < whitening.max(axis=2)).any()
    deeper = drawn(network, tmp_path, "block_2_conv_1")
    assert deeper.shape[:2] == (6 * 36 + 4, 5 * 36 + 4)  # a row a filter, a column a map that it reads
    assert (deeper.min(axis=2) == deeper.max(axis=2)).all()
    # The first filters hand on a map each: an untrained network shows them as white dots on the diagonal.
    dots = [deeper[4 + 36 * i + 15, 4 + 36 * i + 15].tolist() for i in range(5)]
    assert dots == [[255, 255, 255]] * 5


def test_a_layer_whose_weights_are_no_pictures_is_refused_with_those_that_are(make_classifier, tmp_path):
    network = make_classifier("cnn", channels=(5,))
    with pytest.raises(
        SettingsError, match=r"--layer logits: .* Known: whiten, block_1_conv_1, block_1_conv_2, block_1_conv_3\."
    ):
        drawn(network, tmp_path, "logits")
    with pytest.raises(SettingsError, match="Did you mean 'block_1_conv_1'"):
        drawn(network, tmp_path, "block_1_conv1")
    assert not (tmp_path / "weights.png").exists()
