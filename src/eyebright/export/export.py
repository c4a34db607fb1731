"""A classifier in the formats of other runtimes, each written only once it has been shown to answer the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright import storage
from eyebright.classifier import Classifier
from eyebright.errors import ExportError, StorageError
from eyebright.export.formats import check_format, check_target
from eyebright.export.parity import Parity, answers, check_exact, check_loss, parity
from eyebright.export.quantization import CALIBRATION_IMAGES, Quantization
from eyebright.views import Images

DEFAULT_MAX_LOSS = 0.01


class Exported(NamedTuple):
    """What was written.

    Attributes:
        path: where.
        bytes: how large it is.
        parity: how its answers agree with the classifier's.
    """

    path: Path
    bytes: int
    parity: Parity

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"path": str(self.path), "bytes": self.bytes, **self.parity.to_dict()}


def export(
    classifier: Classifier,
    name: str,
    target: Path,
    *,
    images: Images,
    labels: NDArray[np.integer] | None = None,
    quantize: Quantization | None = None,
    calibration_images: Images | None = None,
    max_loss: float = DEFAULT_MAX_LOSS,
    progress: bool = False,
) -> Exported:
    """Write a classifier in a format: pixels in, calibrated probabilities out.

    Before the file appears it is asked, by its own runtime, what the classifier is asked: in float32 each probability
    must be within 1e-4 and each class the same; quantised, no more accuracy may be lost than `max_loss`.

    Args:
        classifier: with weights.
        name: of `FORMATS`.
        target: the file or directory, which appears whole or not at all; an earlier export is replaced.
        images: uint8 [N, H, W, C], N > 0, that both are asked.
        labels: [N], theirs, if there are any: for a quantised file's loss of accuracy. Without, the share of images
            that get another class stands for it.
        quantize: how its numbers are made smaller; None for float32.
        calibration_images: uint8 [n, H, W, C], training images, for "static"; `images` if not given.
        max_loss: of accuracy, of a quantised file.
        progress: whether to show progress bars on standard error.

    Raises:
        SettingsError: no such format, or no such quantisation of it.
        ExportError: it would not answer as the classifier does; or there are no images.
        StorageError: it cannot be written.
        MissingExtraError: a library that is needed for it is not installed.
    """
    made = check_format(name, quantize)
    check_target(name, target)
    if not len(images):
        raise ExportError("there are no images to compare answers on.")
    chosen = images if calibration_images is None else calibration_images
    temporary = target.with_name(f".writing-{os.getpid()}-{target.name}")  # at the end the suffix, which runtimes read
    try:
        with storage.cleaned_up(temporary):
            made.write(classifier, temporary, quantize, chosen[:: max(1, len(chosen) // CALIBRATION_IMAGES)])
            received = answers(made.read(temporary), classifier, images, title=f"Answers of {name}", progress=progress)
            expected = classifier.calibration.probabilities(classifier.logits(images, progress=progress))
            compared = parity(expected, received, labels)
            if quantize is None:
                check_exact(name, expected, received)
            else:
                check_loss(name, compared, max_loss)
            files = [file for file in (temporary, *temporary.rglob("*")) if file.is_file()]
            size = sum(file.stat().st_size for file in files)
            for file in files:
                storage.sync(file)
            storage.put_in_place(temporary, target)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror or error}.") from error
    return Exported(target, size, compared)
