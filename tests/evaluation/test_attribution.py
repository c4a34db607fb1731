import numpy as np
import pytest

from eyebright.evaluation.attribution import compiled_pixel_gradients, integrated_gradients, smoothgrad
from eyebright.evaluation.grad_cam import grad_cam, last_maps_shape, map_centres
from eyebright.evaluation.occlusion import occlusion
from eyebright.models.inference import compiled_logits

KINDS = {
    "softmax": {"model": "softmax"},
    "fc": {"model": "fc", "hidden_units": 12},
    "fc-folded": {"model": "fc", "hidden_units": 12, "preprocessing": "none"},
    "cnn": {"model": "cnn", "channels": (6, 8)},
    "transfer": {"model": "transfer", "preprocessing": "none", "backbone": "mobilenet-v3-small"},
}


@pytest.fixture(scope="module", params=KINDS)
def classifier(request, make_classifier):
    classifier = make_classifier(image_shape=(12, 10, 3), **KINDS[request.param])
    kernel = classifier.weights["logits/kernel"]  # a softmax classifier's begins as zero
    kernel += 0.1 * np.random.default_rng(2).normal(size=kernel.shape).astype(np.float32)
    return classifier


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(3).integers(0, 256, (12, 10, 3), np.uint8)


def test_integrated_gradients_add_up_to_the_difference_of_the_logits(classifier, image):
    gradients = compiled_pixel_gradients(classifier.model)
    baseline = np.full(image.shape, 40, np.uint8)  # whole numbers, so that the model itself can be asked
    attribution = integrated_gradients(gradients, image, 1, baseline, steps=256)
    logits = classifier.logits(np.stack([image, baseline]))[:, 1].astype(float)
    scale = np.abs(attribution).sum()
    assert attribution.sum() == pytest.approx(logits[0] - logits[1], abs=0.01 * scale)


def test_gradients_of_pixels_are_those_of_the_model(classifier, image):
    found = compiled_pixel_gradients(classifier.model)(image[None].astype(float), 2)[0]
    direction = np.sign(found)
    above, below = (np.clip(image.astype(int) + sign * direction, 0, 255).astype(np.uint8) for sign in (1, -1))
    rise = np.diff(classifier.logits(np.stack([below, above]))[:, 2].astype(float))[0]
    expected = (found * (above.astype(int) - below)).sum()
    assert rise == pytest.approx(expected, rel=0.25)  # kinks of ReLU and of largest values lie within two levels
    assert rise > 0


def test_a_linear_model_has_known_answers(make_classifier):
    """Of a softmax classifier each pixel's part of a logit is its weight times what it is more than the baseline."""
    softmax = make_classifier("softmax", image_shape=(6, 5, 3))
    random = np.random.default_rng(0)
    softmax.weights["logits/kernel"] = random.normal(size=(90, 3)).astype(np.float32)
    image = random.integers(0, 256, (6, 5, 3), np.uint8)
    kernel = softmax.weights["logits/kernel"][:, 2].reshape(6, 5, 3) / softmax.weights["standardize/standard_deviation"]
    gradients = compiled_pixel_gradients(softmax.model)
    baseline = random.uniform(0, 255, image.shape)
    found = integrated_gradients(gradients, image, 2, baseline, steps=3)
    np.testing.assert_allclose(found, kernel * (image - baseline), rtol=1e-4, atol=1e-5)
    mean = image.mean(axis=(0, 1))
    np.testing.assert_allclose(integrated_gradients(gradients, image, 2), kernel * (image - mean), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(smoothgrad(gradients, image, 2), kernel, rtol=1e-4, atol=1e-7)


def test_a_hidden_pixel_costs_what_it_put_into_the_logit(make_classifier):
    softmax = make_classifier("softmax", image_shape=(8, 8, 1))
    kernel = np.zeros((64, 3), np.float32)
    kernel[8 * 2 + 5, 1] = 1  # class 1 looks at a single pixel
    softmax.weights["logits/kernel"] = kernel
    image = np.zeros((8, 8, 1), np.uint8)
    image[2, 5] = 255
    falls = occlusion(compiled_logits(softmax.model), image, 1)
    assert np.unravel_index(falls.argmax(), falls.shape) == (2, 5)
    lost = (255 - round(255 / 64)) / softmax.weights["standardize/standard_deviation"][0]
    assert falls[2, 5] == pytest.approx(lost, rel=1e-4)  # each window over it takes all of that
    assert (falls[:, :2] == 0).all()  # no window over these hides it
    assert (falls >= 0).all()


def test_noise_is_the_seeds_and_of_nothing_else(make_classifier, image):
    gradients = compiled_pixel_gradients(make_classifier("fc", image_shape=(12, 10, 3)).model)
    one, again, other = (smoothgrad(gradients, image, 0, samples=4, seed=seed) for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one != other).any()


@pytest.mark.parametrize("pooled_gradient", [True, False])
def test_grad_cam_weighs_maps_by_what_the_last_layer_makes_of_them(make_classifier, pooled_gradient):
    cnn = make_classifier("cnn", image_shape=(32, 32, 3), channels=(5, 7))
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)
    classes = np.array([0, 2, 1])
    found = grad_cam(cnn.model, pooled_gradient=pooled_gradient)(images, classes)
    from eyebright.evaluation.feature_maps import layer_outputs

    maps = layer_outputs(cnn, images, ["block_2_activation_3"])["block_2_activation_3"]  # [3, 7, 7, 7]
    weights = cnn.weights["logits/kernel"][:, classes].T / 9  # [3, maps]
    if pooled_gradient:
        heat = np.maximum((maps * weights[:, None, None]).sum(axis=-1) / 49, 0)
    else:
        largest = maps == maps.max(axis=(1, 2), keepdims=True)
        heat = np.maximum(
            (maps * largest / largest.sum(axis=(1, 2), keepdims=True) * weights[:, None, None]).sum(-1), 0
        )
    np.testing.assert_allclose(found[:, 2:28:4, 2:28:4], heat, rtol=1e-3, atol=1e-6)  # the cells' middles
    np.testing.assert_allclose(found[:, 29, 31], heat[:, -1, -1], rtol=1e-3, atol=1e-6)  # beyond the last one
    if not pooled_gradient:
        both = ((maps * largest / largest.sum(axis=(1, 2), keepdims=True)) * weights[:, None, None]).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(both, cnn.logits(images)[np.arange(3), classes], rtol=1e-3, atol=1e-4)


def test_the_middle_of_a_cell_is_where_its_pixels_are(make_classifier):
    """A change of one pixel moves the maps most where the cell that lies over it is."""
    cnn = make_classifier("cnn", image_shape=(64, 64, 3), channels=(4, 4))
    assert last_maps_shape(cnn.model) == (15, 15)
    np.testing.assert_allclose(map_centres(cnn.model, 64, 15)[:3], [2, 6, 10])
    transfer = make_classifier("transfer", preprocessing="none", backbone="mobilenet-v3-small", image_shape=(64, 64, 3))
    np.testing.assert_allclose(map_centres(transfer.model, 64, 2), [15.5, 47.5])


def test_a_backbone_of_keras_has_maps(make_classifier):
    for backbone in ("mobilenet-v3-small", "convnext-tiny"):
        network = make_classifier("transfer", preprocessing="none", backbone=backbone, image_shape=(64, 96, 3))
        assert last_maps_shape(network.model) == (2, 3)
        images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
        heat = grad_cam(network.model)(images, np.array([0, 1]))
        exact = grad_cam(network.model, pooled_gradient=False)(images, np.array([0, 1]))
        assert heat.shape == (2, 64, 96)
        assert heat.max() > 0
        np.testing.assert_allclose(heat, exact, rtol=1e-3, atol=1e-4 * heat.max())  # the pooling is a mean


def test_a_model_without_pooled_maps_has_none(make_classifier):
    fc = make_classifier("fc")
    assert last_maps_shape(fc.model) is None
    with pytest.raises(ValueError, match="no maps that are pooled"):
        grad_cam(fc.model)
