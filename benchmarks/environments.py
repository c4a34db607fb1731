"""Interpreters of libraries that only the benchmarks use, each in an environment of its own, built on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".benchmark-venv"


def peer_python(library: str) -> str:
    """The interpreter that has what peers/requirements-<library>.txt says."""
    requirements = HERE / "peers" / f"requirements-{library}.txt"
    environment = ENVIRONMENTS / library
    python, stamp = environment / "bin" / "python", environment / ".built-from"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != requirements.read_text(encoding="utf-8"):
        print(f"building {environment.relative_to(HERE.parent)} from {requirements.name}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(requirements)], check=True)
        stamp.write_text(requirements.read_text(encoding="utf-8"), encoding="utf-8")
    return str(python)
