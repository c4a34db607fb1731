"""Which library computes, settled before anything imports it: a process cannot change it afterwards."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Annotated

import typer

Backend = Annotated[
    str | None,
    typer.Option(
        metavar="tensorflow|jax",
        help="What computes. If not given: what the variable KERAS_BACKEND says; of a resumed run, what it was trained "
        "with last (of several runs, or a search, what they were begun with); jax where it finds a GPU or TPU (and the "
        "extra jax is installed), otherwise tensorflow.",
        show_default=False,
    ),
]


def choose_backend(backend: str | None, run: Path | None = None) -> None:
    """Set the backend of this process.

    Args:
        backend: what the user asks for; None asks for the best there is.
        run: a run, or a directory of several, that is gone on with or trained again, to the bit if it is on the same
            backend.

    A name that is none is refused where the library is imported.
    """
    if backend is None and os.environ.get("KERAS_BACKEND"):
        return
    os.environ["KERAS_BACKEND"] = backend or (_of_run(run) if run else None) or _best()


def _of_run(run: Path) -> str | None:
    """The backend that a run was trained with last, by its record; None where that does not say."""
    try:
        versions = json.loads((run / "environment.json").read_bytes())["environments"][-1]["versions"]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None  # whoever reads the record says what is wrong with it
    return next((name for name in ("tensorflow", "jax") if name in versions and importlib.util.find_spec(name)), None)


def _best() -> str:
    # JAX itself takes half a second; without one of its plug-ins there is nothing but the processor to find.
    if importlib.util.find_spec("jax") and any(map(importlib.util.find_spec, ("jax_plugins", "libtpu"))):
        import jax

        if jax.default_backend() != "cpu":
            return "jax"
    return "tensorflow" if importlib.util.find_spec("tensorflow") else "jax"
