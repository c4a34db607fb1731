"""Golden images: a few images in an artefact with the probabilities that they were given where it was trained.

Wherever the artefact is loaded it must give them again. They show that pixels, classes and weights arrive where they
should, on that machine and by those libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eyebright.arrays import arrays_to_npz, npz_to_arrays
from eyebright.errors import ClassifierError

GOLDEN = "golden.npz"
TOLERANCE = 1e-4  # of a probability: the sums of other processors and libraries differ by less than a tenth of it


@dataclass(frozen=True, eq=False)
class GoldenImages:
    """Images and what a classifier answers.

    Attributes:
        images: uint8 [n, H, W, C].
        probabilities: float32 [n, classes], calibrated.
    """

    images: NDArray[np.uint8]
    probabilities: NDArray[np.float32]

    def difference(self, predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> float:
        """The largest difference of a probability from these; NaN where one is not a number.

        Args:
            predict: images uint8 [N, H, W, C] → probabilities [N, classes].
        """
        return float(np.abs(predict(self.images) - self.probabilities).max())

    def check(self, predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> None:
        """Refuse what does not give these probabilities again.

        Args:
            predict: as for `difference`.

        Raises:
            ClassifierError: one differs by more than `TOLERANCE`.
        """
        difference = self.difference(predict)
        if not difference <= TOLERANCE:  # so written that what is not a number is refused as well
            raise ClassifierError(
                f"its golden images get probabilities that differ by {difference:.2g} from those that were given where "
                f"it was trained; {TOLERANCE:g} is allowed. It would not answer as trained on this machine, with these "
                "versions of its libraries. Upgrade onnxruntime; to use it nevertheless, pass --skip-golden."
            )

    def to_part(self) -> bytes:
        """As `golden.npz` has them."""
        return arrays_to_npz({"images": self.images, "probabilities": self.probabilities})

    @classmethod
    def from_part(cls, content: bytes, image_shape: tuple[int, int, int], classes: int) -> Self:
        """Take what `to_part` gave.

        Raises:
            ClassifierError: it is of another shape or type.
        """
        try:
            arrays: dict[str, NDArray[Any]] = npz_to_arrays(content)
            images, probabilities = arrays["images"], arrays["probabilities"]
        except (ValueError, KeyError) as error:
            raise ClassifierError(f"{GOLDEN}: no golden images: {error}.") from error
        if not images.ndim or not len(images):
            raise ClassifierError(f"{GOLDEN}: no golden images.")
        shapes = (len(images), *image_shape), (len(images), classes)
        if (images.shape, probabilities.shape) != shapes or (images.dtype, probabilities.dtype) != (
            np.dtype("uint8"),
            np.dtype("float32"),
        ):
            raise ClassifierError(f"{GOLDEN}: golden images of another shape or type.")
        return cls(images, probabilities)
