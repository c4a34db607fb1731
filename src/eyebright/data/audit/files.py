"""Findings about picture files: those that cannot be read, misnamed ones, unusual sizes, proportions and pixels."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

import numpy as np

from eyebright.data.audit.collection import Collection
from eyebright.data.audit.report import Finding
from eyebright.data.pictures import PictureFile

_SUFFIXES = {
    "AVIF": (".avif",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
_EXTREME_RATIO = 3.0  # of a picture's longer side to its shorter one: photographs reach 2
_BEYOND_OTHERS = 1.5  # times the median ratio: where all pictures are panoramas, none of them is odd
_RARE = 0.05  # the share of pictures below which a size or a kind of pixels is odd, if nearly all others agree
_MUCH_SMALLER = 16  # times less pixels than the median picture: little of it is left at the others' size


def unreadable_files(collection: Collection) -> list[Finding]:
    """A finding for each file that cannot be read."""
    return [
        Finding(
            "truncated" if failure.reason.startswith("truncated ") else "unreadable",
            f"{failure.path}: {failure.reason}",
            (failure.path,),
            (failure.path,),
        )
        for failure in collection.failures
    ]


def misnamed_files(collection: Collection) -> list[Finding]:
    """A finding for each file whose name ends like those of another format."""
    findings = []
    for path, file in _files(collection):
        suffix = PurePosixPath(path).suffix.lower()
        if suffix and suffix not in _SUFFIXES[file.format]:
            findings.append(
                Finding("wrong-extension", f"{path}: its name ends in {suffix}, and it is {file.format}", (path,))
            )
    return findings


def odd_proportions(collection: Collection) -> list[Finding]:
    """A finding for each picture that is far wider or higher than usual, and than the others."""
    files = _files(collection)
    if not files:
        return []
    ratios = np.array([max(file.size) / min(file.size) for _, file in files])
    limit = max(_EXTREME_RATIO, _BEYOND_OTHERS * float(np.median(ratios)))
    return [
        Finding("extreme-aspect", f"{path}: {_size(file)}, {ratio:.1f} to 1", (path,))
        for (path, file), ratio in zip(files, ratios, strict=True)
        if ratio >= limit
    ]


def odd_sizes(collection: Collection) -> list[Finding]:
    """A finding for each picture of another size than nearly all, or, where sizes differ, of a far smaller one."""
    files = _files(collection)
    sizes = Counter(file.size for _, file in files)
    if not files:
        return []
    usual, count = sizes.most_common(1)[0]
    if len(files) - count < _RARE * len(files):
        odd = [(path, file) for path, file in files if file.size != usual]
        others = f"nearly all others are {usual[1]} × {usual[0]}"
    else:
        median = float(np.median([_pixels(file) for _, file in files]))
        odd = [(path, file) for path, file in files if _pixels(file) * _MUCH_SMALLER <= median]
        others = f"half of all have {median:,.0f} pixels or more"
    return [Finding("odd-size", f"{path}: {_size(file)} pixels; {others}", (path,)) for path, file in odd]


def odd_modes(collection: Collection) -> list[Finding]:
    """A finding for each picture with another kind of pixels than nearly all."""
    files = _files(collection)
    if not files:
        return []
    usual, count = Counter(kind_of_pixels(file) for _, file in files).most_common(1)[0]
    if len(files) - count >= _RARE * len(files):
        return []
    return [
        Finding("odd-mode", f"{path}: {kind_of_pixels(file)}; nearly all others are {usual}", (path,))
        for path, file in files
        if kind_of_pixels(file) != usual
    ]


def kind_of_pixels(file: PictureFile) -> str:
    """The kind of a picture's pixels, for people: Pillow has many modes for the same."""
    if file.mode.startswith("I"):
        return "grey of 16 bits"
    names = {"1": "black and white", "L": "grey", "LA": "grey with transparency", "RGB": "colour", "P": "a palette"}
    with_more = {"RGBA": "colour with transparency", "PA": "a palette", "CMYK": "CMYK"}
    return (names | with_more).get(file.mode, file.mode)


def _files(collection: Collection) -> list[tuple[str, PictureFile]]:
    paths = collection.dataset.paths if collection.dataset else ()
    return list(zip(paths, collection.files, strict=False))  # no files for arrays


def _size(file: PictureFile) -> str:
    return f"{file.size[1]:,} × {file.size[0]:,}"


def _pixels(file: PictureFile) -> int:
    return file.size[0] * file.size[1]
