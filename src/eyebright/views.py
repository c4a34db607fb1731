"""The views of an image that a classifier answers by (test-time augmentation), and what it makes of images.

The views and their weights are those of K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024,
arXiv 2404.00498). Whatever computes them, Keras or ONNX Runtime, does it in the batches given here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.settings import TestTimeAugmentation

# Of images × views, so that many views of an image need no more memory than one, nor large images more than small ones.
_VIEWS_AT_ONCE = 1000
_VALUES_AT_ONCE = 2**22

Images = NDArray[np.uint8]
Logits = NDArray[np.floating]

# What each test-time augmentation does, for people.
VIEWS: dict[TestTimeAugmentation, str] = {
    "none": "the image as it is",
    "mirror": "the mean of the logits of the image and of its mirror image (left and right exchanged)",
    "mirror-shift": "the weighted mean of the logits of six views: the image and its mirror image (¼ each), and both "
    "seen through a frame that lies one pixel up and left, and one pixel down and right (⅛ each; beyond its edge the "
    "image is reflected)",
}
# The weights of the views, in the order in which `models.inference` makes them.
VIEW_WEIGHTS: dict[TestTimeAugmentation, tuple[float, ...]] = {
    "none": (1,),
    "mirror": (1 / 2, 1 / 2),
    "mirror-shift": (1 / 4, 1 / 8, 1 / 8, 1 / 4, 1 / 8, 1 / 8),
}


class ViewedLogits(NamedTuple):
    """Logits of some images.

    Attributes:
        mean: [n, classes], the weighted mean over the views of each image.
        one_view: [n, classes], of each image as it is.
    """

    mean: Logits
    one_view: Logits


class Answers(NamedTuple):
    """What a classifier makes of some images.

    Attributes:
        logits: [n, classes], the weighted mean over the views of each image.
        features: [n, d], what the last layer reads of each image as it is.
    """

    logits: Logits
    features: NDArray[np.floating]


def batches(
    indices: NDArray[np.int64], image_shape: tuple[int, int, int], tta: TestTimeAugmentation
) -> list[NDArray[np.int64]]:
    """Indices in parts of as many images as are computed at once."""
    views_at_once = min(_VIEWS_AT_ONCE, _VALUES_AT_ONCE // math.prod(image_shape))
    images_at_once = max(1, views_at_once // len(VIEW_WEIGHTS[tta]))
    return [indices[start : start + images_at_once] for start in range(0, len(indices), images_at_once)]
