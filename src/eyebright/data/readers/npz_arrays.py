"""The arrays of a `.npz` file, which is a zip archive of `.npy` files: verified, never unpickled, mapped if it can be.

NumPy's own `np.load` neither checks the sizes in a header before it reserves memory nor maps an archive's arrays.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eyebright.data.readers.files import cannot_read
from eyebright.errors import DataError

_ENDING = ".npy"
_LONGEST_HEADER = 65_536  # bytes; NumPy refuses headers of more than 10,000
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, …, length of the name, length of the extra field
_ENCRYPTED = 0x1


class NpzFile:
    """An open `.npz` file; use it in a `with` statement.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read or is no zip archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DataError(f"{path}: {'this is no regular file' if path.exists() else 'missing'}.")
        with self._damage_named():
            with path.open("rb") as file:
                file.read(1)  # zipfile would take what cannot be read for what is no archive
            self._archive = zipfile.ZipFile(path)
        self._members = {member.filename.removesuffix(_ENDING): member for member in self._archive.infolist()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._archive.close()

    @property
    def names(self) -> set[str]:
        """Names of the arrays (and of whatever else is in the archive)."""
        return set(self._members)

    def array(self, name: str) -> NDArray[Any]:
        """An array, read-only; of an uncompressed archive a view of the file, mapped into memory.

        Raises:
            DataError: it is damaged, or an array of Python objects, which only a pickle can hold.
        """
        with self._damage_named(f" (array {name})"):
            content = self._content(self._members[name])
            shape, fortran_order, dtype, start = _read_header(content)
            if dtype.hasobject:
                raise DataError(
                    f"{self.path}: {name} is an array of Python objects. Reading it could run a program, so it is "
                    f"refused. Save it as an array of numbers."
                )
            if start + math.prod(shape) * dtype.itemsize != len(content):
                raise ValueError("its header says another size")
            return np.ndarray(shape, dtype, content.data, start, order="F" if fortran_order else "C")

    def _content(self, member: zipfile.ZipInfo) -> NDArray[np.uint8]:
        """Uint8 [bytes]: the `.npy` file, its CRC-32 verified."""
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED or not member.file_size:
            return np.frombuffer(self._archive.read(member), np.uint8)
        with self.path.open("rb") as file:
            file.seek(member.header_offset)
            signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        if signature != b"PK\x03\x04":
            raise zipfile.BadZipFile("no file where the directory says")
        start = member.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
        content = np.memmap(self.path, np.uint8, "r", start, (member.file_size,))
        if zlib.crc32(content.data) != member.CRC:
            raise zipfile.BadZipFile("wrong CRC-32")
        return content

    @contextlib.contextmanager
    def _damage_named(self, which: str = "") -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except OSError as error:
            raise cannot_read(self.path, error) from error
        except MemoryError as error:
            raise DataError(f"{self.path}: too large for this machine's memory{which}.") from error
        except Exception as error:
            # What zipfile and NumPy raise for damaged files is a long list that grows with their versions.
            raise DataError(f"{self.path}: damaged or no .npz file{which}: {error}. Save it again.") from error


def _read_header(content: NDArray[np.uint8]) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """(shape, whether in Fortran order, type, where the values begin) of a `.npy` file."""
    header = io.BytesIO(content[:_LONGEST_HEADER].tobytes())
    version = np.lib.format.read_magic(header)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"format version {version}")  # 3.0 is for field names, and no field is needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that Python 2 wrote it
        shape, fortran_order, dtype = readers[version](header)
    return shape, fortran_order, dtype, header.tell()
