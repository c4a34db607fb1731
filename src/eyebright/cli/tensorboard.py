"""`eyebright tensorboard`: TensorBoard on runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tensorboard(
    runs: Annotated[Path, typer.Argument(help="A run's directory, or one of runs.")] = Path("runs"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 6006,
) -> None:
    """Start TensorBoard on runs; Ctrl-C ends it."""
    from eyebright.errors import MissingExtraError, RunError

    if not runs.is_dir():
        raise RunError(f"{runs}: there is no such directory. Train something first, or name where the runs are.")
    import subprocess
    import sys
    from importlib.util import find_spec

    if find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard", "train")
    arguments = ["--logdir", str(runs), "--host", host, "--port", str(port)]
    raise typer.Exit(subprocess.call([sys.executable, "-m", "tensorboard.main", *arguments]))  # noqa: S603
