import numpy as np
import pytest
from PIL import Image

from eyebright import explain
from eyebright.errors import DataError, SettingsError
from eyebright.evaluation.explain import METHODS, draw_explanations


@pytest.fixture(scope="module")
def cnn(make_classifier):
    return make_classifier("cnn", image_shape=(16, 16, 3), channels=(4, 6))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_heat_lies_between_0_and_1_and_is_1_at_its_peak(cnn, images, method):
    found = explain(cnn, images, np.array([2, 2]), method)
    assert (found.method, found.classes.tolist()) == (method, [2, 2])
    assert (found.heat.shape, found.heat.dtype) == ((2, 16, 16), np.float32)
    assert found.heat.min() >= 0
    assert set(found.heat.max(axis=(1, 2)).tolist()) <= {0, 1}
    assert (found.probabilities == cnn.predict(images)[:, 2]).all()


def test_the_class_that_a_classifier_says_is_explained_unless_another_is_named(cnn, images):
    found = explain(cnn, images, method="occlusion")
    assert (found.classes == cnn.predict(images).argmax(axis=1)).all()
    named = explain(cnn, images, found.classes, "occlusion")
    assert (named.heat == found.heat).all()
    other = explain(cnn, images, (found.classes + 1) % 3, "occlusion")
    assert (other.heat != found.heat).any()


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ({"model": "cnn", "channels": (4, 6), "image_shape": (16, 16, 3)}, "grad-cam"),
        ({"model": "fc", "image_shape": (16, 16, 3)}, "integrated-gradients"),
        ({"model": "softmax", "image_shape": (16, 16, 3)}, "integrated-gradients"),
        (
            {
                "model": "transfer",
                "preprocessing": "none",
                "backbone": "mobilenet-v3-small",
                "image_shape": (16, 16, 3),
            },
            "integrated-gradients",  # its last maps are a single cell
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value["model"],
)
def test_the_method_that_is_chosen_unasked_suits_the_model(make_classifier, images, kind, method):
    assert explain(make_classifier(**kind), images).method == method


def test_what_cannot_be_explained_is_refused_with_a_remedy(make_classifier, cnn, images):
    with pytest.raises(SettingsError, match=r"--method gradcam: no such method\. Did you mean 'grad-cam'"):
        explain(cnn, images, method="gradcam")
    with pytest.raises(SettingsError, match=r"the fc model has no convolutions\. Use --method integrated-gradients"):
        explain(make_classifier("fc", image_shape=(16, 16, 3)), images, method="grad-cam")
    tiny = make_classifier("transfer", preprocessing="none", backbone="mobilenet-v3-small", image_shape=(16, 16, 3))
    with pytest.raises(SettingsError, match="of images of 16 × 16 pixels this network's last maps are a single cell"):
        explain(tiny, images, method="grad-cam")
    for classes in ([0], [0, 3], [[0, 1]]):
        with pytest.raises(DataError, match=r"classes must be one a picture \(2\), each from 0 to 2"):
            explain(cnn, images, np.array(classes))
    with pytest.raises(DataError, match=r"uint8 \[N, 16, 16, 3\]"):
        explain(cnn, images[:, :8])


def test_an_image_of_one_colour_has_no_heat_where_its_mean_colour_is_the_measure(cnn):
    flat = np.full((1, 16, 16, 3), 90, np.uint8)
    for method in ("integrated-gradients", "occlusion"):
        assert (explain(cnn, flat, method=method).heat == 0).all()


def test_a_row_shows_the_picture_and_the_heat_over_it(cnn, images, tmp_path):
    found = explain(cnn, images, method="occlusion")
    draw_explanations(cnn, images, found, ["a.png", "a long name " * 20], tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        sheet = np.asarray(picture)
    assert sheet.shape == (2 * (256 + 4 + 15) + 4, 2 * 260 + 4, 3)
    assert (sheet[19 : 19 + 256 : 16, 4 : 4 + 256 : 16] == images[0]).all()
    over = sheet[19 : 19 + 256 : 16, 264 : 264 + 256 : 16].astype(int)
    coldest, hottest = (np.unravel_index(at, (16, 16)) for at in (found.heat[0].argmin(), found.heat[0].argmax()))
    assert np.ptp(over[coldest]) <= np.ptp(over[hottest])  # where there is no heat it is grey
    assert (sheet[4:15, :500] < 128).any()
