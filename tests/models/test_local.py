import numpy as np
import pytest

from eyebright.models import Architecture, build_model, measure
from eyebright.models.local import LocalDense
from eyebright.models.reduction import grid

SHAPE = (16, 12, 3)


def spots(units=300, shape=SHAPE, seed=0):
    """A layer's first weights, [units, H, W, C]."""
    layer = LocalDense(units, seed)
    layer.build((None, int(np.prod(shape))))
    layer.localise(grid(*shape, compact=False), shape[:2])
    return layer.kernel.numpy().T.reshape(units, *shape)


def spread(weights):
    """Root mean square distance of each unit's weight (its squares) from its own centre along y and x, in pixels."""
    energy = np.square(weights).sum(axis=3)  # [units, H, W]
    found = []
    for axis in (1, 2):
        places = np.arange(energy.shape[axis])
        share = energy.sum(axis=3 - axis)  # [units, places]
        mean = (share * places).sum(axis=1)
        found.append(np.sqrt((share * (places - mean[:, None]) ** 2).sum(axis=1)))
    return np.stack(found)  # [2, units]


def test_every_unit_has_norm_1():
    np.testing.assert_allclose(np.linalg.norm(spots().reshape(300, -1), axis=1), 1, rtol=1e-5)


def test_a_unit_looks_at_one_spot_and_the_spots_are_all_over_the_image():
    weights = spots(shape=(32, 32, 3))
    # Squared, a window of 8 pixels at half of its height has a deviation of 8 / 2.355 / √2 = 2.4 pixels.
    assert spread(weights).max() < 4
    uniform = np.sqrt((32**2 - 1) / 12)  # of a unit that sees all of the image alike
    assert spread(weights).mean() < uniform / 4
    y, x = np.unravel_index(np.abs(weights).max(axis=3).reshape(300, -1).argmax(axis=1), (32, 32))
    for places in (y, x):
        assert abs(places.mean() - 15.5) < 2
        assert places.min() < 4
        assert places.max() > 27


def test_units_have_spots_of_several_widths():
    widths = spread(spots(shape=(32, 32, 3))).mean(axis=0)
    assert np.quantile(widths, 0.95) > 1.7 * np.quantile(widths, 0.05)


def test_weights_come_from_the_seed_and_not_from_the_number_of_units():
    assert (spots() == spots()).all()
    assert (spots(seed=1) != spots()).any(axis=(1, 2, 3)).all()
    assert (spots(units=20) == spots()[:20]).all()


def test_inputs_in_any_order_have_the_weights_of_their_places():
    """Two inputs at the same far place have little weight from the same units, whichever inputs they are."""
    layer = LocalDense(400, 0)
    layer.build((None, 3))
    layer.localise(np.array([[0.0, 0.0], [31.0, 31.0], [1.0, 0.0]]), (32, 32))
    first, far, near = np.abs(layer.kernel.numpy())  # each [units]
    assert np.corrcoef(first, near)[0, 1] > 0.1
    assert np.corrcoef(first, far)[0, 1] < -0.1


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 3), (2, 2, 1)])
def test_the_smallest_images_have_weights_too(shape):
    weights = spots(units=9, shape=shape)
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(np.linalg.norm(weights.reshape(9, -1), axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("preprocessing", ["mean-image", "whitening", "compact-whitening"])
def test_a_model_has_its_first_hidden_layer_local_once_it_has_measured_the_images(preprocessing):
    shape = (24, 6, 3)
    architecture = Architecture(
        model="fc", image_shape=shape, classes=3, hidden_units=50, layers=2, initialization="local",
        preprocessing=preprocessing,
    )  # fmt: skip
    model = build_model(architecture)
    measure(model, np.random.default_rng(0).integers(0, 256, (100, *shape), np.uint8), np.arange(100))
    first, second = (model.get_layer(f"hidden_{layer}") for layer in (1, 2))
    assert isinstance(first, LocalDense)
    assert not isinstance(second, LocalDense)
    kernel = first.kernel.numpy()  # [inputs, units]
    expected = LocalDense(50, 0)
    expected.build((None, len(kernel)))
    expected.localise(grid(*shape, compact=preprocessing == "compact-whitening"), shape[:2])
    np.testing.assert_array_equal(kernel, expected.kernel.numpy())
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-5)
