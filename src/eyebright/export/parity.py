"""The gate: an exported file must answer as the classifier does, before it appears under its name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.progress import shown
from eyebright.errors import ExportError, MissingExtraError
from eyebright.views import Images, batches

TOLERANCE = 1e-4  # of a probability, in float32
MOST_IMAGES = 10_000
Answer = Callable[[Images], NDArray[np.floating]]  # images uint8 [N, H, W, C] → probabilities [N, classes]


@dataclass(frozen=True)
class Parity:
    """How an exported file's answers agree with the classifier's.

    Attributes:
        images: on how many images.
        agreement: the share of them that get the same class.
        largest_difference: of a probability; NaN where one is not a number.
        accuracy: of the classifier on these images; None where they have no labels.
        accuracy_loss: by how much the file's is below it, negative where above; None likewise.
    """

    images: int
    agreement: float
    largest_difference: float
    accuracy: float | None = None
    accuracy_loss: float | None = None

    @property
    def same(self) -> int:
        """How many images get the same class."""
        return round(self.agreement * self.images)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def check_exact(name: str, expected: NDArray[np.floating], received: NDArray[np.floating]) -> None:
    """Refuse answers in float32 that are not those of the classifier.

    Args:
        name: of the format.
        expected: float [N, classes], the classifier's probabilities.
        received: float [N, classes], those of the file.

    Raises:
        ExportError: another class, or a probability that differs by more than `TOLERANCE`.
    """
    difference = float(np.abs(received - expected).max())
    if not difference <= TOLERANCE:  # so written that what is not a number is refused as well
        raise ExportError(
            f"--format {name}: refused, nothing was written: its probabilities differ from the classifier's by up to "
            f"{difference:.2g} on {len(expected):,} images; {TOLERANCE:g} is allowed. Another format may do better."
        )
    other = np.flatnonzero(expected.argmax(axis=1) != received.argmax(axis=1))
    if other.size:
        ranked = np.sort(expected[other], axis=1)
        gap = float((ranked[:, -1] - ranked[:, -2]).max())
        raise ExportError(
            f"--format {name}: refused, nothing was written: {other.size:,} of {len(expected):,} images get another "
            f"class than from the classifier (the first is number {int(other[0])}). Its two first classes are at most "
            f"{gap:.1g} apart there. Another format may do better."
        )


def check_loss(name: str, parity: Parity, max_loss: float) -> None:
    """Refuse a quantised file that answers much worse.

    Args:
        name: of the format.
        parity: how its answers agree.
        max_loss: of accuracy; of agreement, where the images have no labels.

    Raises:
        ExportError: saying how much worse.
    """
    loss = 1 - parity.agreement if parity.accuracy_loss is None else parity.accuracy_loss
    if not (loss <= max_loss and np.isfinite(parity.largest_difference)):
        what = "other classes" if parity.accuracy_loss is None else "accuracy lost"
        raise ExportError(
            f"--format {name}, quantised: refused, nothing was written: {what} {loss:.4f} on {parity.images:,} images "
            f"(largest difference of a probability {parity.largest_difference:.2g}); --max-loss allows {max_loss:g}. "
            "Quantise otherwise, or allow more."
        )


def answers(
    answer: Answer, classifier: Classifier, images: Images, *, title: str, progress: bool
) -> NDArray[np.floating]:
    """What a file answers to images uint8 [N, H, W, C], N > 0: probabilities [N, classes], some images at once."""
    parts = batches(np.arange(len(images)), classifier.image_shape, classifier.tta)
    shown_parts = shown(parts, title, len(images), len, progress=progress)
    return np.concatenate([answer(np.ascontiguousarray(images[part])) for part in shown_parts])


def parity(
    expected: NDArray[np.floating], received: NDArray[np.floating], labels: NDArray[np.integer] | None
) -> Parity:
    """How answers agree.

    Args:
        expected: float [N, classes], the classifier's probabilities.
        received: float [N, classes], those of the file.
        labels: [N]; None where there are none.
    """
    right, given = expected.argmax(axis=1), received.argmax(axis=1)
    accuracy = None if labels is None else float((right == labels).mean())
    return Parity(
        images=len(expected),
        agreement=float((right == given).mean()),
        largest_difference=float(np.abs(received - expected).max()),
        accuracy=accuracy,
        accuracy_loss=None if accuracy is None else accuracy - float((given == labels).mean()),
    )


def extra(*names: str) -> tuple[Any, ...]:
    """Modules of libraries that exporting needs and training does not.

    Raises:
        MissingExtraError: one is not installed.
    """
    try:
        return tuple(importlib.import_module(name) for name in names)
    except ModuleNotFoundError as error:
        if error.name not in {name.partition(".")[0] for name in names}:
            raise
        raise MissingExtraError("Export", "export") from error
