"""`eyebright tensorboard`: TensorBoard on runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tensorboard(
    runs: Annotated[Path, typer.Argument(help="A run's directory, or one of runs.")] = Path("runs"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on, 0 for any. [default: 6006, or the next that is free]"),
    ] = None,
) -> None:
    """Start TensorBoard on runs; Ctrl-C ends it."""
    from eyebright.errors import MissingExtraError, RunError
    from eyebright.paths import is_directory

    if not is_directory(runs):
        raise RunError(f"{runs}: there is no such directory. Train something first, or name where the runs are.")
    import logging
    import sys
    from importlib.util import find_spec
    from types import ModuleType

    if find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard", "train")
    # Where there is a module of this name, TensorBoard does without TensorFlow. Nothing in a run's files needs it, and
    # to import it takes seconds and writes half a screen.
    sys.modules["tensorboard.compat.notf"] = ModuleType("notf")
    from tensorboard import default, program

    logging.getLogger("tensorboard").setLevel(logging.CRITICAL)  # its errors, which it prints as well
    server = program.TensorBoard(default.get_plugins())
    server.configure(logdir=str(runs), host=host, port=port)
    raise typer.Exit(2 if server.main() else 0)  # a port that is taken, say
