"""An ONNX graph with smaller numbers, by ONNX Runtime's own tools."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.export.quantization import Quantization
from eyebright.onnx_network import INPUT
from eyebright.views import Images

_AT_ONCE = 20  # calibration images


def quantized(graph: bytes, quantize: Quantization, images: Images) -> bytes:
    """A graph with smaller numbers inside; what goes in and comes out stays as it is.

    Args:
        graph: as `onnx_graph` makes it.
        quantize: how.
        images: uint8 [n, H, W, C], training images, for "static" alone.

    Returns:
        The serialised model.
    """
    if quantize == "float16":
        return _float16(graph)
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static

    class Pictures(CalibrationDataReader):  # type: ignore[misc]
        """The images, some at once."""

        def __init__(self) -> None:
            self._parts = iter(np.split(images, range(_AT_ONCE, len(images), _AT_ONCE)))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            part = next(self._parts, None)
            return None if part is None else {INPUT: part}

    logging.getLogger().addFilter(_is_no_advice)
    try:
        with tempfile.TemporaryDirectory(prefix="eyebright-") as directory:
            whole, small = Path(directory) / "whole.onnx", Path(directory) / "small.onnx"
            whole.write_bytes(graph)
            if quantize == "dynamic":
                quantize_dynamic(
                    whole, small, weight_type=QuantType.QUInt8
                )  # of convolutions, ONNX Runtime has no other
            else:
                quantize_static(whole, small, Pictures(), per_channel=True)
            return small.read_bytes()
    finally:
        logging.getLogger().removeFilter(_is_no_advice)


def _float16(graph: bytes) -> bytes:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load_from_string(graph), keep_io_types=True)
    return bytes(model.SerializeToString(deterministic=True))


def _is_no_advice(record: Any) -> bool:
    """The tools advise to simplify a graph first, which was done when it was made."""
    return "pre-processing" not in record.getMessage()
