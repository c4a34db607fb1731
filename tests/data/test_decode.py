import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from eyebright.data.decode import decode_image
from eyebright.errors import ImageError

RNG = np.random.default_rng(20)
COLOURS = RNG.integers(0, 256, (7, 5, 3), np.uint8)
GREYS = RNG.integers(0, 256, (7, 5), np.uint8)
ALPHA = RNG.integers(0, 256, (7, 5), np.uint8)


def encoded(image: Image.Image | np.ndarray, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def png(width: int, height: int, bits: int, colour_type: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG made by hand, for what Pillow cannot write."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = (chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def luma(colours: np.ndarray) -> np.ndarray:
    return colours.astype(float) @ [0.299, 0.587, 0.114]


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colours * share + 255 * (1 - share)


def bicubic(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Reference: the cubic kernel with a = -0.5, widened where it shrinks; rows first, each pass rounded to uint8."""

    def weights(size_in: int, size_out: int) -> np.ndarray:
        scale = size_in / size_out
        centres = (np.arange(size_out) + 0.5) * scale
        x = np.abs((np.arange(size_in) + 0.5 - centres[:, None]) / max(scale, 1.0))
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        kernel = np.where(x < 1, near, np.where(x < 2, far, 0))  # [out, in]
        return kernel / kernel.sum(axis=1, keepdims=True)

    def rounded(values: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(values), 0, 255)

    across = rounded(np.einsum("ow,hwc->hoc", weights(image.shape[1], width), image.astype(float)))
    return rounded(np.einsum("oh,hwc->owc", weights(image.shape[0], height), across))


# Modes


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM"])
def test_a_picture_of_the_right_size_and_mode_keeps_its_pixels(file_format):
    colours = decode_image(encoded(COLOURS, file_format), (7, 5, 3))
    greys = decode_image(encoded(GREYS, file_format), (7, 5, 1))
    assert colours.dtype == greys.dtype == np.uint8
    np.testing.assert_array_equal(colours, COLOURS)
    np.testing.assert_array_equal(greys, GREYS[..., None])


def test_a_file_decodes_as_its_bytes_do(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(COLOURS))
    np.testing.assert_array_equal(decode_image(path, (7, 5, 3)), COLOURS)


def test_the_result_is_the_callers_own_and_writable():
    image = decode_image(encoded(COLOURS), (7, 5, 3))
    image[:] = 0
    assert image.flags.c_contiguous


def test_colours_become_grey_by_their_luma():
    grey = decode_image(encoded(COLOURS), (7, 5, 1))[..., 0]
    assert np.abs(grey - luma(COLOURS)).max() <= 0.51


def test_grey_becomes_three_equal_channels():
    np.testing.assert_array_equal(decode_image(encoded(GREYS), (7, 5, 3)), np.dstack([GREYS] * 3))


def test_black_and_white_becomes_0_and_255():
    bits = Image.fromarray(GREYS).convert("1")
    expected = np.asarray(bits).astype(np.uint8) * 255
    assert set(np.unique(expected)) == {0, 255}
    np.testing.assert_array_equal(decode_image(encoded(bits), (7, 5, 1))[..., 0], expected)


def test_a_palette_is_looked_up():
    palette = Image.fromarray(RNG.integers(0, 4, (7, 5), np.uint8), "P")
    colours = RNG.integers(0, 256, (4, 3), np.uint8)
    palette.putpalette(colours.tobytes())
    np.testing.assert_array_equal(decode_image(encoded(palette), (7, 5, 3)), colours[np.asarray(palette)])


def test_a_palettes_transparency_shows_white():
    palette = Image.fromarray(RNG.integers(0, 4, (7, 5), np.uint8), "P")
    colours, alphas = RNG.integers(0, 256, (4, 3), np.uint8), np.array([0, 255, 128, 7], np.uint8)
    palette.putpalette(colours.tobytes())
    content = encoded(palette, transparency=alphas.tobytes())
    indices = np.asarray(palette)
    expected = on_white(colours[indices], alphas[indices])
    assert np.abs(decode_image(content, (7, 5, 3)) - expected).max() <= 1


def test_a_transparent_gif_shows_white():
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette(bytes([10, 20, 30, 40, 50, 60]))
    content = encoded(palette, "GIF", transparency=0)
    assert decode_image(content, (1, 2, 3)).tolist() == [[[255, 255, 255], [40, 50, 60]]]


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_transparency_is_composited_on_white(file_format):
    content = encoded(np.dstack([COLOURS, ALPHA]), file_format)
    assert np.abs(decode_image(content, (7, 5, 3)) - on_white(COLOURS, ALPHA)).max() <= 1


def test_grey_transparency_is_composited_on_white():
    content = encoded(np.dstack([GREYS, ALPHA]))
    expected = on_white(GREYS[..., None], ALPHA)
    assert np.abs(decode_image(content, (7, 5, 1)) - expected).max() <= 1


def test_a_transparent_colour_shows_white():
    content = encoded(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), transparency=(1, 2, 3))
    assert decode_image(content, (1, 2, 3)).tolist() == [[[255, 255, 255], [4, 5, 6]]]


def test_cmyk_becomes_rgb():
    inks = RNG.integers(0, 256, (7, 5, 4), np.uint8)
    expected = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:].astype(float)) / 255
    content = encoded(Image.fromarray(inks, "CMYK"), "TIFF")
    assert np.abs(decode_image(content, (7, 5, 3)) - expected).max() <= 1


def test_a_cmyk_jpeg_has_its_colours_the_right_way_round():
    content = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    assert np.abs(decode_image(content, (16, 16, 3)).astype(int) - [255, 0, 0]).max() <= 3


SIXTEEN_BITS = np.array([[0, 1, 128, 129, 257], [32_767, 32_768, 65_406, 65_407, 65_535]], np.uint16)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_by_257(file_format):
    content = encoded(SIXTEEN_BITS, file_format)
    expected = np.rint(SIXTEEN_BITS / 257)
    np.testing.assert_array_equal(decode_image(content, (2, 5, 1))[..., 0], expected)
    assert expected.min() == 0
    assert expected.max() == 255


def test_a_transparent_16_bit_grey_shows_white():
    rows = b"\0" + np.array([500, 501, 0], ">u2").tobytes()
    content = png(3, 1, 16, 0, rows, chunk(b"tRNS", struct.pack(">H", 500)))
    assert decode_image(content, (1, 3, 1)).ravel().tolist() == [255, 2, 0]


def test_of_16_bit_colours_the_upper_byte_stays():
    rows = b"\0" + np.array([0x1234, 0xABCD, 0xFFFF], ">u2").tobytes()
    assert decode_image(png(1, 1, 16, 2, rows), (1, 1, 3)).ravel().tolist() == [0x12, 0xAB, 0xFF]


@pytest.mark.parametrize(("mode", "words"), [("I", "32-bit integers"), ("F", "32-bit floating point numbers")])
def test_pixels_of_32_bits_are_refused(mode, words):
    with pytest.raises(ImageError, match=f"its pixels are {words}, whose range is not known. Convert"):
        decode_image(encoded(Image.new(mode, (4, 4)), "TIFF"), (4, 4, 1))


def test_of_an_animation_the_first_frame_is_taken():
    red, blue = Image.new("RGB", (3, 2), (255, 0, 0)), Image.new("RGB", (3, 2), (0, 0, 255))
    content = encoded(red, "GIF", save_all=True, append_images=[blue])
    assert np.unique(decode_image(content, (2, 3, 3)).reshape(-1, 3), axis=0).tolist() == [[255, 0, 0]]


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


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_the_exif_orientation_is_applied(orientation, file_format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {}
    content = encoded(COLOURS, file_format, exif=exif, **options)
    upright = UPRIGHT[orientation](COLOURS)
    np.testing.assert_array_equal(decode_image(content, upright.shape), upright)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_is_none(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode_image(encoded(COLOURS, exif=exif), (7, 5, 3)), COLOURS)


def test_a_jpeg_with_an_orientation_and_16_bit_grey_are_turned_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    halves = np.zeros((16, 16, 3), np.uint8)
    halves[:8] = 255  # the upper half is white; turned clockwise, it is the right one
    turned = decode_image(encoded(halves, "JPEG", exif=exif), (16, 16, 3))
    assert turned[:, 8:].min() > 250
    assert turned[:, :8].max() < 5
    deep = decode_image(encoded(SIXTEEN_BITS, exif=exif), (5, 2, 1))[..., 0]
    np.testing.assert_array_equal(deep, np.rint(np.rot90(SIXTEEN_BITS, -1) / 257))


# Sizes


@pytest.mark.parametrize("size_in", [(1, 1), (2, 3), (7, 5), (33, 31), (1, 400), (400, 1), (100, 64)])
@pytest.mark.parametrize("size_out", [(1, 1), (8, 8), (32, 17)])
def test_a_picture_is_stretched_by_the_bicubic_filter(size_in, size_out):
    picture = RNG.integers(0, 256, (*size_in, 3), np.uint8)
    stretched = decode_image(encoded(picture), (*size_out, 3))
    assert np.abs(stretched - bicubic(picture, *size_out)).max() <= 1


def test_shrinking_is_antialiased():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))  # columns of black and white, in turn
    small = decode_image(encoded(stripes), (8, 8, 1))
    assert np.abs(small.astype(int) - 127.5).max() < 8


def test_transparency_is_composited_before_the_picture_is_stretched():
    picture = np.zeros((2, 2, 4), np.uint8)  # black wherever it shows, and it shows nowhere
    assert decode_image(encoded(picture), (5, 5, 3)).min() == 255
