"""`eyebright predict`: pictures in, named probabilities out."""

from __future__ import annotations

import csv as csv_format
import glob
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyebright.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eyebright.prediction import Prediction


def predict(
    run: Annotated[Path, typer.Argument(help="Directory of a finished run, or of a saved classifier.")],
    images: Annotated[list[str], typer.Argument(help="Picture files or globs, of any size and mode.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name for each picture.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print JSON: an array, one object a picture.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV: image, rank, label, probability, error.")] = False,
) -> None:
    """Name what pictures show, with probabilities.

    A picture that cannot be read does not stop the others; the exit code is then 3, or 2 if none could be read.
    """
    from eyebright.classifier import Classifier
    from eyebright.errors import SettingsError
    from eyebright.prediction import predict_files

    if json and csv:
        raise SettingsError("--json and --csv exclude each other: give one of the two.")
    predictions = list(predict_files(Classifier.load(run), expanded(images), top))
    if json:
        print_json([prediction.to_dict() for prediction in predictions])
    elif csv:
        _print_csv(predictions)
    else:
        _print_table(predictions)
    failed = [prediction for prediction in predictions if prediction.error is not None]
    if not json:
        for prediction in failed:
            print(prediction.error, file=sys.stderr)
    if failed:
        raise typer.Exit(2 if len(failed) == len(predictions) else 3)


def expanded(patterns: Iterable[str]) -> list[str]:
    """Files as they are, and what globs match; a glob that matches nothing stays, to be reported as not there."""
    paths: list[str] = []
    for pattern in patterns:
        matches: list[str] = []
        if any(character in pattern for character in "*?[") and not os.path.lexists(pattern):
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        paths += matches or [pattern]
    return paths


def _print_csv(predictions: list[Prediction]) -> None:
    writer = csv_format.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["image", "rank", "label", "probability", "error"])
    for prediction in predictions:
        if prediction.error is not None:
            writer.writerow([prediction.image, "", "", "", prediction.error])
        for rank, (label, probability) in enumerate(prediction.top, 1):
            writer.writerow([prediction.image, rank, label, f"{probability:.6f}", ""])


def _print_table(predictions: list[Prediction]) -> None:
    from rich.table import Table

    answered = [prediction for prediction in predictions if prediction.error is None]
    if not answered:
        return
    table = Table("image", "label", "probability", "next likeliest")
    for prediction in answered:
        (label, probability), *others = prediction.top
        then = ", ".join(f"{name} {p:.3f}" for name, p in others[:4])
        table.add_row(prediction.image, label, f"{probability:.4f}", then)
    print_table(table)
