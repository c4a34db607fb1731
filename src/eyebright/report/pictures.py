"""The pictures of a report: the worst ones, and some of each cell of the confusion matrix, within so many bytes."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.data.dataset import Dataset
from eyebright.data.progress import shown
from eyebright.data.thumbnails import thumbnail
from eyebright.report.figures import TestAnswers

MOST_BYTES = 1_500_000  # of all pictures of a page together, as they stand in it
TOP = 24  # the images with the largest losses
_MOST_IN_A_CELL = 24
_FEW_IN_A_CELL = 4  # for which the pictures are made small enough
_SIDES = (96, 64, 48, 32)  # pixels of the longer side
_SAMPLED = 32  # pictures, to know how large they are

Cell = tuple[int, int]  # an image's class, and what it was taken for


@dataclass(frozen=True)
class Pictures:
    """The pictures of a report.

    Attributes:
        top: those with the largest losses, the worst first, each as `_described` has it.
        cells: of each wanted cell of the confusion matrix, some of its pictures, the worst first.
    """

    top: list[dict[str, Any]]
    cells: dict[Cell, list[dict[str, Any]]]


def choose_pictures(
    answers: TestAnswers,
    dataset: Dataset,
    test: NDArray[np.int64],
    class_names: tuple[str, ...],
    wanted_cells: Set[Cell],
    *,
    progress: bool,
) -> Pictures:
    """Choose pictures and make them small.

    Of each cell first the one with the largest loss, then of each cell the second, and so on, until there is no room.

    Args:
        answers: to the test images.
        dataset: that they are of.
        test: int64 [n], which of its images they are, in the order of the answers.
        class_names: of the classifier, in the order of its outputs.
        wanted_cells: of which cells pictures are wanted.
        progress: whether to show a progress bar on standard error.
    """
    worst = np.argsort(-answers.losses, kind="stable")
    members: dict[Cell, list[int]] = {}
    for place in worst.tolist():
        cell = (int(answers.labels[place]), int(answers.taken[place]))
        if cell in wanted_cells:
            members.setdefault(cell, []).append(place)
    side = _fitting_side(members, dataset, test)
    room = MOST_BYTES
    top: list[dict[str, Any]] = []
    cells: dict[Cell, list[dict[str, Any]]] = {cell: [] for cell in sorted(members)}
    wanted: list[tuple[Cell | None, int]] = [(None, place) for place in worst[:TOP].tolist()]
    wanted += _in_rounds(members)
    for of_cell, place in shown(wanted, "Pictures", len(wanted), lambda _: 1, progress=progress):
        picture = _described(answers, dataset, int(test[place]), place, side, class_names)
        room -= len(picture["source"])
        if room < 0:
            break
        (top if of_cell is None else cells[of_cell]).append(picture)
    return Pictures(top, cells)


def _in_rounds(members: dict[Cell, list[int]]) -> Iterator[tuple[Cell, int]]:
    for turn in range(_MOST_IN_A_CELL):
        for cell in sorted(members):
            if turn < len(members[cell]):
                yield cell, members[cell][turn]


def _fitting_side(members: dict[Cell, list[int]], dataset: Dataset, test: NDArray[np.int64]) -> int:
    """The largest side at which a few pictures of each cell have room, judged by a sample."""
    few = [place for cell in sorted(members) for place in members[cell][:_FEW_IN_A_CELL]]
    sample = few[:: -(-len(few) // _SAMPLED) or 1]
    for side in _SIDES:
        size = float(np.mean([len(thumbnail(dataset.images[test[place]], side)) for place in sample]))
        if size * (len(few) + TOP) <= MOST_BYTES:
            return side
    return _SIDES[-1]


def _described(
    answers: TestAnswers, dataset: Dataset, index: int, place: int, side: int, class_names: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "source": thumbnail(dataset.images[index], side),
        "image": dataset.path(index),
        "label": class_names[answers.labels[place]],
        "taken": class_names[answers.taken[place]],
        "probability": round(float(answers.probabilities[place].max()), 3),
        "loss": round(float(answers.losses[place]), 2),
    }
