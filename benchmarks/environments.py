"""Interpreters of libraries that only the benchmarks use, each in an environment of its own, built on first use."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".benchmark-venv"


def peer_python(library: str) -> str:
    """The interpreter that has what peers/requirements-<library>.txt says."""
    return _python(library, (HERE / "peers" / f"requirements-{library}.txt").read_text(encoding="utf-8"))


def base_python() -> str:
    """The interpreter that has what Eyebright's base package depends on, as the lock pins it, and nothing else."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    lock = (HERE.parent / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^([\w.-]+==[^\\\n]+)", lock, re.MULTILINE)  # without hashes: what these need is among them
    return _python("base", "\n".join(project["project"]["dependencies"]), "\n".join(pinned))


def _python(name: str, requirements: str, constraints: str = "") -> str:
    environment = ENVIRONMENTS / name
    python, stamp = environment / "bin" / "python", environment / ".built-from"
    built_from = f"{requirements}\n{constraints}" if constraints else requirements
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != built_from:
        print(f"building {environment.relative_to(HERE.parent)}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        files = {"-r": requirements, "-c": constraints}
        arguments = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for option, content in files.items():
            path = environment / f"pip{option}.txt"
            path.write_text(content, encoding="utf-8")
            arguments += [option, str(path)]
        subprocess.run(arguments, check=True)
        stamp.write_text(built_from, encoding="utf-8")
    return str(python)
