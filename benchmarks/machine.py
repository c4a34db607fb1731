"""The machine and the versions that a figure was measured with."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")


def bfloat16_flags() -> list[str]:
    """Which bfloat16 instructions the processor says it has."""
    flags = _cpuinfo().get("flags", "").split()
    return [flag for flag in BFLOAT16_FLAGS if flag in flags]


def processor() -> str:
    """The processor by name, and which bfloat16 instructions it says it has."""
    info = _cpuinfo()
    parts = [
        info.get("model name", platform.processor() or platform.machine()),
        f"family {info['cpu family']} model {info['model']}" if "cpu family" in info else platform.machine(),
        " ".join(bfloat16_flags()) or "no bfloat16 instructions",
    ]
    return ", ".join(parts)


def commit() -> str:
    """The commit that is checked out, with "+" where the package is not as it was committed; "" outside git."""
    git = ["git", "-C", str(Path(__file__).resolve().parent.parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", "src"], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+" if changed.stdout else "")


def describe_machine(versions: dict[str, str]) -> str:
    """The machine in one Markdown paragraph.

    Args:
        versions: further ones, by name, of what another environment runs.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = ("NumPy", "tensorflow-cpu", "TensorFlow", "Keras")
    found = {name: installed for name in names if (installed := _version(name))} | versions
    parts = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        processor(),
        f"{cores} processors, {_threads_a_core()} thread(s) a core as the system sees it",
        platform.system(),
        f"Python {platform.python_version()}",
        *(f"{name} {installed}" for name, installed in found.items()),
    ]
    return ", ".join(parts)


def _cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _threads_a_core() -> str:
    path = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    try:
        siblings = path.read_text(encoding="utf-8").strip()
    except OSError:
        return "?"
    ranges = [part.split("-") for part in siblings.split(",")]
    return str(sum(int(ends[-1]) - int(ends[0]) + 1 for ends in ranges))


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
