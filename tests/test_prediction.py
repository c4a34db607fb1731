import io

import numpy as np
import pytest
from PIL import Image

from eyebright.classifier import Classifier
from eyebright.errors import ClassifierError
from eyebright.models import Architecture, build_model
from eyebright.models.network import model_weights
from eyebright.prediction import Prediction, predict_files

NAMES = ("cat", "dog", "fox", "owl")


@pytest.fixture(scope="module")
def classifier():
    """Of random weights, so that its probabilities are spread over the classes."""
    architecture = Architecture(
        model="fc", image_shape=(6, 5, 3), classes=4, preprocessing="per-channel", hidden_units=9
    )
    weights = model_weights(build_model(architecture, "float32", seed=1))
    weights["standardize/mean"] = np.array([120, 130, 110], np.float32)
    weights["standardize/standard_deviation"] = np.array([60, 70, 80], np.float32)
    return Classifier(architecture, NAMES, weights)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (300, 6, 5, 3), np.uint8)


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_a_lossless_picture_of_the_right_size_gets_what_its_array_gets(classifier, images, tmp_path):
    paths = [save(tmp_path / f"{i}.{suffix}", images[i]) for i in range(4) for suffix in ("png", "bmp", "ppm")]
    expected = classifier.predict(images[:4])
    for path, prediction in zip(paths, predict_files(classifier, paths, top=4), strict=True):
        probabilities = dict(prediction.top)
        got = np.array([probabilities[name] for name in NAMES], np.float32)
        np.testing.assert_allclose(got, expected[int(path.stem)], rtol=1e-5)


def test_a_picture_gets_the_answer_of_the_views_by_which_the_classifier_answers(classifier, images, tmp_path):
    viewing = Classifier(classifier.architecture, NAMES, classifier.weights, tta="mirror-shift")
    paths = [save(tmp_path / "a.png", images[0]), save(tmp_path / "b.png", images[1])]
    for prediction, expected in zip(predict_files(viewing, paths, top=4), viewing.predict(images[:2]), strict=True):
        np.testing.assert_allclose([dict(prediction.top)[name] for name in NAMES], expected, rtol=1e-6)
    assert np.abs(viewing.predict(images[:2]) - classifier.predict(images[:2])).max() > 1e-3


def test_a_grey_classifier_reads_grey_pictures(images, tmp_path):
    architecture = Architecture(model="softmax", image_shape=(6, 5, 1), classes=4, preprocessing="mean-image")
    kernel = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32) / 100
    weights = {
        "standardize/mean": np.full((6, 5, 1), 100, np.float32),
        "logits/kernel": kernel,
        "logits/bias": np.zeros(4, np.float32),
    }
    path = save(tmp_path / "grey.png", images[0, :, :, 0])
    (prediction,) = predict_files(Classifier(architecture, NAMES, weights), [path], top=4)
    logits = (images[0, :, :, 0].reshape(-1) - 100.0) @ kernel.astype(float)
    expected = np.exp(logits) / np.exp(logits).sum()
    assert [name for name, _ in prediction.top] == [NAMES[i] for i in np.argsort(-expected)]
    np.testing.assert_allclose([p for _, p in prediction.top], np.sort(expected)[::-1], rtol=1e-5)


def test_any_size_and_mode_is_taken(classifier, tmp_path):
    big = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8))
    paths = []
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK"):
        paths.append(tmp_path / f"{mode}.{'tiff' if mode == 'CMYK' else 'png'}")
        big.convert(mode).save(paths[-1])
    predictions = list(predict_files(classifier, paths))
    assert [prediction.error for prediction in predictions] == [None] * len(paths)


def test_the_likeliest_come_first_and_no_more_than_asked_for(classifier, images, tmp_path):
    path = save(tmp_path / "a.png", images[0])
    for top in (1, 3, 4, 99):
        (prediction,) = predict_files(classifier, [path], top=top)
        probabilities = [p for _, p in prediction.top]
        assert len(probabilities) == min(top, 4)
        assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, rel=1e-6)


def test_a_picture_that_cannot_be_read_does_not_stop_the_others(classifier, images, tmp_path):
    good = save(tmp_path / "good.png", images[0])
    words = tmp_path / "words.png"
    words.write_text("no picture")
    jpeg = io.BytesIO()
    Image.fromarray(images[0].repeat(20, axis=0).repeat(20, axis=1)).save(jpeg, "JPEG")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(jpeg.getvalue()[:-300])
    paths = [words, good, tmp_path / "no.png", cut, tmp_path, good]
    predictions = list(predict_files(classifier, paths))
    assert [prediction.image for prediction in predictions] == [str(path) for path in paths]
    assert [prediction.error is None for prediction in predictions] == [False, True, False, False, False, True]
    assert predictions[1].top == predictions[5].top
    for path, words in ((0, "no picture"), (2, "no such file"), (3, "truncated JPEG"), (4, "a directory")):
        assert predictions[path].error.startswith(f"{paths[path]}: ")
        assert words in predictions[path].error
        assert predictions[path].top == ()


@pytest.mark.parametrize("count", [0, 1, 256, 257])
def test_any_number_of_pictures_in_their_order(count, classifier, images, tmp_path):
    names = [tmp_path / f"{i}.png" for i in range(count)]
    for i in range(count):
        save(names[i], images[i])
    predictions = list(predict_files(classifier, names, top=1))
    assert [prediction.image for prediction in predictions] == [str(name) for name in names]
    expected = classifier.predict(images[:count]).argmax(axis=1)
    assert [prediction.top[0][0] for prediction in predictions] == [NAMES[i] for i in expected]


def test_a_damaged_classifier_is_no_error_of_the_picture(images, tmp_path):
    architecture = Architecture(model="softmax", image_shape=(6, 5, 3), classes=4, preprocessing="mean-image")
    with pytest.raises(ClassifierError, match="logits/bias"):
        list(predict_files(Classifier(architecture, NAMES, {}), [save(tmp_path / "a.png", images[0])]))


def test_dictionary_is_what_json_prints():
    answered = Prediction("a.png", (("cat", 0.75), ("dog", 0.25)))
    assert answered.to_dict() == {
        "image": "a.png",
        "label": "cat",
        "probability": 0.75,
        "top": [{"label": "cat", "probability": 0.75}, {"label": "dog", "probability": 0.25}],
    }
    assert Prediction("a.png", error="a.png: empty.").to_dict() == {"image": "a.png", "error": "a.png: empty."}
