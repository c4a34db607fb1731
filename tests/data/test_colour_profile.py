"""ICC profiles, made by hand, and what their colours are in sRGB by the equations of the standards."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from eyebright.data.decode import decode_image

RNG = np.random.default_rng(5)
COLOURS = RNG.integers(0, 256, (9, 11, 3), np.uint8)
GREYS = RNG.integers(0, 256, (9, 11), np.uint8)
WHITE = np.array([0.9642, 1.0, 0.8249])  # D50, as profiles have it
# Columns: red, green and blue of sRGB and of Adobe RGB in XYZ, adapted to D50 (Lindbloom's tables).
SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
ADOBE = np.array(
    [[0.6097559, 0.2052401, 0.1492240], [0.3111242, 0.6256560, 0.0632197], [0.0194811, 0.0608902, 0.7448387]]
)


def encoded(image: Image.Image | np.ndarray, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """An ICC profile of version 2."""
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"made\0" + bytes(78), **tags}
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4sI4s4s4s", 128 + len(body), b"\0\0\0\0", 0x02400000, kind, space, pcs)
    header += bytes(12) + b"acsp" + bytes(28) + numbers(WHITE)[8:]
    return header.ljust(128, b"\0") + body


def numbers(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65_536)) for value in values)


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def of_colours(primaries: np.ndarray, power: float) -> bytes:
    tags = {b"wtpt": numbers(WHITE)}
    for name, column in zip("rgb", primaries.T, strict=True):
        tags |= {f"{name}XYZ".encode(): numbers(column), f"{name}TRC".encode(): gamma(power)}
    return profile(b"RGB ", tags)


def of_greys(power: float) -> bytes:
    return profile(b"GRAY", {b"wtpt": numbers(WHITE), b"kTRC": gamma(power)})


def of_inks() -> bytes:
    """Of CMYK: without ink it is white, with any it is darker, with all of one it is black."""
    table = bytes(v for corner in range(16) for v in (255 if corner == 0 else 0, 128, 128))  # Lab, of each corner
    identity = struct.pack(">9i", *(65_536 if place % 4 == 0 else 0 for place in range(9)))
    ramp = bytes(range(256))
    a2b = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    return profile(b"CMYK", {b"wtpt": numbers(WHITE), b"A2B0": a2b}, b"Lab ", b"prtr")


def srgb(linear: np.ndarray) -> np.ndarray:
    """Light, 0 … 1, as sRGB's values, 0 … 255."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def expected_colours(colours: np.ndarray) -> np.ndarray:
    return srgb((colours / 255) ** 2.2 @ ADOBE.T @ np.linalg.inv(SRGB).T)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_colours_become_those_of_srgb(file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    content = encoded(COLOURS, file_format, icc_profile=of_colours(ADOBE, 2.2), **options)
    expected = expected_colours(COLOURS)
    assert np.abs(decode_image(content, (9, 11, 3)) - expected).max() <= 2
    assert np.abs(expected - COLOURS).max() > 20


def test_greys_become_those_of_srgb_and_stay_grey():
    content = encoded(GREYS, icc_profile=of_greys(1.8))
    expected = srgb((GREYS / 255) ** 1.8)
    decoded = decode_image(content, (9, 11, 3))
    assert np.abs(decoded[..., 0] - expected).max() <= 2
    assert (decoded == decoded[..., :1]).all()
    np.testing.assert_array_equal(decode_image(content, (9, 11, 1))[..., 0], decoded[..., 0])


def test_greys_of_16_bits_become_those_of_srgb():
    content = encoded(GREYS.astype(np.uint16) * 257, icc_profile=of_greys(1.8))
    assert np.abs(decode_image(content, (9, 11, 1))[..., 0] - srgb((GREYS / 255) ** 1.8)).max() <= 2


def test_inks_become_the_colours_that_their_profile_says():
    inks = Image.fromarray(np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [255, 255, 255, 255]]], np.uint8), "CMYK")
    decoded = decode_image(encoded(inks, "TIFF", icc_profile=of_inks()), (1, 3, 1)).ravel()
    assert decoded[0] >= 253
    assert decoded[1:].max() <= 2


def test_a_palettes_colours_become_those_of_srgb():
    indices, table = RNG.integers(0, 4, (9, 11), np.uint8), RNG.integers(0, 256, (4, 3), np.uint8)
    palette = Image.fromarray(indices, "P")
    palette.putpalette(table.tobytes())
    content = encoded(palette, icc_profile=of_colours(ADOBE, 2.2))
    assert np.abs(decode_image(content, (9, 11, 3)) - expected_colours(table[indices])).max() <= 2


@pytest.mark.parametrize("by", ["channel", "colour"])
def test_transparency_stays_as_it_was(by):
    alpha = np.zeros((9, 11), np.uint8)
    alpha[:, :5] = 255
    if by == "channel":
        content = encoded(np.dstack([COLOURS, alpha]), icc_profile=of_colours(ADOBE, 2.2))
    else:
        picture = np.where(alpha[..., None] > 0, np.maximum(COLOURS, 9), (1, 2, 3)).astype(np.uint8)
        content = encoded(picture, icc_profile=of_colours(ADOBE, 2.2), transparency=(1, 2, 3))
    decoded = decode_image(content, (9, 11, 3))
    assert decoded[:, 5:].min() == 255
    assert (
        np.abs(decoded[:, :5] - expected_colours(np.maximum(COLOURS, 9) if by == "colour" else COLOURS)[:, :5]).max()
        <= 2
    )


@pytest.mark.parametrize(
    "made",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        b"no profile",
        bytes(200),
        of_colours(ADOBE, 2.2)[:300],
        of_greys(1.0),  # of other colours than the picture's
        of_inks(),
    ],
    ids=["sRGB itself", "words", "zeros", "cut", "of greys", "of inks"],
)
def test_a_profile_that_says_nothing_new_changes_nothing(made):
    np.testing.assert_array_equal(decode_image(encoded(COLOURS, icc_profile=made), (9, 11, 3)), COLOURS)


def test_a_profile_that_calls_itself_srgb_and_is_another_counts():
    linear = of_colours(SRGB, 1.0).replace(b"made\0", b"sRGB\0")
    assert np.abs(decode_image(encoded(COLOURS, icc_profile=linear), (9, 11, 3)) - srgb(COLOURS / 255)).max() <= 2
