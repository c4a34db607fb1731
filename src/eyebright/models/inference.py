"""A model's logits over many images, in batches, each image seen once or in several views (test-time augmentation).

The views and their weights are those of K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024,
arXiv 2404.00498).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import keras, tf
from eyebright.data.progress import shown
from eyebright.settings import TestTimeAugmentation

# Of images × views, so that many views of an image need no more memory than one, nor large images more than small ones.
_VIEWS_AT_ONCE = 1000
_VALUES_AT_ONCE = 2**22

Images = NDArray[np.uint8]
Logits = NDArray[np.floating]
LogitsFunction = Callable[[Images, NDArray[np.int64]], Logits]

# What each test-time augmentation does, for people.
VIEWS: dict[TestTimeAugmentation, str] = {
    "none": "the image as it is",
    "mirror": "the mean of the logits of the image and of its mirror image (left and right exchanged)",
    "mirror-shift": "the weighted mean of the logits of six views: the image and its mirror image (¼ each), and both "
    "seen through a frame that lies one pixel up and left, and one pixel down and right (⅛ each; beyond its edge the "
    "image is reflected)",
}
# The weights of the views, in the order in which `_views` makes them.
_WEIGHTS: dict[TestTimeAugmentation, tuple[float, ...]] = {
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


class ViewedLogitsFunction(Protocol):
    """Logits of the images that indices name, with a progress bar on standard error where that is asked for."""

    def __call__(self, images: Images, indices: NDArray[np.int64], progress: bool = False) -> ViewedLogits:
        """Both means [n, classes] of the images uint8 [N, H, W, C] in `indices` int64 [n]."""


def compiled_logits(model: keras.Model) -> LogitsFunction:
    """Compile a model for inference on one view of each image.

    Returns:
        A function of images (uint8 [N, H, W, C], may be memory-mapped) and indices (int64 [n]) to the logits
        [n, classes] of those images, the last partial batch included.
    """
    viewed = compiled_viewed_logits(model, "none")
    return lambda images, indices: viewed(images, indices).one_view


def compiled_viewed_logits(model: keras.Model, tta: TestTimeAugmentation) -> ViewedLogitsFunction:
    """Compile a model for inference with test-time augmentation: one compiled call a batch makes the views and all.

    Returns:
        A function of images and indices, as `compiled_logits` gives it, but to both the mean over the views and the
        logits of the images as they are, which it costs nothing to have besides.
    """
    in_batches = _compiled(lambda images: _viewed(model, images, tta)[:2], model, tta)

    def logits(images: Images, indices: NDArray[np.int64], progress: bool = False) -> ViewedLogits:
        return ViewedLogits(*in_batches(images, indices, progress))

    return logits


def compiled_answers(model: keras.Model, tta: TestTimeAugmentation) -> Callable[[Images, NDArray[np.int64]], Answers]:
    """Compile a model that gives logits and features for inference, as `compiled_viewed_logits` does it for logits.

    Args:
        model: uint8 [B, H, W, C] → (logits [B, classes], features [B, d]).
        tta: the views.
    """

    def of_batch(images: Any) -> tuple[Any, Any]:
        mean, _, features = _viewed(model, images, tta)
        return mean, features

    in_batches = _compiled(of_batch, model, tta)
    return lambda images, indices: Answers(*in_batches(images, indices, False))


def _compiled(
    of_batch: Callable[[Any], tuple[Any, Any]], model: keras.Model, tta: TestTimeAugmentation
) -> Callable[[Images, NDArray[np.int64], bool], tuple[NDArray[np.floating], ...]]:
    """A function of a batch, compiled, and called batch by batch: its two outputs for all images."""
    compiled = tf.function(
        of_batch,
        input_signature=[tf.TensorSpec([None, *model.input.shape[1:]], tf.uint8)],
        autograph=False,  # nothing in it depends on a tensor's value; to look for it takes a tenth of a second
    )
    views_at_once = min(_VIEWS_AT_ONCE, _VALUES_AT_ONCE // int(np.prod(model.input.shape[1:])))
    images_at_once = max(1, views_at_once // len(_WEIGHTS[tta]))

    def in_batches(images: Images, indices: NDArray[np.int64], progress: bool) -> tuple[NDArray[np.floating], ...]:
        batches = [indices[start : start + images_at_once] for start in range(0, len(indices), images_at_once)]
        parts = shown(batches, "Images", len(indices), len, progress=progress)
        outputs = zip(*(compiled(images[batch]) for batch in parts), strict=True)
        return tuple(np.concatenate([part.numpy() for part in of_parts]) for of_parts in outputs)

    return in_batches


def _viewed(model: keras.Model, images: Any, tta: TestTimeAugmentation) -> tuple[Any, Any, Any]:
    """The mean over the views and the first view's logits, [B, classes], of images uint8 [B, H, W, C].

    Third are the first view's features, [B, d], where the model gives features, else None.
    """
    views = _views(images, tta)
    # All views go through the model as one batch: a graph with one model in it is built in a third of the time.
    # `training=False` is said here once: without it dropout and batch statistics would stay on.
    outputs = model(keras.ops.concatenate(views), training=False)  # [views · B, …]
    logits, features = outputs if isinstance(outputs, list | tuple) else (outputs, None)
    if features is not None:
        features = features[: keras.ops.shape(images)[0]]
    logits = keras.ops.reshape(logits, (len(views), -1, logits.shape[-1]))  # [views, B, classes]
    weights = keras.ops.reshape(keras.ops.convert_to_tensor(_WEIGHTS[tta], logits.dtype), (-1, 1, 1))
    return keras.ops.sum(weights * logits, axis=0), logits[0], features


def _views(images: Any, tta: TestTimeAugmentation) -> list[Any]:
    """The views of images [B, H, W, C], each of that shape and type; the first are the images themselves.

    Along a side of one pixel there is nothing to exchange and nothing to reflect: a view stays there where it is.
    """
    if tta == "none":
        return [images]
    views = [images]
    if tta == "mirror-shift":
        height, width = images.shape[1:3]
        y, x = min(1, height - 1), min(1, width - 1)
        padded = keras.ops.pad(images, ((0, 0), (y, y), (x, x), (0, 0)), mode="reflect")
        views += [padded[:, :height, :width], padded[:, 2 * y :, 2 * x :]]
    return views + [keras.ops.flip(view, axis=2) for view in views]
