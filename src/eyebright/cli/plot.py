"""`eyebright plot`: the course of training as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plot(
    runs: Annotated[list[Path], typer.Argument(help="Directories of runs.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The picture (PNG).", show_default="RUN/training.png of the first"),
    ] = None,
) -> None:
    """Draw loss and accuracy over the steps of runs."""
    from eyebright.errors import SettingsError
    from eyebright.evaluation.training_chart import draw_training

    path = output or runs[0] / "training.png"
    if path.suffix.lower() != ".png":
        raise SettingsError(f"--output {path}: the picture is a PNG; give a name that ends in .png.")
    draw_training(runs, path)
    print(path)
