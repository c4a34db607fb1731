import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from eyebright.serving.options import Limits
from eyebright.serving.refusals import Refusal
from eyebright.serving.tensors import images_of

IMAGES = array_shapes(min_dims=4, max_dims=4, max_side=4).flatmap(lambda shape: arrays(np.uint8, shape))


@given(IMAGES, st.sampled_from([int, float]))
def test_images_are_what_they_were(images, kind):
    values = images.astype(kind).tolist()
    flat = images.astype(kind).ravel().tolist()
    for given_as in (values, flat):
        found = images_of(given_as, images.shape[1:], "images", Limits())
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, images)


def test_grey_images_need_no_axis_of_channels():
    images = np.arange(12, dtype=np.uint8).reshape(2, 3, 2)
    np.testing.assert_array_equal(images_of(images.tolist(), (3, 2, 1), "images", Limits())[..., 0], images)


@pytest.mark.parametrize("wrong", ["1", True, None, [1], {}, 0.5, -1, 256, 1e300, 10**400, float("inf")], ids=repr)
@pytest.mark.parametrize("flat", [False, True])
def test_what_is_no_pixel_is_refused(wrong, flat):
    values = [1, 2, wrong, 4] if flat else [[[[1], [2]], [[wrong], [4]]]]
    with pytest.raises(Refusal, match="whole numbers"):
        images_of(values, (2, 2, 1), "images", Limits())


@pytest.mark.parametrize(
    "values",
    [
        [],
        [[]],
        1,
        None,
        [[[[1], [2]], [[3]]]],
        [[[[1], [2]]]],
        [[[[1], [2]], 3]],
        [[[[[1], [2]], [[3], [4]]]]],
        [1] * 5,
    ],
)
def test_another_shape_is_refused(values):
    with pytest.raises(Refusal, match=r"\[N, 2, 2, 1\] is due"):
        images_of(values, (2, 2, 1), "images", Limits())


def test_too_many_are_refused_before_there_is_room_for_them():
    with pytest.raises(Refusal, match="100,000 images"):
        images_of([[[[0]]]] + [0] * 99_999, (10_000, 10_000, 3), "images", Limits())
