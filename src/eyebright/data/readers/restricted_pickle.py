"""Reading the pickles of CIFAR's Python version without running anything that is in them.

A pickle is a program for a small stack machine, and Python's own machine imports and calls what the program names.
This one knows the instructions that those files need and no others, imports nothing and calls nothing: where a
CIFAR pickle calls NumPy to rebuild an array, it makes a uint8 array over the bytes that the file holds. What it
makes of a file is bytes, str, int, bool, None, list, dict, tuple and uint8 arrays, in space and time that grow no
faster than the file.

The official files are protocol 2, written by Python 2; protocols 2 to 4 as Python 3 writes them are read as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.errors import DataError

# The largest file, CIFAR-100's `train`, has about 400,000 instructions. An instruction of one byte can make an object
# of some 60, so this also bounds what a file of empty lists can fill the memory with.
_MAX_INSTRUCTIONS = 2_000_000


class _Name(Enum):
    """Stands for what a pickle names, on the machine's stack: there is nothing behind it to call."""

    RECONSTRUCT = "numpy.core.multiarray._reconstruct"
    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"
    ENCODE = "_codecs.encode"
    UINT8 = "numpy.dtype('u1')"


_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _Name.RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _Name.RECONSTRUCT,  # since NumPy 2
    ("numpy", "ndarray"): _Name.NDARRAY,
    ("numpy", "dtype"): _Name.DTYPE,
    ("_codecs", "encode"): _Name.ENCODE,  # how Python 3 writes bytes in protocol 2
}


class _Array:
    """An array between the instruction that announces it and the one that gives its shape and bytes."""

    value: NDArray[np.uint8] | None = None


class _RefusedError(Exception):
    """The pickle asks for something that is not admitted."""


def restricted_loads(content: bytes, path: Path) -> object:
    r"""What a pickle holds, if it is no more than CIFAR's Python version needs.

    Args:
        content: the pickle, all of it.
        path: where it comes from, for messages.

    Returns:
        Its bytes (Python 2's `str`), str, int, list, dict, tuple and uint8 arrays.

    Raises:
        DataError: it is damaged, goes on after its end, or holds anything else. Nothing of it was run.

    >>> restricted_loads(b"\x80\x02]q\x00(K\x01U\x02abe.", Path("example"))
    [1, b'ab']
    """
    machine = _Machine(content)
    try:
        value = machine.run()
    except _RefusedError as error:
        raise DataError(
            f"{path}: refused at byte {machine.position:,}: {error}. CIFAR's files need no such thing; this one may "
            "have been made to run a program when it is opened. Nothing of it was run. Fetch the official file."
        ) from error
    except (IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: damaged pickle (at byte {machine.position:,} of {len(content):,}).") from error
    if machine.position != len(content):
        raise DataError(
            f"{path}: damaged: the pickle ends at byte {machine.position:,}, the file has {len(content):,}."
        )
    return value


class _Machine:
    """The stack machine. Instructions and their arguments are those of the standard library's `pickletools`."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0
        self.operations: dict[int, Callable[[], object]] = self._operations()

    def run(self) -> object:
        """Carry out the instructions up to STOP."""
        operations = self.operations
        for _ in range(_MAX_INSTRUCTIONS):
            opcode = self._take(1)[0]
            if opcode == ord("."):  # STOP
                (value,) = self.stack
                return _finished(value)
            operation = operations.get(opcode)
            if operation is None:
                raise _RefusedError(f"the pickle instruction 0x{opcode:02x}")
            operation()
        raise _RefusedError(f"more than {_MAX_INSTRUCTIONS:,} instructions")

    def _operations(self) -> dict[int, Callable[[], object]]:
        return {
            0x80: partial(self._take, 1),  # PROTO: the instructions themselves decide
            0x95: partial(self._take, 8),  # FRAME
            ord("N"): partial(self._push, None),
            0x88: partial(self._push, True),
            0x89: partial(self._push, False),
            ord("K"): lambda: self._push(self._integer(1)),  # BININT1
            ord("M"): lambda: self._push(self._integer(2)),  # BININT2
            ord("J"): lambda: self._push(self._integer(4, signed=True)),  # BININT
            0x8A: self._long,  # LONG1
            ord("U"): lambda: self._push(self._counted(1)),  # SHORT_BINSTRING
            ord("T"): lambda: self._push(self._counted(4)),  # BINSTRING
            ord("C"): lambda: self._push(self._counted(1)),  # SHORT_BINBYTES
            ord("B"): lambda: self._push(self._counted(4)),  # BINBYTES
            0x8C: lambda: self._push(self._counted(1).decode()),  # SHORT_BINUNICODE
            ord("X"): lambda: self._push(self._counted(4).decode()),  # BINUNICODE
            ord("]"): lambda: self._push([]),
            ord("}"): lambda: self._push({}),
            ord(")"): partial(self._push, ()),
            0x85: lambda: self._push(tuple(self._pop(1))),
            0x86: lambda: self._push(tuple(self._pop(2))),
            0x87: lambda: self._push(tuple(self._pop(3))),
            ord("("): self._mark,
            ord("t"): lambda: self._push(tuple(self._pop_to_mark())),
            ord("a"): lambda: self._append(self._pop(1)),
            ord("e"): lambda: self._append(self._pop_to_mark()),
            ord("s"): lambda: self._set_items(self._pop(2)),
            ord("u"): lambda: self._set_items(self._pop_to_mark()),
            ord("q"): lambda: self._remember(self._integer(1)),  # BINPUT
            ord("r"): lambda: self._remember(self._integer(4)),  # LONG_BINPUT
            0x94: lambda: self._remember(len(self.memo)),  # MEMOIZE
            ord("h"): lambda: self._push(self.memo[self._integer(1)]),  # BINGET
            ord("j"): lambda: self._push(self.memo[self._integer(4)]),  # LONG_BINGET
            ord("c"): lambda: self._push_name(self._line(), self._line()),  # GLOBAL
            0x93: lambda: self._push_name(*self._pop(2)),  # STACK_GLOBAL
            ord("R"): lambda: self._reduce(*self._pop(2)),
            ord("b"): lambda: self._build(*self._pop(1)),
        }

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.content):
            raise ValueError("cut short")
        taken = self.content[self.position : end]
        self.position = end
        return taken

    def _integer(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self._take(size), "little", signed=signed)

    def _long(self) -> None:
        size = self._integer(1)
        if size > 8:
            raise _RefusedError(f"a number of {size} bytes")
        self._push(self._integer(size, signed=True))

    def _counted(self, size: int) -> bytes:
        return self._take(self._integer(size))

    def _line(self) -> str:
        end = self.content.index(b"\n", self.position)
        return self._take(end + 1 - self.position)[:-1].decode("ascii")

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("nothing on the stack")
        popped = self.stack[-count:]
        del self.stack[-count:]
        return popped

    def _mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _pop_to_mark(self) -> list[Any]:
        popped, self.stack = self.stack, self.marks.pop()
        return popped

    def _append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("no list")
        target.extend(values)

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        # Only these keys: hashing a tuple of tuples of … recurses without limit.
        if type(target) is not dict or not all(type(key) in (bytes, str, int) for key in items[::2]):
            raise TypeError("no dict, or a key that is no string or number")
        target.update(zip(items[::2], map(_finished, items[1::2]), strict=True))

    def _remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def _push_name(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:
            raise TypeError("a name that is no string")
        if (module, name) not in _ADMITTED:
            raise _RefusedError(f"it names {f'{module}.{name}'!a:.100}")
        self._push(_ADMITTED[module, name])

    def _reduce(self, called: object, arguments: Any) -> None:
        """Stand in for the three calls that the admitted names are for."""
        if type(called) is not _Name or type(arguments) is not tuple:
            raise TypeError("no call")
        if called is _Name.RECONSTRUCT and arguments[0] is _Name.NDARRAY:
            self._push(_Array())
        elif called is _Name.DTYPE and type(arguments[0]) in (bytes, str):
            if arguments[0] not in (b"u1", "u1"):
                raise _RefusedError(f"an array of type {arguments[0]!r:.40} (pixels are 'u1')")
            self._push(_Name.UINT8)
        elif called is _Name.ENCODE and type(arguments[0]) is str and arguments[1:] == ("latin1",):
            self.encoded += len(arguments[0])
            if self.encoded > len(self.content):  # one long string, encoded again and again, would fill the memory
                raise _RefusedError("more bytes than the file has")
            self._push(arguments[0].encode("latin1"))
        else:
            raise _RefusedError(f"a call of {called.value} with unusual arguments")

    def _build(self, state: Any) -> None:
        target = self.stack[-1]
        if type(state) is not tuple:
            raise TypeError("no state of an array or type")
        if type(target) is _Array:
            target.value = _uint8_array(*state)
        elif target is not _Name.UINT8:  # the state of a type is its byte order, and a byte has none
            raise _RefusedError("setting the state of something that is no array")


def _uint8_array(_version: object, shape: Any, dtype: object, fortran_order: object, data: Any) -> NDArray[np.uint8]:
    if dtype is not _Name.UINT8 or type(data) is not bytes:
        raise TypeError("no array of bytes")
    if type(shape) is not tuple or len(shape) > 4 or not all(type(n) is int and n >= 0 for n in shape):
        raise TypeError("no shape")
    if math.prod(shape) != len(data):
        raise ValueError("another number of bytes than the shape says")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran_order else "C")


def _finished(value: Any) -> Any:
    if type(value) is not _Array:
        return value
    if value.value is None:
        raise ValueError("an array without shape and bytes")
    return value.value
