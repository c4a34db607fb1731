"""Files that are no picture, and pictures that are damaged."""

import contextlib
import gc
import io
import os
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from eyebright.data.decode import decode_image, picture_size
from eyebright.errors import ImageError
from eyebright.picture_options import FITS


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


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1"])
def test_heic_is_named_with_what_to_do(brand):
    with pytest.raises(ImageError, match=r"it begins like HEIC\. Convert it to JPEG or PNG"):
        decode_image(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic", (8, 8, 3))


def huge_png(width: int, height: int) -> bytes:
    """The header of a PNG, and no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return content + struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize("side", [10_001, 20_000, 100_000])
def test_a_picture_with_too_many_pixels_is_refused_unread(side):
    with pytest.raises(ImageError, match=r"more than 100,000,000 pixels\. .*allow more \(--max-pixels\)"):
        decode_image(huge_png(side, side), (8, 8, 1))


def test_the_limit_of_pixels_is_exact_and_may_be_raised_above_pillows_own(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    content = encoded(np.full((60, 50), 7, np.uint8))
    with pytest.raises(ImageError, match="more than 2,999 pixels"):
        decode_image(content, (8, 8, 1), max_pixels=2_999)
    assert np.unique(decode_image(content, (8, 8, 1), max_pixels=3_000)).tolist() == [7]


def test_a_file_of_far_more_bytes_than_its_pixels_need_is_not_read(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(2**40)  # one terabyte, of which nothing is stored
    with pytest.raises(ImageError, match=r"huge\.jpg: 1,099,511,627,776 bytes are too many for a picture"):
        decode_image(path, (8, 8, 3))


def test_a_name_with_a_zero_byte_is_an_image_error():
    with pytest.raises(ImageError, match="no such file"):
        decode_image(Path("a\0b.png"), (8, 8, 3))


# What is damaged

NOISE = np.random.default_rng(21).integers(0, 256, (24, 36, 3), np.uint8)
EXIF = Image.Exif()
EXIF.update({0x0112: 1, 0x010F: "a maker", 0x010E: "a description that lies elsewhere"})
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PICTURES = {
    "JPEG": encoded(NOISE, "JPEG"),
    "JPEG with metadata": encoded(NOISE, "JPEG", exif=EXIF, icc_profile=SRGB),
    "PNG with metadata": encoded(NOISE, exif=EXIF, icc_profile=SRGB),
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
    lossless = name in ("PNG", "PNG with metadata", "BMP", "lossless WebP", "TIFF", "TIFF with LZW", "PPM")
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


def mutated(content: bytes, generator: np.random.Generator) -> bytes:
    """A picture file with bits flipped, bytes cut off or out, put in, overwritten or doubled, once or a few times."""
    changed = bytearray(content)
    for _ in range(generator.integers(1, 5)):
        place, other = (int(at) for at in generator.integers(0, len(changed), 2))
        run = bytes(generator.integers(0, 256, generator.integers(1, 9), np.uint8))
        match generator.integers(6):
            case 0:
                changed[place] ^= 1 << int(generator.integers(8))
            case 1:
                del changed[place:]
            case 2:
                del changed[min(place, other) : max(place, other)]
            case 3:
                changed[place:place] = run
            case 4:
                changed[place : place + len(run)] = run
            case 5:
                changed[place:place] = changed[other : other + 64]
        if not changed:
            return b"\0"
    return bytes(changed)


def test_mutated_pictures_are_image_errors_or_decode_to_something(capfd):
    """EYEBRIGHT_FUZZ=2000 makes so many of them."""
    generator = np.random.default_rng(2016)
    read, slowest = 0, 0.0
    many = int(os.environ.get("EYEBRIGHT_FUZZ", "200"))
    with gc_errors() as unraisable:
        for number in range(many):
            name = sorted(PICTURES)[number % len(PICTURES)]
            content = mutated(PICTURES[name], generator)
            shape, fit = ((8, 8, 1), (24, 36, 3), (5, 7, 3))[number % 3], FITS[number // 3 % 3]
            start = time.process_time()
            message = ""
            try:
                image = decode_image(content, shape, fit)
            except ImageError as error:
                message = str(error)
            else:
                assert (image.shape, image.dtype) == (shape, np.uint8)
                read += 1
            assert not message or (message.startswith("the picture: ") and "\n" not in message and len(message) < 400)
            slowest = max(slowest, time.process_time() - start)
    assert not unraisable
    assert 0 < read < many
    assert slowest < 5  # seconds
    out, err = capfd.readouterr()
    assert out == ""
    assert "Traceback" not in err  # libtiff writes there what it thinks of a file; nothing can keep it from that


@contextlib.contextmanager
def gc_errors() -> Iterator[list[object]]:
    """What goes wrong where nobody can catch it, in finalizers."""
    found: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, found.append
    try:
        yield found
        gc.collect()
    finally:
        sys.unraisablehook = before


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


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0" + bytes(40), b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0no TIFF", b"Exif\0\0"]
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_metadata_that_are_none_do_no_harm(exif, file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    plain, with_exif = encoded(NOISE, file_format, **options), encoded(NOISE, file_format, exif=exif, **options)
    np.testing.assert_array_equal(decode_image(with_exif, NOISE.shape), decode_image(plain, NOISE.shape))


def test_a_large_jpeg_that_is_cut_is_no_picture_of_half_of_it():
    content = encoded(np.random.default_rng(3).integers(0, 256, (300, 400, 3), np.uint8), "JPEG")
    for share in (0.1, 0.5, 0.9, 0.99):
        with pytest.raises(ImageError, match="truncated JPEG"):
            decode_image(content[: int(share * len(content))], (16, 16, 3))  # decoded at an eighth of its size


def test_a_lack_of_memory_is_said(monkeypatch):
    def fail(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr("eyebright.data.decode.fitted", fail)
    with pytest.raises(ImageError, match="too large for this machine's memory"):
        decode_image(PICTURES["PNG"], (8, 8, 3))


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").is_dir() else 0


def test_no_file_stays_open(tmp_path):
    path = tmp_path / "cut.png"
    for content in (PICTURES["PNG"], PICTURES["PNG"][:500], b"no picture"):
        path.write_bytes(content)
        before = open_files()
        with contextlib.suppress(ImageError):
            decode_image(path, (8, 8, 3))
        picture_size(path)
        assert open_files() == before
