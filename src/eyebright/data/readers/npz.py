"""NumPy's `.npz`: arrays `images` and `labels`, or `x_train`, `y_train`, `x_test`, `y_test` as Keras names them.

| array | what |
| --- | --- |
| `images`, `x_train`, `x_test` | pixels 0 … 255, [N, H, W, C] with 1 or 3 channels, or [N, H, W] (grey) |
| `labels`, `y_train`, `y_test` | class numbers from 0, [N] or [N, 1] |
| `class_names` | optional: names in the order of the labels, [classes]; without it they are "0", "1", … |
| `train`, `validation`, `test` | optional, with `images`: indices of the images of a split |

Pixels should be uint8. Those of another type are taken if uint8 holds each of them exactly (0.0, 1.0, … 255.0);
nothing is rounded, cut off or scaled. Pixels that all lie within 0 … 1 and are not uint8 are refused, as they are
nearly always scaled ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.data.dataset import SPLIT_NAMES, Dataset
from eyebright.data.readers.npz_arrays import NpzFile
from eyebright.errors import DataError

ARRAYS = ("images", "labels")
KERAS_ARRAYS = ("x_train", "y_train", "x_test", "y_test")

_HIGHEST_LABEL = 65_535  # without names for the classes, a larger one is a mistake
_COMPARED_AT_ONCE = 4096  # images, to bound the memory
_TO_UINT8 = "np.asarray(np.round(images * 255), np.uint8)"


def read_npz(path: Path) -> Dataset:
    """Read a `.npz` file. An uncompressed uint8 array `images` is mapped into memory, not read.

    Args:
        path: the file; its name without the ending becomes the data set's.

    Returns:
        With `images`: in their order, with the splits that the file has. With Keras's arrays: training images first,
        with the splits "train" and "test".

    Raises:
        DataError: it cannot be read, is damaged, or holds other arrays, shapes, types or values.
    """
    with NpzFile(path) as file:
        _check_names(file)
        class_names = _class_names(file) if "class_names" in file.names else None
        if file.names.issuperset(ARRAYS):
            images, labels = _pair(file, "images", "labels", class_names)
            splits = {split: _indices(file, split) for split in SPLIT_NAMES if split in file.names}
        else:
            images, labels, splits = _keras_arrays(file, class_names)
    if class_names is None:
        class_names = tuple(str(label) for label in range(int(labels.max()) + 1))
    try:
        return Dataset(images, labels, class_names, path.stem, splits)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _check_names(file: NpzFile) -> None:
    """An array that is not known is refused as well: it could be a misspelt one that would be missed silently."""
    for needed, optional in ((ARRAYS, ("class_names", *SPLIT_NAMES)), (KERAS_ARRAYS, ("class_names",))):
        if file.names.issuperset(needed):
            unknown = sorted(file.names.difference(needed, optional))
            if unknown:
                raise DataError(
                    f"{file.path}: unknown array {unknown[0]!a}. Beside {', '.join(needed)} there may be "
                    f"{', '.join(optional)}. Rename it, or save the file without it."
                )
            return
    found = ascii(sorted(file.names)[:20])[1:-1] or "nothing"
    raise DataError(
        f"{file.path}: it needs the arrays images and labels, or {', '.join(KERAS_ARRAYS)}; it has {found}."
    )


def _keras_arrays(
    file: NpzFile, class_names: tuple[str, ...] | None
) -> tuple[NDArray[np.uint8], NDArray[np.int32], dict[str, NDArray[np.int64]]]:
    x_train, y_train = _pair(file, "x_train", "y_train", class_names)
    x_test, y_test = _pair(file, "x_test", "y_test", class_names)
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{file.path}: an image of x_train has the shape {list(x_train.shape[1:])}, one of x_test "
            f"{list(x_test.shape[1:])}; they must be equal."
        )
    n = len(y_train)
    splits = {"train": np.arange(n), "test": np.arange(n, n + len(y_test))}
    return np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test]), splits


def _pair(
    file: NpzFile, images_name: str, labels_name: str, class_names: tuple[str, ...] | None
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    labels_where = f"{file.path}: {labels_name}"
    images = _pixels(file.array(images_name), f"{file.path}: {images_name}")
    labels = _labels(file.array(labels_name), labels_where, class_names)
    if len(images) != len(labels):
        raise DataError(f"{labels_where}: {len(labels):,} labels for {len(images):,} images.")
    return images, labels


def _pixels(array: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Uint8 [N, H, W, C]."""
    if array.ndim == 3:
        array = array[..., np.newaxis]  # [N, H, W] -> [N, H, W, 1]
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        hint = ""
        if array.ndim == 4 and array.shape[1] in (1, 3):
            hint = f" Channels come last: np.moveaxis({where.split(': ')[-1]}, 1, -1)."
        raise DataError(
            f"{where}: the shape {list(array.shape)} is not [N, height, width] or [N, height, width, channels] with "
            f"1 channel or 3.{hint}"
        )
    if not array.size:
        raise DataError(f"{where}: it has no images (shape {list(array.shape)}).")
    return array if array.dtype == np.uint8 else _exactly_uint8(array, where)


def _exactly_uint8(array: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if array.dtype.kind not in "buif":
        raise DataError(f"{where}: pixels must be numbers, best uint8; these are of type {array.dtype}.")
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 255):  # also where one is not a number
        raise DataError(f"{where}: pixels must lie in 0 … 255; these lie in {low:g} … {high:g} ({array.dtype}).")
    if high <= 1:
        raise DataError(
            f"{where}: {array.dtype} pixels that all lie in {float(low):g} … {float(high):g}, where 0 … 255 is "
            f"needed. If they were scaled to 0 … 1, save them as uint8: {_TO_UINT8}."
        )
    pixels = np.empty(array.shape, np.uint8)
    for start in range(0, len(array), _COMPARED_AT_ONCE):
        chunk = array[start : start + _COMPARED_AT_ONCE]
        pixels[start : start + _COMPARED_AT_ONCE] = chunk
        if not (pixels[start : start + _COMPARED_AT_ONCE] == chunk).all():
            raise DataError(
                f"{where}: {array.dtype} pixels that are no whole numbers. Nothing is rounded here; save them as "
                "uint8: np.asarray(np.round(images), np.uint8)."
            )
    return pixels


def _labels(array: NDArray[Any], where: str, class_names: tuple[str, ...] | None) -> NDArray[np.int32]:
    """Int32 [N]."""
    if array.dtype.kind not in "buif":
        raise DataError(f"{where}: labels must be whole numbers from 0; these are of type {array.dtype}.")
    if array.dtype.kind == "f":
        array = array.astype(np.float64)  # float16 cannot be compared with what is beyond it
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # [N, 1] -> [N], as Keras has CIFAR's
    if array.ndim != 1:
        raise DataError(
            f"{where}: the shape {list(array.shape)} is not [N]. Of one-hot labels make numbers: "
            f"np.argmax({where.split(': ')[-1]}, axis=1)."
        )
    missing = ~(array >= 0)  # negative, or not a number
    if missing.all():
        raise DataError(f"{where}: all {len(array):,} labels are missing (none is a number from 0).")
    highest = _HIGHEST_LABEL if class_names is None else len(class_names) - 1
    wrong = np.flatnonzero(missing | (array > highest) | (np.trunc(array) != array))
    if wrong.size:
        first = int(wrong[0])
        raise DataError(
            f"{where}: image {first:,} (the first is 0) has the label {array[first]}; labels are whole numbers in "
            f"0 … {highest:,} ({wrong.size:,} of {len(array):,} are not)."
        )
    return array.astype(np.int32)


def _class_names(file: NpzFile) -> tuple[str, ...]:
    array = file.array("class_names")
    if array.ndim != 1 or array.dtype.kind not in "US":
        raise DataError(f"{file.path}: class_names must be strings [classes]; it is {array.dtype} {list(array.shape)}.")
    try:
        return tuple(name.decode() if isinstance(name, bytes) else name for name in array.tolist())
    except UnicodeDecodeError as error:
        raise DataError(f"{file.path}: class_names is not in UTF-8.") from error


def _indices(file: NpzFile, split: str) -> NDArray[np.int64]:
    array = file.array(split)
    if array.ndim != 1 or array.dtype.kind not in "ui":
        raise DataError(
            f"{file.path}: {split} must be indices of images, int64 [n]; it is {array.dtype} {list(array.shape)}."
        )
    return array.astype(np.int64)
