"""Files that are no picture, and pictures that are damaged."""

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from eyebright.data.decode import decode_image
from eyebright.errors import ImageError


def encoded(image: Image.Image | np.ndarray, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png: no such file\."):
        decode_image(tmp_path / "gone.png", (8, 8, 3))


def test_a_directory_is_no_picture(tmp_path):
    with pytest.raises(ImageError, match="this is a directory, not a picture"):
        decode_image(tmp_path, (8, 8, 3))


def test_a_device_is_no_picture():
    with pytest.raises(ImageError, match="/dev/null: this is no regular file"):
        decode_image(Path("/dev/null"), (8, 8, 3))


def test_a_name_that_is_too_long_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match="cannot be read: File name too long"):
        decode_image(tmp_path / ("x" * 300), (8, 8, 3))


def test_an_empty_file_says_so(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"empty\.jpg: empty \(0 bytes\)"):
        decode_image(tmp_path / "empty.jpg", (8, 8, 3))


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"hello, world", "it begins with the bytes 68 65 6c 6c 6f 2c 20 77"),
        (b"%PDF-1.7 ...", "it begins like PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it begins like PostScript"),
        (b"<!DOCTYPE html><title>404</title>", "it begins like a web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it begins like HEIC"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    ],
)
def test_what_is_no_picture_is_told_by_its_first_bytes(tmp_path, content, looks):
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    with pytest.raises(
        ImageError, match=r"picture\.jpg: no picture that can be read: .*What can be read: AVIF"
    ) as caught:
        decode_image(path, (8, 8, 3))
    assert looks in str(caught.value)


@pytest.mark.parametrize("side", [9_500, 100_000])
def test_a_picture_with_too_many_pixels_is_refused_unread(side):
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    content += struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT"))
    with pytest.raises(ImageError, match="more than 89,478,485 pixels"):
        decode_image(content, (8, 8, 1))


# What is damaged

NOISE = np.random.default_rng(21).integers(0, 256, (24, 36, 3), np.uint8)
PICTURES = {
    "JPEG": encoded(NOISE, "JPEG"),
    "progressive JPEG": encoded(NOISE, "JPEG", progressive=True),
    "PNG": encoded(NOISE),
    "PNG with a palette": encoded(Image.fromarray(NOISE).quantize(16)),
    "GIF": encoded(NOISE, "GIF"),
    "BMP": encoded(NOISE, "BMP"),
    "WebP": encoded(NOISE, "WEBP"),
    "lossless WebP": encoded(NOISE, "WEBP", lossless=True),
    "TIFF": encoded(NOISE, "TIFF"),
    "TIFF with LZW": encoded(NOISE, "TIFF", compression="tiff_lzw"),
    "PPM": encoded(NOISE, "PPM"),
    **({"AVIF": encoded(NOISE, "AVIF")} if features.check("avif") else {}),
}
WHOLE = {name: decode_image(content, NOISE.shape) for name, content in PICTURES.items()}


@pytest.mark.parametrize("name", PICTURES)
def test_the_whole_picture_decodes_to_what_was_encoded(name):
    lossless = name in ("PNG", "BMP", "lossless WebP", "TIFF", "TIFF with LZW", "PPM")
    error = np.abs(WHOLE[name].astype(int) - NOISE)
    assert error.max() == 0 if lossless else error.mean() < 60


@settings(deadline=None)
@given(st.sampled_from(sorted(PICTURES)), st.floats(0, 1, exclude_max=True))
def test_a_cut_picture_is_an_image_error_or_decodes_whole(name, share):
    content = PICTURES[name]
    try:
        image = decode_image(content[: int(share * len(content))], NOISE.shape)
    except ImageError:
        return
    np.testing.assert_array_equal(image, WHOLE[name])


@settings(deadline=None)
@given(st.sampled_from(sorted(PICTURES)), st.integers(min_value=0), st.binary(min_size=1, max_size=8))
def test_overwritten_bytes_are_an_image_error_or_decode_to_something(name, place, new):
    content = bytearray(PICTURES[name])
    place %= len(content)
    content[place : place + len(new)] = new
    with contextlib.suppress(ImageError):
        assert decode_image(bytes(content), (8, 8, 1)).shape == (8, 8, 1)


@settings(deadline=None)
@given(
    st.sampled_from(
        [b"", b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0\x08\0\0\0", b"P6 2 2 255 "]
    ),
    st.binary(max_size=200),
)
def test_random_bytes_are_an_image_error_or_decode_to_something(start, rest):
    with contextlib.suppress(ImageError):
        assert decode_image(start + rest, (8, 8, 3)).shape == (8, 8, 3)


@pytest.mark.parametrize(("name", "kind"), [("JPEG", "JPEG"), ("GIF", "GIF"), ("TIFF", "TIFF"), ("PPM", "PPM")])
def test_a_truncated_picture_is_named_with_its_bytes(tmp_path, name, kind):
    path = tmp_path / "cut.bin"
    path.write_bytes(PICTURES[name][:1_000])
    with pytest.raises(ImageError, match=rf"cut\.bin: truncated {kind} \(1,000 bytes; its end is missing\)"):
        decode_image(path, (8, 8, 3))


@pytest.mark.parametrize(
    ("name", "kind"), [("PNG", "PNG"), ("BMP", "BMP"), ("WebP", "WEBP"), ("lossless WebP", "WEBP")]
)
def test_a_truncated_picture_whose_size_is_known_says_what_is_missing(name, kind):
    content = PICTURES[name]
    with pytest.raises(ImageError, match=rf"truncated {kind} \(500 of at least {len(content):,} bytes\)"):
        decode_image(content[:500], (8, 8, 3))


def test_a_damaged_picture_says_what_its_decoder_met():
    content = bytearray(PICTURES["PNG"])
    content[20] ^= 1  # the checksum of its header no longer fits
    with pytest.raises(ImageError, match=rf"damaged PNG \({len(content):,} bytes\): "):
        decode_image(bytes(content), (8, 8, 3))


def test_damaged_metadata_do_no_harm():
    exif = Image.Exif()
    exif[0x010E] = "a description that lies elsewhere"
    content = encoded(NOISE, "JPEG", exif=exif)
    at = content.index(b"\x01\x0e\x00\x02") + 8  # where it lies
    damaged = content[:at] + b"\x00\x7f\xff\xff" + content[at + 4 :]
    with pytest.warns(UserWarning, match="Truncated File Read"):
        Image.open(io.BytesIO(damaged)).getexif().get(0x010E)
    np.testing.assert_array_equal(decode_image(damaged, NOISE.shape), WHOLE["JPEG"])
