"""`eyebright explain`: where in pictures the evidence for a class lies, as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from eyebright.cli.output import check_png
from eyebright.cli.picture_paths import expanded

_METHODS = ("grad-cam", "smoothgrad", "integrated-gradients", "occlusion")


def explain(
    run: Annotated[Path, typer.Argument(help="Directory of a finished run, or of a saved classifier.")],
    images: Annotated[list[str], typer.Argument(help="Picture files or globs, of any size and mode.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The picture (PNG).",
            show_default="RUN/explanation.png; of a saved classifier explanation.png",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(_METHODS),
            help="grad-cam: the last maps of a network with convolutions, coarse. smoothgrad, integrated-gradients: "
            "pixel by pixel, any model. occlusion: hides one window after the other, any model.",
            show_default="grad-cam where the last maps have 3 × 3 cells or more, else integrated-gradients",
        ),
    ] = None,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Evidence for which class.", show_default="the likeliest of each")
    ] = None,
) -> None:
    """Draw where in pictures the evidence for a class lies.

    A row a picture: the picture as the classifier takes it, and the heat over it, bright where the evidence is.

    A picture that cannot be read does not stop the others; the exit code is then 3, or 2 if none could be read.
    """
    from eyebright.errors import ImageError, SettingsError, suggestion
    from eyebright.run_paths import is_run

    # A saved classifier's directory holds what its manifest lists, and nothing else.
    path = output or (run if is_run(run) else Path()) / "explanation.png"
    check_png(path, "picture")
    names = expanded(images)
    if path.exists() and path.resolve() in {Path(name).resolve() for name in names if "\0" not in name}:
        raise SettingsError(f"--output {path}: this is one of the pictures to explain. Give another name.")
    if method is not None and method not in _METHODS:
        raise SettingsError(f"--method {method}: no such method.{suggestion(method, _METHODS)}")

    import numpy as np

    from eyebright.classifier import Classifier
    from eyebright.data.decode import decode_image
    from eyebright.evaluation.explain import METHODS, draw_explanations
    from eyebright.evaluation.explain import explain as explain_images

    classifier = Classifier.load(run)
    if class_name is not None and class_name not in classifier.class_names:
        raise SettingsError(f"--class {class_name}: no such class.{suggestion(class_name, classifier.class_names)}")
    readable, pictures, failed = [], [], 0
    for name in names:
        try:
            pictures.append(decode_image(Path(name), classifier.image_shape, classifier.fit))
            readable.append(name)
        except ImageError as error:
            print(error, file=sys.stderr)
            failed += 1
    if not pictures:
        raise typer.Exit(2)
    stack = np.stack(pictures)
    classes = None if class_name is None else np.full(len(stack), classifier.class_names.index(class_name))
    found = explain_images(classifier, stack, classes, method, progress=True)
    draw_explanations(classifier, stack, found, readable, path)
    print(f"{found.method}: {METHODS[found.method]}", file=sys.stderr)
    for name, label, probability in zip(readable, found.classes, found.probabilities, strict=True):
        print(f"{name}: {classifier.class_names[label]}, {probability:.3f}", file=sys.stderr)
    print(path)
    if failed:
        raise typer.Exit(3)
