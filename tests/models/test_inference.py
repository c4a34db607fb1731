import numpy as np
import pytest

from eyebright.backend import keras, tf
from eyebright.models import Architecture, build_model
from eyebright.models.inference import compiled_logits, compiled_viewed_logits
from eyebright.views import VIEWS

VIEWS_OF = {"none": 1, "mirror": 2, "mirror-shift": 6}
every_tta = pytest.mark.parametrize("tta", VIEWS)
every_shape = pytest.mark.parametrize(
    "shape", [(5, 4, 3), (4, 4, 1), (2, 2, 3), (1, 6, 1), (6, 1, 3), (1, 1, 1)], ids=lambda s: "x".join(map(str, s))
)


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


def test_of_large_images_fewer_are_in_memory_at_once_and_each_has_its_logits():
    shape = (2000, 1000, 1)
    model = build_model(Architecture(model="softmax", image_shape=shape, classes=2, preprocessing="none"))
    model.get_layer("logits").kernel.assign(np.full((2_000_000, 2), [1.0, -1.0], np.float32) / 2_000_000)
    sizes = []
    images = np.repeat(np.arange(7, dtype=np.uint8), 2_000_000).reshape(7, *shape)

    class Counted(np.ndarray):
        def __getitem__(self, chosen):
            sizes.append(len(chosen))
            return np.asarray(self)[chosen]

    logits = compiled_logits(model)(images.view(Counted), np.arange(7)[::-1])
    assert logits[:, 0] == pytest.approx(np.arange(7)[::-1], abs=1e-3)
    assert max(sizes) * images[0].size <= 2**22


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


def curved_model(shape):
    """Not linear, so that the logits of a mean of views are not the mean of their logits."""
    return build_model(
        Architecture(model="fc", image_shape=shape, classes=3, preprocessing="per-channel", hidden_units=20), seed=4
    )


def pictures(shape, count=30):
    return np.random.default_rng(1).integers(0, 256, (count, *shape), np.uint8)


def reflected(places, size):
    """Places on a side of this size, those one beyond either end reflected at it; on a side of 1 all are its one."""
    return np.minimum(np.abs(np.where(places == size, size - 2, places)), size - 1)


def shifted(images, by):
    """What a frame shows that lies `by` pixels down and right of the images."""
    rows, columns = (reflected(np.arange(size) + by, size) for size in images.shape[1:3])
    return images[:, rows][:, :, columns]


def expected_logits(model, images, tta):
    def one_view(views):
        return compiled_logits(model)(np.ascontiguousarray(views), np.arange(len(views))).astype(np.float64)

    def mirrored(views):
        return (one_view(views) + one_view(views[:, :, ::-1])) / 2

    if tta == "none":
        return one_view(images)
    if tta == "mirror":
        return mirrored(images)
    return (mirrored(images) + (mirrored(shifted(images, -1)) + mirrored(shifted(images, 1))) / 2) / 2


@every_shape
@every_tta
def test_logits_are_the_weighted_mean_over_the_views(tta, shape):
    model, images = curved_model(shape), pictures(shape)
    logits = compiled_viewed_logits(model, tta)(images, np.arange(30))
    np.testing.assert_allclose(logits.mean, expected_logits(model, images, tta), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(logits.one_view, expected_logits(model, images, "none"), rtol=1e-4, atol=1e-4)
    assert logits.mean.dtype == logits.one_view.dtype == np.float32


def test_views_are_where_a_picture_counted_by_hand_has_them():
    model = build_model(Architecture(model="softmax", image_shape=(3, 4, 1), classes=2, preprocessing="mean-image"))
    images = (8 * np.arange(12)).astype(np.uint8).reshape(1, 3, 4, 1)
    x = images[0, :, :, 0].astype(float)
    # The pixel that the model reads, and what stands there in the image, up left, down right, and in their mirrors.
    places = {
        (1, 1): [x[1, 1], x[0, 0], x[2, 2], x[1, 2], x[0, 1], x[2, 3]],
        (0, 0): [x[0, 0], x[1, 1], x[1, 1], x[0, 3], x[1, 2], x[1, 2]],
        (2, 3): [x[2, 3], x[1, 2], x[1, 2], x[2, 0], x[1, 1], x[1, 1]],
    }
    for (row, column), (image, up, down, mirror, mirror_up, mirror_down) in places.items():
        kernel = np.zeros((12, 2))
        kernel[4 * row + column] = 1
        model.get_layer("logits").kernel.assign(kernel)
        logits = compiled_viewed_logits(model, "mirror-shift")(images, np.array([0])).mean
        assert logits[0, 0] == (image + mirror) / 4 + (up + down + mirror_up + mirror_down) / 8
        assert compiled_viewed_logits(model, "mirror")(images, np.array([0])).mean[0, 0] == (image + mirror) / 2


@every_shape
def test_an_image_and_its_mirror_image_have_the_same_logits_where_both_are_views(shape):
    model, images = curved_model(shape), pictures(shape)
    viewed = compiled_viewed_logits(model, "mirror")
    mirrored = viewed(np.ascontiguousarray(images[:, :, ::-1]), np.arange(30))
    np.testing.assert_allclose(mirrored.mean, viewed(images, np.arange(30)).mean, rtol=1e-5, atol=1e-5)
    if shape[1] > 1:
        assert np.abs(mirrored.one_view - viewed(images, np.arange(30)).one_view).max() > 1


@every_tta
def test_each_image_of_every_batch_has_its_logits_whatever_the_number_of_views(tta, model):
    images = (np.arange(3000) % 256).astype(np.uint8).reshape(-1, 1, 1, 1)  # of one pixel: all views are the same
    viewed = compiled_viewed_logits(model, tta)
    for count in (1, 165, 166, 167, 499, 500, 501, 1000, 1001):
        indices = np.random.default_rng(0).permutation(3000)[:count]
        mean, one_view = viewed(images, indices)
        assert mean[:, 0].tolist() == one_view[:, 0].tolist() == images[indices, 0, 0, 0].tolist()


class BatchSizes(keras.layers.Layer):
    """Notes how many images go through it at once."""

    def build(self, input_shape):
        self.sizes = []

    def call(self, x):
        tf.py_function(lambda size: self.sizes.append(int(size)), [tf.shape(x)[0]], [])
        return x


@every_tta
def test_all_views_of_some_images_make_one_batch_of_no_more_than_1000(tta):
    images = keras.Input((2, 2, 1), dtype="uint8")
    noted = BatchSizes()
    x = noted(keras.layers.Flatten()(images))
    compiled_viewed_logits(keras.Model(images, keras.layers.Dense(2)(x)), tta)(
        pictures((2, 2, 1), 1001), np.arange(1001)
    )
    at_once = 1000 // VIEWS_OF[tta]
    full, rest = divmod(1001, at_once)
    assert noted.sizes == [at_once * VIEWS_OF[tta]] * full + [rest * VIEWS_OF[tta]] * (rest > 0)
