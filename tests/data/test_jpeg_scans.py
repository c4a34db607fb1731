"""Progressive JPEG files may have any number of scans."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from eyebright.data.decode import decode_image
from eyebright.errors import ImageError

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def jpeg(image, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", **options)
    return file.getvalue()


def with_scans(content, number):
    """A file whose last scan stands in it so many times in all."""
    start = content.rindex(b"\xff\xda")
    return content[:start] + content[start:-2] * number + content[-2:]


def test_a_file_of_very_many_scans_is_refused_at_once():
    grey = jpeg(np.zeros((4000, 4000), np.uint8), progressive=True)
    bomb = with_scans(grey, 2000)
    assert len(bomb) < 10_000_000
    since = time.monotonic()
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode_image(bomb, (32, 32, 3))
    assert time.monotonic() - since < 2


@pytest.mark.parametrize("options", [{"progressive": True}, {}, {"restart_marker_blocks": 1}], ids=str)
def test_files_that_encoders_write_are_decoded(options):
    content = jpeg(NOISE, **options)
    assert decode_image(content, (64, 64, 3)).shape == (64, 64, 3)


def test_a_few_more_scans_do_no_harm():
    content = with_scans(jpeg(NOISE, progressive=True), 50)
    assert decode_image(content, (64, 64, 3)).shape == (64, 64, 3)


def test_what_looks_like_scans_in_metadata_and_behind_the_end_is_none():
    content = jpeg(NOISE, comment=b"\xff\xda" * 500) + b"\xff\xda" * 5000
    np.testing.assert_array_equal(decode_image(content, (64, 64, 3)), decode_image(jpeg(NOISE), (64, 64, 3)))
