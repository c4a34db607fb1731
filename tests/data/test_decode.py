"""What becomes of whole pictures of every mode, format and orientation. Of every size: test_fitting.py."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from eyebright.data.decode import decode_image, decode_picture, picture_size
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


@pytest.mark.parametrize(
    ("mode", "words"), [("I", "signed or 32-bit integers"), ("F", "32-bit floating point numbers")]
)
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


# What a file was like


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_size_is_known_by_the_header_as_by_decoding(tmp_path, file_format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "picture"
    path.write_bytes(encoded(COLOURS, file_format, exif=exif))
    upright = (5, 7) if orientation == 6 else (7, 5)
    assert picture_size(path) == decode_picture(path, (8, 8, 3), "crop").upright_size == upright


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(COLOURS)
    path = tmp_path / "picture.png"
    path.write_bytes(content[:-12] + chunk(b"eXIf", exif.tobytes()[6:]) + content[-12:])
    assert picture_size(path) == (5, 7)
    np.testing.assert_array_equal(decode_image(path, (5, 7, 3)), np.rot90(COLOURS, -1))


def test_the_size_of_what_is_no_picture_is_unknown(tmp_path):
    (tmp_path / "words.png").write_text("no picture")
    os.mkfifo(tmp_path / "pipe.png")
    assert [picture_size(tmp_path / name) for name in ("words.png", "pipe.png", "none.png", ".")] == [None] * 4


@pytest.mark.parametrize(
    ("mode", "grey"), [("L", True), ("1", True), ("LA", True), ("I;16", True), ("P", False), ("RGB", False)]
)
def test_what_is_grey_is_known(mode, grey):
    assert decode_picture(encoded(Image.new(mode, (3, 2))), (8, 8, 3), "crop").is_grey == grey


# What Pillow reads in another way than the standards say


def tiff(bits: int, white_is_zero: bool, values: bytes, width: int, sample_format: int = 1) -> bytes:
    """A TIFF of one row, made by hand."""
    tags = [(256, width), (257, 1), (258, bits), (259, 1), (262, 0 if white_is_zero else 1), (273, 0), (277, 1)]
    tags += [(278, 1), (279, len(values)), (339, sample_format)]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = [struct.pack("<HHIHH", tag, 3, 1, start if tag == 273 else value, 0) for tag, value in tags]
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + bytes(4) + values


def test_12_bits_of_grey_are_scaled_by_their_own_range():
    values = int("000fff800001", 16).to_bytes(6, "big")
    assert decode_image(tiff(12, False, values, 4), (1, 4, 1)).ravel().tolist() == [0, 255, 128, 0]


@pytest.mark.parametrize("bits", [8, 16])
def test_where_0_is_white_grey_is_turned_round(bits):
    values = np.array([0, 255] if bits == 8 else [0, 65_535], "<u2" if bits == 16 else "u1").tobytes()
    assert decode_image(tiff(bits, True, values, 2), (1, 2, 1)).ravel().tolist() == [255, 0]


def test_signed_pixels_are_refused():
    content = tiff(16, False, np.array([-5, 300], "<i2").tobytes(), 2, sample_format=2)
    with pytest.raises(ImageError, match="its pixels are signed or 32-bit integers, whose range is not known"):
        decode_image(content, (1, 2, 1))


@pytest.mark.parametrize(("bits", "row", "transparent", "shown"), [
    (1, 0b01000000, 0, [255, 255]), (2, 0b01100000, 1, [255, 170]), (4, 0b00110110, 3, [255, 102]),
])  # fmt: skip
def test_a_transparent_grey_of_few_bits_shows_white(bits, row, transparent, shown):
    content = png(2, 1, bits, 0, bytes([0, row]), chunk(b"tRNS", struct.pack(">H", transparent)))
    assert decode_image(content, (1, 2, 1)).ravel().tolist() == shown


def test_a_transparent_colour_of_16_bits_shows_white():
    rows = b"\0" + np.array([500, 600, 700, 40_000, 0, 0], ">u2").tobytes()
    content = png(2, 1, 16, 2, rows, chunk(b"tRNS", struct.pack(">HHH", 500, 600, 700)))
    assert decode_image(content, (1, 2, 3)).tolist() == [[[255, 255, 255], [156, 0, 0]]]
