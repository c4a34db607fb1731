import io

import numpy as np
from PIL import Image

from eyebright.data.decode import decode_image
from eyebright.golden_pictures import PLAIN
from eyebright.packaging.made_pictures import made_pictures


def opened(file):
    return Image.open(io.BytesIO(file))


def test_they_are_of_several_kinds_and_sizes_the_plain_ones_first(image_shape):
    pictures = [opened(file) for file in made_pictures(image_shape)]
    assert [picture.mode for picture in pictures] == ["RGB"] * PLAIN + ["RGBA", "I;16", "P"]
    assert pictures[0].size == image_shape[1::-1]
    assert len({picture.size for picture in pictures}) >= PLAIN
    assert pictures[-1].getexif()[0x0112] == 6
    assert {picture.format for picture in pictures} == {"PNG"}


def test_they_are_the_same_whenever_they_are_made(image_shape):
    assert made_pictures(image_shape) == made_pictures(image_shape)


def test_each_way_of_fitting_makes_other_images_of_them():
    files = made_pictures((12, 10, 3))
    ways = [{decode_image(file, (12, 10, 3), fit).tobytes() for fit in ("crop", "stretch", "pad")} for file in files]
    assert len(ways[0]) == 1  # of the very size
    assert all(len(each) > 1 for each in ways[1:])


def test_transparency_sixteen_bits_and_the_turn_are_seen():
    *_, transparent, sixteen, turned = made_pictures((12, 10, 3))
    assert opened(transparent).getchannel("A").getextrema()[0] < 128
    assert np.asarray(opened(sixteen)).max() > 40_000
    upright = opened(turned).transpose(Image.Transpose.ROTATE_270).convert("RGB")
    np.testing.assert_array_equal(decode_image(turned, (*upright.size[::-1], 3)), np.asarray(upright))
