"""Arrays by name as the bytes of an .npz file, and back. No pickles."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
from numpy.lib.format import read_array, read_array_header_1_0, read_array_header_2_0, read_magic
from numpy.typing import NDArray

_HEADERS = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}  # by version of an array's format


def arrays_to_npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Arrays by name as the bytes of an .npz file (NumPy dates its entries 1980: same arrays, same bytes)."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def npz_to_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Arrays by name from the bytes of a file that `arrays_to_npz` wrote.

    They need no more memory than the file has bytes: members are stored, and as long as their headers say. Compressed
    members, which could unpack to any size, and pickled objects are refused.

    Raises:
        ValueError: it is none, or is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _arrays(archive, len(content))
    except ValueError:
        raise
    except Exception as error:  # there is no closed list of what their readers raise for damaged bytes
        raise ValueError(f"no .npz file: {error}") from error


def _arrays(archive: zipfile.ZipFile, size: int) -> dict[str, NDArray[Any]]:
    members = archive.infolist()
    if sum(member.compress_size for member in members) > size:
        raise ValueError("no .npz file: its members are larger than the file")
    return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise ValueError(f"{member.filename}: compressed, which no member is")
    with archive.open(member) as file:
        version = read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{member.filename}: no array of a version that is read here")
        shape, _, dtype = _HEADERS[version](file)
        if dtype.hasobject or not dtype.itemsize or min(shape, default=0) < 0:
            raise ValueError(f"{member.filename}: no array of numbers")
        if file.tell() + math.prod(shape) * dtype.itemsize != member.file_size:  # before any of it is allocated
            raise ValueError(f"{member.filename}: not as long as an array of its shape and type")
        file.seek(0)
        return read_array(file, allow_pickle=False)
