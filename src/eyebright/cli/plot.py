"""`eyebright plot`: the course of training, the weights and the feature maps of a run as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eyebright.cli.output import check_png

_KINDS = ("training", "weights", "features")


def plot(
    runs: Annotated[list[Path], typer.Argument(help="Directories of runs; for weights and features, of one.")],
    what: Annotated[
        str,
        typer.Option(
            metavar="|".join(_KINDS),
            help="training: loss and accuracy over the steps. weights: what each unit or filter of a layer looks for. "
            "features: what the layers of a convolutional network make of --image.",
        ),
    ] = "training",
    layer: Annotated[
        str | None,
        typer.Option(help="The layer whose weights are drawn, for example block_1_conv_1.", show_default="the first"),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="A picture file, of any size and mode, for features.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The picture (PNG).", show_default="RUN/WHAT.png of the first run"),
    ] = None,
) -> None:
    """Draw the training, the weights or the feature maps of runs."""
    path = output or runs[0] / f"{what}.png"
    _check(runs, what, layer, image, path)
    if what == "training":
        from eyebright.evaluation.training_chart import draw_training

        draw_training(runs, path)
    else:
        _draw_classifier(runs[0], layer, image, path)
    print(path)


def _check(runs: list[Path], what: str, layer: str | None, image: Path | None, path: Path) -> None:
    from eyebright.errors import SettingsError, suggestion

    if what not in _KINDS:
        raise SettingsError(f"--what {what}: no such picture.{suggestion(what, _KINDS)}")
    check_png(path, "picture")
    if what != "training" and len(runs) > 1:
        raise SettingsError(f"--what {what}: draws one run, and {len(runs)} were named. Give one of them.")
    if layer is not None and what != "weights":
        raise SettingsError(f"--layer {layer}: is for --what weights.")
    if image is not None and what != "features":
        raise SettingsError(f"--image {image}: is for --what features.")
    if image is None and what == "features":
        raise SettingsError("--what features: needs a picture. Give one with --image FILE.")


def _draw_classifier(run: Path, layer: str | None, image: Path | None, path: Path) -> None:
    from eyebright.classifier import Classifier

    classifier = Classifier.load(run)
    if image is None:
        from eyebright.evaluation.weight_pictures import draw_weights

        draw_weights(classifier, path, layer)
    else:
        from eyebright.data.decode import decode_image
        from eyebright.evaluation.feature_maps import draw_features

        draw_features(classifier, decode_image(image, classifier.image_shape, classifier.fit), path)
