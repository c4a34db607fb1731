"""Smaller numbers for weights, and for what is computed: which ways there are."""

from __future__ import annotations

from typing import Literal, get_args

from eyebright.errors import SettingsError, suggestion

# "dynamic": weights of 8 bits; what they are multiplied with is rounded to 8 bits as it comes, or not at all, as the
# runtime has it. "static": both have 8 bits, by ranges that were measured on training images. "float16": weights of 16
# bits, or all of it.
Quantization = Literal["dynamic", "static", "float16"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)
CALIBRATION_IMAGES = 200  # whose ranges a static quantisation measures


def check_quantization(name: str, known: tuple[Quantization, ...], quantize: str | None) -> None:
    """Refuse a way that there is not, or not in a format.

    Args:
        name: of the format.
        known: the ways that it has.
        quantize: what was asked for; None for none.

    Raises:
        SettingsError: saying which ways there are.
    """
    if quantize is None or quantize in known:
        return
    if quantize not in QUANTIZATIONS:
        raise SettingsError(f"--quantize {quantize}: no such quantisation.{suggestion(quantize, QUANTIZATIONS)}")
    have = f"{name} has {' and '.join(known)}" if known else f"{name} is written in float32 alone"
    raise SettingsError(f"--quantize {quantize} --format {name}: {have}. Leave --quantize out, or take --format onnx.")
