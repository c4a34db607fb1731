"""How `eyebright predict` prints: each picture as soon as it is answered, but for a table, which needs all of them."""

from __future__ import annotations

import csv
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from eyebright.cli.output import print_table

if TYPE_CHECKING:
    from eyebright.prediction import Prediction


def print_predictions_json(predictions: Iterable[Prediction]) -> None:
    """An array, one object a picture; as `print_json` prints it, which would have to hold all of them."""
    before = "[\n"
    for prediction in predictions:
        text = json.dumps(prediction.to_dict(), indent=2, allow_nan=False)
        print(before + textwrap.indent(text, "  "), end="")
        before = ",\n"
    print("\n]")


def print_predictions_csv(predictions: Iterable[Prediction], asked: list[str]) -> None:
    """A row for each class that is named of each picture; `asked` are the columns that were asked for besides."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["image", "rank", "label", "probability", "error", *asked])
    for prediction in predictions:
        if prediction.error is not None:
            writer.writerow([prediction.image, "", "", "", prediction.error, *("" for _ in asked)])
        answer = prediction.to_dict()
        besides = [json.dumps(answer.get(name), ensure_ascii=False) for name in asked]
        for rank, (label, probability) in enumerate(prediction.top, 1):
            writer.writerow([prediction.image, rank, label, f"{probability:.6f}", "", *besides])


def print_predictions_table(predictions: Iterable[Prediction], asked: list[str]) -> None:
    """A row a picture, without those that could not be read."""
    from rich.table import Table

    table = Table("image", "label", "probability", "next likeliest", *(name.replace("_", " ") for name in asked))
    for prediction in predictions:
        if prediction.error is not None:
            continue
        (label, probability), *others = prediction.top
        then = ", ".join(f"{name} {p:.3f}" for name, p in others)
        besides = {
            "abstained": "yes" if prediction.abstained else "no",
            "set": ", ".join(prediction.classes or ()) or "none",
            "unlike_training": "yes" if prediction.unlike_training else "no",
        }
        table.add_row(prediction.image, label, f"{probability:.4f}", then, *(besides[name] for name in asked))
    if table.row_count:
        print_table(table)


class Counts(Protocol):
    """What is counted of predictions."""

    @property
    def answered(self) -> int:
        """How many pictures."""

    @property
    def failed(self) -> int:
        """How many could not be read."""

    @property
    def unlike(self) -> int:
        """How many of those that were answered are unlike the training images."""


class Tally:
    """What is counted of predictions on their way to the printer.

    Attributes:
        answered: how many pictures.
        unlike: how many of them are unlike the training images.
        errors: what is wrong with those that could not be read.
    """

    def __init__(self) -> None:
        self.answered = 0
        self.unlike = 0
        self.errors: list[str] = []

    @property
    def failed(self) -> int:
        """How many could not be read."""
        return len(self.errors)

    def of(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """The predictions as they come, counted."""
        for prediction in predictions:
            if prediction.error is None:
                self.answered += 1
                self.unlike += prediction.unlike_training is True
            else:
                self.errors.append(prediction.error)
            yield prediction
