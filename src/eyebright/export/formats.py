"""The formats that a classifier can be written in, by the names that `--format` takes. Importing this is quick."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from eyebright.errors import SettingsError, StorageError, suggestion
from eyebright.export.quantization import QUANTIZATIONS, Quantization, check_quantization

if TYPE_CHECKING:
    from eyebright.classifier import Classifier
    from eyebright.export.parity import Answer
    from eyebright.views import Images

    Writer = Callable[[Classifier, Path, Quantization | None, Images], None]
    Reader = Callable[[Path], Answer]


ABOUT = "eyebright.json"  # metadata of a directory, beside what a runtime reads: it marks what may be replaced


class Format(NamedTuple):
    """A format of files.

    Attributes:
        name: what a file or directory of it is called if nothing else is asked for.
        directory: whether it is one.
        quantizations: in which ways its numbers can be made smaller.
        module: of this package, with two functions. `write` is given a classifier, a path that is free, how to quantise
            and training images uint8 [n, H, W, C] for that; `read` gives what lies at a path as a function of images.
    """

    name: str
    directory: bool
    quantizations: tuple[Quantization, ...]
    module: str

    @property
    def write(self) -> Writer:
        """Writes a classifier."""
        return self._functions().write  # type: ignore[no-any-return]

    @property
    def read(self) -> Reader:
        """Reads what was written."""
        return self._functions().read  # type: ignore[no-any-return]

    def _functions(self) -> Any:
        return importlib.import_module(f"eyebright.export.{self.module}")


FORMATS = {
    "onnx": Format("model.onnx", False, QUANTIZATIONS, "onnx"),
    "litert": Format("model.tflite", False, QUANTIZATIONS, "litert"),
    "saved_model": Format("saved_model", True, (), "saved_model"),
    "openvino": Format("openvino", True, ("float16",), "openvino"),
}


def check_format(name: str, quantize: str | None, others: Sequence[str] = ()) -> Format:
    """The format of a name.

    Args:
        name: that was asked for.
        quantize: how its numbers are to be made smaller; None for float32.
        others: names that are known elsewhere, for the message about one that is not.

    Raises:
        SettingsError: there is none, or it is not quantised in that way.
    """
    if name not in FORMATS:
        raise SettingsError(f"--format {name}: no such format.{suggestion(name, [*FORMATS, *others])}")
    check_quantization(name, FORMATS[name].quantizations, quantize)
    return FORMATS[name]


def default_name(name: str, quantize: str | None) -> str:
    """What a file or directory of a format is called: model.onnx, model-static.onnx."""
    path = Path(FORMATS[name].name)
    return path.name if quantize is None else f"{path.stem}-{quantize}{path.suffix}"


def check_target(name: str, target: Path) -> None:
    """Refuse a place where nothing can be written, or where something lies that is not an earlier export.

    Raises:
        StorageError: saying why.
    """
    if FORMATS[name].directory:
        if os.path.lexists(target) and not (target / ABOUT).is_file():
            raise StorageError(f"{target}: something else lies there, which is left as it is. Give another -o.")
    elif target.is_dir():
        raise StorageError(f"{target}: this is a directory, and {name} is one file. Give its name with -o.")
    elif target.suffix != (suffix := Path(FORMATS[name].name).suffix):
        raise StorageError(f"{target}: a file of {name} has a name that ends in {suffix}. Give such a one with -o.")
    if not target.parent.is_dir():
        raise StorageError(f"{target}: there is no directory {target.parent}. Make it first.")
