"""What a server serves is always an artefact: a run is packaged as one first, for as long as the server runs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from eyebright.errors import ClassifierError
from eyebright.paths import is_directory
from eyebright.run_paths import is_run

NamedPaths = tuple[tuple[str, Path], ...]


@contextlib.contextmanager
def artefacts(models: NamedPaths) -> Iterator[NamedPaths]:
    """The artefacts of models: those that are files as they are, of runs new ones, which are gone at the end.

    Packaging needs TensorFlow; it is done by another process, so that the server never has it in its memory.

    Raises:
        ClassifierError: a run cannot be packaged.
    """
    if not any(is_directory(path) for _, path in models):
        yield models  # and nothing is written: in a container there may be nowhere to
        return
    with tempfile.TemporaryDirectory(prefix="eyebright-serve-") as directory:
        yield tuple(
            (name, _packaged(path, Path(directory) / f"{name}.eyebright") if is_directory(path) else path)
            for name, path in models
        )


def _packaged(run: Path, artefact: Path) -> Path:
    if not is_run(run):
        raise ClassifierError(f"{run}: neither the directory of a run nor an artefact; nothing else can be served.")
    print(f"Packaging {run}, which takes a moment (eyebright package does it once for all)", file=sys.stderr)  # noqa: T201
    command = [sys.executable, "-m", "eyebright", "package", str(run), "-o", str(artefact)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)  # noqa: S603
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["eyebright package failed"]
        raise ClassifierError(f"{run}: cannot be packaged, so not be served: {lines[-1]}")
    return artefact
