"""Golden pictures: a few PNG files in an artefact with the probabilities that they were given where it was packaged.

Golden images are pixels of the classifier's own shape. These are of other sizes and kinds, so that decoding, fitting
and resizing are proved as well wherever the artefact is loaded.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from eyebright.data.decode import decode_image
from eyebright.errors import ClassifierError
from eyebright.golden import TOLERANCE
from eyebright.picture_options import Fit
from eyebright.storage import json_bytes

GOLDEN_PICTURES = "golden_pictures.json"
PLAIN = 4  # the first so many are plain RGB without transparency or orientation, which browsers decode to the bit
_MOST = 16


@dataclass(frozen=True, eq=False)
class GoldenPictures:
    """Pictures and what a classifier answers.

    Attributes:
        files: PNG files, `PLAIN` plain ones first.
        probabilities: float32 [n, classes], calibrated.
        pillow: the version of Pillow that decoded them where they were packaged.
    """

    files: tuple[bytes, ...]
    probabilities: NDArray[np.float32]
    pillow: str

    def difference(
        self, predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]], image_shape: tuple[int, int, int], fit: Fit
    ) -> float:
        """The largest difference of a probability from these; NaN where one is not a number.

        Args:
            predict: images uint8 [N, H, W, C] → probabilities [N, classes].
            image_shape: (height, width, channels) of the images that it takes.
            fit: what is done with pictures of other proportions.

        Raises:
            ImageError: a picture cannot be decoded.
        """
        return float(np.abs(predict(decoded(self.files, image_shape, fit)) - self.probabilities).max())

    def check(
        self, predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]], image_shape: tuple[int, int, int], fit: Fit
    ) -> None:
        """Refuse where these probabilities are not given again.

        Args:
            predict: as for `difference`.
            image_shape: likewise.
            fit: likewise.

        Raises:
            ClassifierError: one differs by more than `TOLERANCE`.
            ImageError: a picture cannot be decoded.
        """
        difference = self.difference(predict, image_shape, fit)
        if not difference <= TOLERANCE:  # so written that what is not a number is refused as well
            import PIL

            raise ClassifierError(
                f"its golden pictures get probabilities that differ by {difference:.2g} from those that were given "
                f"where it was packaged; {TOLERANCE:g} is allowed. Pictures are decoded or resized otherwise on this "
                f"machine: Pillow {PIL.__version__} is installed, and it was packaged with Pillow {self.pillow}. "
                f"Install pillow=={self.pillow}, or package the run again with this version; to use it nevertheless, "
                "pass --skip-golden."
            )

    def to_part(self) -> bytes:
        """As `golden_pictures.json` has them."""
        pictures = [
            {"png": b64encode(file).decode(), "probabilities": row.tolist()}
            for file, row in zip(self.files, self.probabilities, strict=True)
        ]
        return json_bytes({"pillow": self.pillow, "pictures": pictures})

    @classmethod
    def from_part(cls, content: bytes, classes: int) -> Self:
        """Take what `to_part` gave.

        Raises:
            ClassifierError: it is of another form, or has another number of classes.
        """
        try:
            read = _File.model_validate_json(content)
            files = tuple(b64decode(picture.png, validate=True) for picture in read.pictures)
        except ValueError as error:
            raise ClassifierError(f"{GOLDEN_PICTURES}: no golden pictures: {error}.") from error
        if not PLAIN <= len(files) <= _MOST:
            raise ClassifierError(f"{GOLDEN_PICTURES}: {len(files)} pictures, where {PLAIN} to {_MOST} are.")
        if any(len(picture.probabilities) != classes for picture in read.pictures):
            raise ClassifierError(f"{GOLDEN_PICTURES}: golden pictures of another number of classes than {classes}.")
        return cls(files, np.array([picture.probabilities for picture in read.pictures], np.float32), read.pillow)


def decoded(files: tuple[bytes, ...], image_shape: tuple[int, int, int], fit: Fit) -> NDArray[np.uint8]:
    """Pictures as a classifier takes them, uint8 [n, H, W, C].

    Raises:
        ImageError: one cannot be decoded.
    """
    return np.stack([decode_image(file, image_shape, fit) for file in files])


class _Picture(BaseModel):
    model_config = ConfigDict(strict=True)
    png: str
    probabilities: list[float]


class _File(BaseModel):
    model_config = ConfigDict(strict=True)
    pillow: str
    pictures: list[_Picture]
