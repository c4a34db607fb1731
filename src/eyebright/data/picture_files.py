"""The bytes of a picture file: reading them, and saying what is wrong with those that are no picture."""

from __future__ import annotations

import stat
from pathlib import Path

from eyebright.errors import ImageError

# Not all that Pillow opens: EPS would run Ghostscript, some formats have no signature and take any bytes, and JPEG 2000
# can be cut where it still decodes, to black.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

# What a file is that has these bytes at this offset. Those in `FORMATS` can be read.
_SIGNATURES = (
    (0, b"\xff\xd8", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    *((0, b"P%d" % i, "PPM") for i in range(1, 7)),
    *((0, start, "TIFF") for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (8, b"WEBP", "WEBP"),
    *((4, b"ftyp" + brand, "AVIF") for brand in (b"avif", b"avis")),
    *((4, b"ftyp" + b, "HEIC") for b in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")),
    (4, b"ftyp", "a video"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"version https://git-lfs", "a Git LFS pointer (git lfs pull gets the file)"),
)
_BYTES_A_PIXEL = 16  # the most that any format needs: four channels of 32 bits
_BYTES_BESIDE = 64 * 2**20  # of metadata, further frames and so on
_LONGEST_REASON = 200  # characters of a decoder's own message


def read_picture_file(path: Path, max_pixels: int) -> bytes:
    """The whole content of a picture file.

    Raises:
        ImageError: it is missing, no regular file, empty, unreadable, or has far more bytes than a picture of
            `max_pixels` pixels.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise ImageError(f"{path}: this is {kind}, not a picture.")
        if status.st_size > max_pixels * _BYTES_A_PIXEL + _BYTES_BESIDE:
            raise ImageError(
                f"{path}: {status.st_size:,} bytes are too many for a picture of at most {max_pixels:,} pixels. Make "
                "it smaller first, or allow more (--max-pixels)."
            )
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file.") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # a zero byte in the name
        raise ImageError(f"{str(path)!r}: no such file.") from error
    if not content:
        raise ImageError(f"{path}: empty (0 bytes).")
    return content


def kind_of(content: bytes) -> str | None:
    """What kind of file begins with these bytes, for example "JPEG"; None where that is not known."""
    return next((kind for offset, signature, kind in _SIGNATURES if content.startswith(signature, offset)), None)


def diagnosis(content: bytes, error: Exception) -> str:
    """What is wrong with bytes that could not be decoded.

    Args:
        content: of the file.
        error: what the decoder raised.
    """
    from PIL import UnidentifiedImageError

    if isinstance(error, MemoryError):
        return "too large for this machine's memory. Make it smaller first."
    kind = kind_of(content)
    unknown = isinstance(error, UnidentifiedImageError)
    if kind not in FORMATS and unknown:
        looks = f"it begins like {kind}" if kind else f"it begins with the bytes {content[:8].hex(' ')}"
        advice = " Convert it to JPEG or PNG." if kind == "HEIC" else ""
        return f"no picture that can be read: {looks}.{advice} What can be read: {', '.join(FORMATS)}."
    kind = kind or "picture"
    expected = _expected_bytes(content)
    if len(content) < expected:
        return f"truncated {kind} ({len(content):,} of at least {expected:,} bytes). Get the whole file."
    reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
    if "truncated" in reason.lower():
        return f"truncated {kind} ({len(content):,} bytes; its end is missing). Get the whole file."
    if unknown:
        reason = "its header cannot be read, or is one of a kind that is not known"
    return f"damaged {kind} ({len(content):,} bytes): {reason}. Get it anew, or convert it."


def _expected_bytes(content: bytes) -> int:
    """How long a file must at least be by what it says itself; 0 where its format does not say."""
    if content.startswith(b"BM"):
        return int.from_bytes(content[2:6], "little")
    if content.startswith(b"RIFF"):
        return int.from_bytes(content[4:8], "little") + 8
    if content.startswith(b"\x89PNG"):
        end = 8  # of the signature, then of each chunk: length, type, data, checksum
        while end + 8 <= len(content):
            chunk = content[end + 4 : end + 8]
            end += 12 + int.from_bytes(content[end : end + 4], "big")
            if chunk == b"IEND":
                return end
        return end + 12  # the chunk IEND, the last, has 12 bytes
    return 0
