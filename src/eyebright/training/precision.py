"""Which arithmetic the matrix products use."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from eyebright.backend import BACKEND, accelerator
from eyebright.models import Architecture
from eyebright.settings import Precision

# Below this many weights a step's time is not in its matrix products, and the conversions to bfloat16 cost more than
# they save (measured: benchmarks/NOTES.md).
_BFLOAT16_PAYS_FROM = 200_000
_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
# What the matrix library may be limited to that leaves bfloat16 in.
_UNLIMITED_ISAS = {
    "", "ALL", "DEFAULT", "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX", "AVX512_CORE_AMX_FP16",
    "AVX10_1_512", "AVX10_1_512_AMX", "AVX10_1_512_AMX_FP16",
}  # fmt: skip
_CPUINFO = Path("/proc/cpuinfo")


def resolve_precision(precision: Precision, architecture: Architecture) -> tuple[Precision, str]:
    """Choose what "auto" means for this model on this processor.

    bfloat16 halves what a matrix product moves and, where the processor multiplies in it (AMX, AVX512-BF16), takes
    less time; anywhere else it is emulated and slower. Weights, their sums and the logits stay float32 in any case.

    Returns:
        The precision, and the reason in words.
    """
    if precision != "auto":
        return precision, "as set"
    if isinstance(architecture.backbone, Architecture):
        return resolve_precision(precision, architecture.backbone)
    if architecture.model == "transfer":
        return "float32", "as its backbone was trained"
    if architecture.model == "softmax":
        return "float32", "one small matrix product"
    height, width, channels = architecture.image_shape
    if architecture.model == "fc" and height * width * channels * architecture.hidden_units < _BFLOAT16_PAYS_FROM:
        return "float32", "faster for so small a network"
    if BACKEND == "jax":
        device = accelerator()
        return ("bfloat16", f"faster on this device ({device})") if device else ("float32", "as JAX is fastest here")
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    if limit.upper() not in _UNLIMITED_ISAS:
        return "float32", f"ONEDNN_MAX_CPU_ISA={limit} leaves bfloat16 arithmetic out"
    found = sorted(_processor_flags() & _BFLOAT16_FLAGS)
    if not found:
        return "float32", "this processor has no bfloat16 arithmetic"
    return "bfloat16", f"faster on this processor ({', '.join(found)})"


def cpuinfo() -> dict[str, str]:
    """What Linux says of the first processor, by Linux's names; nothing elsewhere."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _processor_flags() -> set[str]:
    """The processor's features as Linux names them; none elsewhere."""
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in {"0", "false"}:
        return set()  # TensorFlow was told to do without that library
    if platform.machine() not in {"x86_64", "AMD64"}:
        return set()
    return set(cpuinfo().get("flags", "").split())
