"""Pictures of every size, mode and format are brought to the size that is wanted."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features
from sklearn.datasets import load_sample_image

from eyebright.data.decode import decode_image, decode_picture
from eyebright.data.fitting import images_of_shape
from eyebright.errors import ImageError
from eyebright.picture_options import FITS

RNG = np.random.default_rng(20)


def encoded(image: Image.Image | np.ndarray, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def luma(colours: np.ndarray) -> np.ndarray:
    return colours.astype(float) @ [0.299, 0.587, 0.114]


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colours * share + 255 * (1 - share)


def bilinear(
    image: np.ndarray, size: tuple[int, int], box: tuple[float, ...] | None, columns_first: bool
) -> np.ndarray:
    """Reference: a triangle, widened where it shrinks; each of its two passes rounded to uint8.

    The box, (left, top, right, bottom), is what is brought to the size; what lies around it counts at its edges.
    """
    left, top, right, bottom = box or (0, 0, image.shape[1], image.shape[0])

    def weights(size_in: int, size_out: int, start: float, end: float) -> np.ndarray:
        scale = (end - start) / size_out
        centres = start + (np.arange(size_out) + 0.5) * scale
        x = np.abs((np.arange(size_in) + 0.5 - centres[:, None]) / max(scale, 1.0))
        kernel = np.maximum(1 - x, 0)  # [out, in]
        return kernel / kernel.sum(axis=1, keepdims=True)

    def rounded(values: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(values), 0, 255)

    across, down = weights(image.shape[1], size[1], left, right), weights(image.shape[0], size[0], top, bottom)
    image = image.astype(float)
    if columns_first:
        once = rounded(np.tensordot(down, image, (1, 0)))  # [height, w, c]
        return rounded(np.tensordot(across, once, (1, 1)).swapaxes(0, 1))
    once = rounded(np.tensordot(across, image, (1, 1)))  # [width, h, c]
    return rounded(np.tensordot(down, once, (1, 1)))


def fitted(image: np.ndarray, size: tuple[int, int], fit: str, columns_first: bool = False) -> np.ndarray:
    """Reference: a picture of any size, [h, w, c], as `fit` brings it to a size, (height, width)."""
    (tall, wide), (height, width) = image.shape[:2], size
    if fit == "stretch" or tall * width == wide * height:
        return bilinear(image, size, None, columns_first)
    too_wide = wide * height > tall * width
    if fit == "crop":
        across, down = (tall * width / height, tall) if too_wide else (wide, wide * height / width)
        left, top = (wide - across) / 2, (tall - down) / 2
        return bilinear(image, size, (left, top, left + across, top + down), columns_first)
    inner = (max(1, round(tall * width / wide)), width) if too_wide else (height, max(1, round(wide * height / tall)))
    padded = np.zeros((height, width, image.shape[2]))
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    padded[top : top + inner[0], left : left + inner[1]] = bilinear(image, inner, None, columns_first)
    return padded


def difference(decoded: np.ndarray, image: np.ndarray, fit: str) -> np.ndarray:
    """By how much a picture differs from the reference; which pass Pillow makes first is its own affair."""
    both = [np.abs(decoded - fitted(image, decoded.shape[:2], fit, first)) for first in (False, True)]
    return min(both, key=np.max)


SIZES = [(1, 1), (2, 3), (7, 5), (33, 31), (1, 400), (400, 1), (100, 64)]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size_in", SIZES)
@pytest.mark.parametrize("size_out", [(1, 1), (8, 8), (32, 17)])
def test_a_picture_is_fitted_by_the_bilinear_filter(size_in, size_out, fit):
    picture = RNG.integers(0, 256, (*size_in, 3), np.uint8)
    decoded = decode_image(encoded(picture), (*size_out, 3), fit)
    assert difference(decoded, picture, fit).max() <= 1


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(1000, 1), (1, 1000), (999, 2), (3, 1001)])
def test_the_longest_and_flattest_pictures_keep_their_only_colour(size, fit):
    decoded = decode_image(encoded(np.full((*size, 3), 77, np.uint8)), (64, 64, 3), fit)
    if fit == "pad":
        assert set(np.unique(decoded)) == {0, 77}
        assert (decoded.any(axis=(1, 2)).all(), decoded.any(axis=(0, 2)).all()) == (
            size[0] > size[1],
            size[1] > size[0],
        )
    else:
        assert np.unique(decoded).tolist() == [77]


@settings(deadline=None, max_examples=200)
@given(st.tuples(*[st.integers(1, 300)] * 2), st.tuples(*[st.integers(1, 70)] * 2), st.sampled_from(FITS))
def test_every_size_can_be_brought_to_every_other(size_in, size_out, fit):
    decoded = decode_image(encoded(np.full(size_in, 200, np.uint8)), (*size_out, 1), fit)
    assert decoded.max() == 200
    assert decoded.min() in ((0, 200) if fit == "pad" else (200,))


def test_of_a_wide_picture_the_middle_is_taken_by_default():
    stripes = np.zeros((10, 30, 3), np.uint8)
    stripes[:, 10:20] = 255
    assert decode_image(encoded(stripes), (10, 10, 3)).min() == 255


def test_a_side_of_millions_of_pixels_is_refused():
    with pytest.raises(ImageError, match="a side of more than 1,000,000 pixels"):
        decode_image(encoded(Image.new("1", (1_000_001, 1))), (8, 8, 1), "stretch")


def test_shrinking_is_antialiased():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))  # columns of black and white, in turn
    small = decode_image(encoded(stripes), (8, 8, 1))
    assert np.abs(small.astype(int) - 127.5).max() < 8


def test_transparency_is_composited_before_the_picture_is_stretched():
    picture = np.zeros((2, 2, 4), np.uint8)  # black wherever it shows, and it shows nowhere
    assert decode_image(encoded(picture), (5, 5, 3)).min() == 255


def made_pictures() -> dict[str, tuple[bytes, np.ndarray]]:
    """A file of every mode and format, and the colours that it is shown in, [13, 9, 3], worked out by hand."""
    colours, alpha = (RNG.integers(0, 256, (13, 9, channels), np.uint8) for channels in (3, 1))
    greys, inks = colours[..., :1], RNG.integers(0, 256, (13, 9, 4), np.uint8)
    deep = RNG.integers(0, 65_536, (13, 9), np.uint16)
    indices, table = RNG.integers(0, 4, (13, 9), np.uint8), RNG.integers(0, 256, (4, 3), np.uint8)
    palette = Image.fromarray(indices, "P")
    palette.putpalette(table.tobytes())
    bits = np.asarray(Image.fromarray(greys[..., 0]).convert("1"))
    unlit = 255 - inks.astype(float)
    rgba, la = np.dstack([colours, alpha]), np.dstack([greys, alpha])
    flat = np.full((13, 9, 3), (200, 90, 40), np.uint8)  # what lossy formats keep
    pictures = {
        "1": (encoded(Image.fromarray(bits)), bits[..., None] * 255.0),
        "L": (encoded(greys[..., 0]), greys),
        "LA": (encoded(la), on_white(greys, alpha[..., 0])),
        "P": (encoded(palette), table[indices]),
        "P with transparency": (
            encoded(palette, transparency=bytes([0, 255, 99, 255])),
            on_white(table[indices], np.array([0, 255, 99, 255])[indices]),
        ),
        "RGB": (encoded(colours), colours),
        "RGBA": (encoded(rgba), on_white(colours, alpha[..., 0])),
        "CMYK": (encoded(Image.fromarray(inks, "CMYK"), "TIFF"), unlit[..., :3] * unlit[..., 3:] / 255),
        "16-bit PNG": (encoded(deep), np.rint(deep / 257)[..., None]),
        "16-bit TIFF": (encoded(deep, "TIFF"), np.rint(deep / 257)[..., None]),
        "BMP": (encoded(colours, "BMP"), colours),
        "GIF": (encoded(palette, "GIF"), table[indices]),
        "TIFF, LZW": (encoded(rgba, "TIFF", compression="tiff_lzw"), on_white(colours, alpha[..., 0])),
        "WebP": (encoded(rgba, "WEBP", lossless=True, exact=True), on_white(colours, alpha[..., 0])),
        "JPEG": (encoded(flat, "JPEG", quality=95), flat),
        "grey JPEG": (encoded(flat[..., 0], "JPEG", quality=95), flat[..., :1]),
        **({"AVIF": (encoded(flat, "AVIF", quality=95), flat)} if features.check("avif") else {}),
    }
    return {
        name: (content, np.broadcast_to(shown, (13, 9, 3)).astype(float)) for name, (content, shown) in pictures.items()
    }


PICTURES = made_pictures()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_every_mode_and_format_is_fitted_as_it_is_shown(name):
    content, shown = PICTURES[name]
    tolerance = 4 if name in ("JPEG", "grey JPEG", "AVIF") else 2
    assert np.abs(decode_image(content, (13, 9, 3)) - shown).max() <= tolerance
    for fit in FITS:
        for size in ((6, 6), (20, 31)):
            assert difference(decode_image(content, (*size, 3), fit), np.rint(shown), fit).max() <= tolerance + 1
            grey = np.rint(luma(shown))[..., None]
            assert difference(decode_image(content, (*size, 1), fit), grey, fit).max() <= tolerance + 1


# JPEG files that are far larger than what is wanted

# Orientation: what a viewer shows of the stored pixels, by the EXIF standard's table of rows and columns.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


def photographs() -> list[np.ndarray]:
    """Two photographs, and smooth noise, in sizes that are no multiples of 8."""
    both = [np.asarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]  # [427, 640, 3]
    parts = [picture[top : top + h, left : left + w] for picture in both for top, left, h, w in (
        (0, 0, 427, 640), (100, 150, 251, 301), (20, 300, 397, 199), (170, 40, 203, 517))]  # fmt: skip
    noise = np.asarray(Image.fromarray(RNG.integers(0, 256, (17, 23, 3), np.uint8)).resize((371, 263), Image.BICUBIC))
    return [*parts, noise]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("side", [24, 32, 64, 96])
def test_a_large_jpeg_file_is_decoded_small_with_hardly_a_difference(side, fit):
    differences = []
    for picture in photographs():
        content = encoded(picture, "JPEG", quality=90)
        whole = np.asarray(Image.open(io.BytesIO(content)))
        found = np.abs(decode_image(content, (side, side, 3), fit) - fitted(whole, (side, side), fit))
        assert found.mean() <= 2.5  # of 255 levels, in every picture
        assert found.max() <= 32
        differences.append(found.mean())
    assert np.mean(differences) <= 1.0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_file_is_decoded_small_and_then_turned(orientation):
    picture = photographs()[1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(picture, "JPEG", quality=90, exif=exif)
    whole = UPRIGHT[orientation](np.asarray(Image.open(io.BytesIO(content))))
    for fit in FITS:
        found = np.abs(decode_image(content, (24, 31, 3), fit) - fitted(whole, (24, 31), fit))
        assert found.mean() <= 2.5
        assert found.max() <= 32


def test_a_jpeg_file_with_a_second_picture_is_one_like_others():
    first, second = Image.fromarray(photographs()[1]), Image.new("RGB", (301, 251))
    picture = decode_picture(encoded(first, "MPO", save_all=True, append_images=[second]), (24, 24, 3), "crop")
    alone = decode_image(encoded(first, "JPEG"), (24, 24, 3))
    assert (picture.format, picture.size, picture.upright_size) == ("JPEG", (301, 251), (251, 301))
    np.testing.assert_array_equal(picture.pixels, alone)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("colours", [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_arrays_become_what_the_same_pixels_become_in_a_file(fit, colours):
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 13, colours[0]), np.uint8)
    shape = (32, 20, colours[1])
    found = images_of_shape(images, shape, fit)
    for image, brought in zip(images, found, strict=True):
        file = io.BytesIO()
        Image.fromarray(image[:, :, 0] if colours[0] == 1 else image).save(file, "PNG")
        assert (brought == decode_image(file.getvalue(), shape, fit)).all()
    assert images_of_shape(images, images.shape[1:], fit) is images
