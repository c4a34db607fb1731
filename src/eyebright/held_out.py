"""What a classifier keeps of images that it did not learn from, so that it can say how far it may be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A classifier's answers to its run's validation images; no pixels.

    Attributes:
        labels: int32 [n].
        logits: float32 [n, classes], by the classifier's test-time augmentation.
        keys: uint64 [n], of each image's pixels, see `data.dataset.hash_prefixes`.
    """

    labels: NDArray[np.int32]
    logits: NDArray[np.float32]
    keys: NDArray[np.uint64]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As a file has it."""
        return {"labels": self.labels, "logits": self.logits, "keys": self.keys}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], classes: int) -> Self:
        """Take what `to_arrays` gave.

        Raises:
            KeyError: an array is missing.
            ValueError: an array is of another shape or type, or has labels of none of so many classes.
        """
        labels, logits, keys = arrays["labels"], arrays["logits"], arrays["keys"]
        n = len(labels)
        if (labels.shape, logits.shape, keys.shape) != ((n,), (n, classes), (n,)):
            raise ValueError("held-out predictions of other shapes")
        if (labels.dtype, logits.dtype, keys.dtype) != tuple(map(np.dtype, ("int32", "float32", "uint64"))):
            raise ValueError("held-out predictions of other types")
        if n and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError("held-out predictions have labels that are no class")
        return cls(labels, logits, keys)
